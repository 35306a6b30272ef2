const fs = require('node:fs');
const os = require('node:os');
const v8 = require('node:v8');
const { version } = require('../index');
const { Kind } = require('../kinds');
const { call } = require('../native');
const { nativeFiles } = require('../locate');
const { libc, reportHeader } = require('../platforms');
const { common, megabytes, print } = require('./common');

/** A file of /proc, empty where there is none. @param {string} file */
function proc(file) {
  try {
    return fs.readFileSync(file, 'utf8');
  } catch {
    return '';
  }
}

/** The processor's features of the families that kernel sets need. */
function processorFeatures() {
  const flags = proc('/proc/cpuinfo').match(/^(?:flags|Features)\s*:(.*)$/m)?.[1] ?? '';
  return flags.split(/\s+/).filter((f) => /^(avx|amx|fma|f16c|asimd|i8mm)/.test(f));
}

/** Soft limits of the process. @returns {Record<string, string>} */
function processLimits() {
  const lines = proc('/proc/self/limits').matchAll(/^Max (address space|locked memory|open files|processes|stack size)\s+(\S+)/gm);
  return Object.fromEntries(Array.from(lines, (m) => [m[1], m[2]]));
}

/** @returns {Record<string, any>} */
function host() {
  return {
    version,
    node: process.versions.node,
    v8: process.versions.v8,
    platform: `${process.platform}-${process.arch}`,
    system: `${os.type()} ${os.release()}`,
    libc: libc() && `${libc()} ${reportHeader().glibcVersionRuntime ?? ''}`.trim(),
    processor: os.cpus()[0]?.model,
    features: processorFeatures(),
    memory: os.totalmem(),
    heapLimit: v8.getHeapStatistics().heap_size_limit,
    limits: processLimits(),
    environment: Object.fromEntries(Object.entries(process.env).filter(([name]) => /^(GGUF_STREAM_|NODE_OPTIONS$|UV_THREADPOOL_SIZE$)/.test(name))),
    files: [...nativeFiles('addon'), ...nativeFiles('process')],
  };
}

/** @param {any} d */
async function printDiagnosis(d) {
  const { host: h, core: c, problem } = d;
  await print(`gguf-stream ${h.version}, Node ${h.node} (V8 ${h.v8}), ${h.platform}, ${h.system}${h.libc ? `, ${h.libc}` : ''}`);
  await print(`processor    ${h.processor}\n             ${h.features.join(' ')}`);
  await print(`memory       ${megabytes(h.memory)}, V8's heap up to ${megabytes(h.heapLimit)}`);
  for (const [name, value] of Object.entries(h.limits)) await print(`limit        ${name}: ${value}`);
  for (const [name, value] of Object.entries(h.environment)) await print(`environment  ${name}=${value}`);
  for (const f of h.files) await print(`files        ${f.from}${f.problem ? `: ${f.problem}` : ''}`);
  if (problem) return print(`core         ${problem.code}: ${problem.message}`);
  await print(`core         ${c.go}, ${c.platform}, ${c.threads} threads, ${megabytes(c.available)} available (bound: ${c.bound})`);
  for (const l of c.limits) await print(`bound        ${l.name}: ${megabytes(l.bytes)}`);
  for (const s of c.kernelSets)
    await print(`kernels      ${s.name}${s.selected ? ' (in use)' : ''}: ${s.missing.length > 0 ? `lacks ${s.missing.join(', ')}` : s.selfTest}`);
  await print(c.healthy ? 'healthy' : 'a self-test failed: please report it with these lines');
}

/** @type {import('./common').Command} */
module.exports = {
  usage: 'doctor',
  summary: 'platform, limits and a self-test of every kernel set: what a bug report needs',
  options: common,
  async run(v) {
    /** @type {Record<string, any>} */
    const d = { host: host() };
    try {
      d.core = (await call(Kind.diagnose)).reply;
    } catch (e) {
      const { code, message } = /** @type {any} */ (e);
      d.problem = { code, message };
    }
    await (v.json ? print(JSON.stringify(d)) : printDiagnosis(d));
    return d.core?.healthy ? 0 : 1;
  },
};
