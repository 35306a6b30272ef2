const fs = require('node:fs');
const os = require('node:os');
const path = require('node:path');
const { version } = require('../index');
const { Kind } = require('../kinds');
const { call, native } = require('../native');
const { differences, readReport } = require('../bench/report');
const { drawing, sections, title } = require('../bench/sections');
const { UsageError, common, embedderOptions, embedderOf, print } = require('./common');

/**
 * @import { Embedder, ModelInfo } from '../index.js'
 * @import { Values } from './common'
 * @import { Report } from '../bench/report'
 */

const mostSeconds = 3600; // a measurement; a report has a dozen

/** @param {Values} v */
function secondsOf(v) {
  const seconds = Number(v.seconds ?? 1);
  if (seconds > 0 && seconds <= mostSeconds) return seconds;
  throw new UsageError(`--seconds ${v.seconds}: the time of a measurement was expected, over 0 and at most ${mostSeconds}`);
}

/** Tries to write where a report shall go, before minutes are spent on it; nothing is left or changed. @param {string} option @param {string} file */
function checkWritable(option, file) {
  try {
    const there = fs.statSync(file, { throwIfNoEntry: false });
    if (there && !there.isFile() && !there.isDirectory()) return; // a pipe: opening it twice would end its reader
    fs.closeSync(fs.openSync(file, there ? 'a' : 'ax'));
    if (!there) fs.unlinkSync(file);
  } catch (e) {
    throw new UsageError(`--${option} ${file}: ${/** @type {Error} */ (e).message}`);
  }
}

/** A report may take the place of the one it is compared with; a drawing is a file of its own. @param {Values} v */
function checkFiles(v) {
  for (const option of ['save', 'svg']) if (v[option] !== undefined) checkWritable(option, v[option]);
  for (const option of ['save', 'compare']) {
    const isSame = v.svg !== undefined && v[option] !== undefined && path.resolve(v.svg) === path.resolve(v[option]);
    if (isSame) throw new UsageError(`--svg and --${option} name the same file, ${v.svg}`);
  }
}

function machine() {
  const cpus = os.cpus();
  return {
    cpu: cpus[0]?.model.trim() ?? '',
    cores: os.availableParallelism(),
    memory: os.totalmem(),
    node: process.version,
    system: `${process.platform}-${process.arch}`,
  };
}

/** The threads that run: the core has no more than it may use of the cores. @param {Values} v */
async function threadsOf(v) {
  const { threads } = (await call(Kind.diagnose)).reply;
  return v.threads === undefined ? threads : Math.min(threads, Number(v.threads));
}

/** What stands before the sections. @param {ModelInfo} info @param {number} threads @param {boolean} isChild @returns {Partial<Report>} */
function emptyReport({ name, fileBytes, parameters, precision, kernels }, threads, isChild) {
  return {
    version,
    when: new Date().toISOString(),
    core: isChild ? 'process' : 'addon',
    machine: machine(),
    model: { name, fileBytes, parameters, precision, kernels, threads },
  };
}

/**
 * Measures one section after another and shows each as soon as it is there.
 * @param {Embedder} embedder
 * @param {Values} v
 * @param {number} seconds
 * @param {Report | undefined} before
 */
async function measure(embedder, v, seconds, before) {
  const rss = process.memoryUsage.rss();
  await embedder.ready(); // first of all: what is wrong with options or model is told here, and a model is downloaded once
  const info = /** @type {ModelInfo} */ (embedder.info);
  const isChild = native().epoch !== undefined;
  const subject = { embedder, info, options: embedderOptions(v), seconds, rss, isChild };
  const report = /** @type {Report} */ (emptyReport(info, await threadsOf(v), isChild));
  const show = async (/** @type {string[]} */ lines) => {
    if (!v.json) for (const line of lines) await print(line);
  };
  await show([title(report), ...(before ? [differences(report, before)] : [])]);
  for (const section of sections) {
    Object.assign(report, { [section.name]: await section.measure(subject) });
    await show(['', ...section.lines(report, { before, columns: process.stdout.columns || undefined })]);
  }
  return report;
}

/** @type {import('./common').Command} */
module.exports = {
  usage: 'bench [MODEL]',
  summary: 'start, latency, throughput, share of peak, memory; --save F, --compare F, --svg F, --seconds S',
  options: {
    ...common,
    model: { type: 'string', short: 'm' },
    precision: { type: 'string' },
    threads: { type: 'string' },
    seconds: { type: 'string' },
    save: { type: 'string' },
    compare: { type: 'string' },
    svg: { type: 'string' },
  },
  async run(v, args) {
    if (args.length > 1 || (args.length === 1 && v.model !== undefined)) throw new UsageError('bench takes one model');
    const seconds = secondsOf(v);
    const before = v.compare === undefined ? undefined : readReport(v.compare);
    checkFiles(v);
    const options = { ...v, model: args[0] ?? v.model };
    const embedder = embedderOf(options);
    const report = await measure(embedder, options, seconds, before).finally(() => embedder.close());
    if (v.json) await print(JSON.stringify(before ? { ...report, before } : report));
    if (v.save !== undefined) fs.writeFileSync(v.save, `${JSON.stringify(report, null, 1)}\n`);
    if (v.svg !== undefined) fs.writeFileSync(v.svg, drawing(report));
  },
};
