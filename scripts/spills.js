#!/usr/bin/env node
// No kernel keeps its sums on the stack: looks in the kernels' code for vector registers that are stored to the stack in
// an innermost loop that multiplies. A compiler that runs out of registers there can halve a kernel's speed without a
// word. `--all` lists every kernel that was looked at.
//
//   symbols ─▶ functions of kernels_<set>_<goarch>.c ─▶ basic blocks ─▶ natural loops ─▶ innermost, with products ─▶ stores

const { execFileSync } = require('node:child_process');
const { buildProgram } = require('./core');

const multiplies = /^(\{vex\} )?(vpdp|vpmadd|vfn?madd|vfmsub|tdp)/;

/** What gcc 12 makes of loops that need more registers than there are: at most so many stores in one of them. */
const known = [
  { set: /^(avx512|avxvnni)$/, name: /^C8_.*M$/, stores: 1 },
  { set: /^(amx|avx512vnni)$/, name: /^D4_32_F$/, stores: 1 },
  { set: /^avx2$/, name: /^NIBBLES_/, stores: 1 }, // five rows' sums, codes, activation and product are 16, and there is the mask
  { set: /^(avx2|avxvnni)$/, name: /^activate$/, stores: 12 },
  { set: /^(avx2|avxvnni)$/, name: /^headOf/, stores: 4 }, // the weights' powers, of four vectors at once: two at once are slower
  { set: /^(avx2|avxvnni)$/, name: /^activateFast$/, stores: 3 },
  { set: /^(amx|avx512|avx512vnni)$/, name: /^activate$/, stores: 5 },
  { set: /^(amx|avx512|avx512vnni)$/, name: /^activateFast$/, stores: 2 },
];

/** @typedef {{ set: string, name: string, start: number, size: number }} Kernel */
/** @typedef {{ at: number, text: string }} Instruction */
/** @typedef {{ code: Instruction[], next: number[] }} Block */

const run = (/** @type {string} */ command, /** @type {string[]} */ ...args) => execFileSync(command, args, { encoding: 'utf8', maxBuffer: 2 ** 30 });

/** The functions of the sets that have vectors, by the file that their symbols stand behind. @param {string} program */
function kernelsOf(program) {
  let file = '';
  /** @type {Kernel[]} */
  const found = [];
  for (const line of run('readelf', '-sW', program).split('\n')) {
    const [, value, size, type, , , , name = ''] = line.trim().split(/\s+/);
    if (type === 'FILE') file = name;
    const set = /^kernels_(\w+)_amd64\.c$/.exec(file)?.[1];
    if (type === 'FUNC' && set) found.push({ set, name, start: Number.parseInt(value, 16), size: Number(size) });
  }
  return found;
}

/** @param {string} program @param {Kernel} f @returns {Instruction[]} */
function codeOf(program, f) {
  const range = [`--start-address=${f.start}`, `--stop-address=${f.start + f.size}`];
  const lines = run('objdump', '-d', '--no-show-raw-insn', ...range, program).matchAll(/^\s*([0-9a-f]+):\t(.*)$/gm);
  return Array.from(lines, ([, at, text]) => ({ at: Number.parseInt(at, 16), text }));
}

/** Basic blocks, by their index. A jump through a table ends a path: the loops round it are no innermost ones. @param {Instruction[]} code @returns {Block[]} */
function blocksOf(code) {
  const jump = (/** @type {string} */ text) => /^(?:\{vex\} )?j\w+\s+([0-9a-f]+)\b/.exec(text)?.[1];
  const starts = new Set([code[0].at]);
  for (const [i, { text }] of code.entries()) {
    const to = jump(text);
    if (to) starts.add(Number.parseInt(to, 16));
    if (/^(j|ret)/.test(text) && i + 1 < code.length) starts.add(code[i + 1].at);
  }
  /** @type {Block[]} */
  const blocks = [];
  /** @type {Map<number, number>} */
  const at = new Map();
  for (const one of code) {
    if (starts.has(one.at)) at.set(one.at, blocks.push({ code: [], next: [] }) - 1);
    blocks[blocks.length - 1].code.push(one);
  }
  for (const [i, block] of blocks.entries()) {
    const last = block.code[block.code.length - 1].text;
    const to = at.get(Number.parseInt(jump(last) ?? '', 16));
    if (to !== undefined) block.next.push(to);
    if (!/^(jmp|ret)/.test(last) && i + 1 < blocks.length) block.next.push(i + 1);
  }
  return blocks;
}

/** Sets of blocks that reach each other (Tarjan), within `inside`; those of one block only if it jumps to itself. @param {Block[]} blocks @param {Set<number>} inside */
function cycles(blocks, inside) {
  /** @type {Map<number, number>} */
  const order = new Map();
  /** @type {number[]} */
  const stack = [];
  /** @type {Set<number>[]} */
  const found = [];
  /** @param {number} b @returns {number} the earliest block of the stack that b reaches */
  const visit = (b) => {
    const mine = order.size;
    order.set(b, mine);
    stack.push(b);
    let low = mine;
    for (const n of blocks[b].next) {
      if (!inside.has(n)) continue;
      const seen = order.get(n);
      if (seen === undefined) low = Math.min(low, visit(n));
      else if (stack.includes(n)) low = Math.min(low, seen);
    }
    if (low === mine) {
      const cycle = new Set(stack.splice(stack.indexOf(b)));
      if (cycle.size > 1 || blocks[b].next.includes(b)) found.push(cycle);
    }
    return low;
  };
  for (const b of inside) if (!order.has(b)) visit(b);
  return found;
}

/** Loops that hold no other: a cycle without its entry has no cycle left. @param {Block[]} blocks @returns {Set<number>[]} */
function innermost(blocks, inside = new Set(blocks.keys())) {
  return cycles(blocks, inside).flatMap((cycle) => {
    const entered = new Set([...inside].filter((b) => !cycle.has(b)).flatMap((b) => blocks[b].next));
    const entry = [...cycle].sort((a, b) => Number(entered.has(b)) - Number(entered.has(a)) || a - b)[0];
    const within = innermost(blocks, new Set([...cycle].filter((b) => b !== entry)));
    return within.length > 0 ? within : [cycle];
  });
}

/** The most stores of vectors to the stack in one innermost loop of products, and how many such loops there are. @param {Instruction[]} code */
function spills(code) {
  const framed = code.some(({ text }) => /^mov\s+%rsp,%rbp$/.test(text));
  const store = framed ? /^vmov\w+\s+%[yz]mm\d+,(-?0x[0-9a-f]+)?\(%r[sb]p/ : /^vmov\w+\s+%[yz]mm\d+,(-?0x[0-9a-f]+)?\(%rsp/;
  const blocks = blocksOf(code);
  const loops = innermost(blocks)
    .map((loop) => [...loop].flatMap((b) => blocks[b].code))
    .filter((loop) => loop.some(({ text }) => multiplies.test(text)));
  return { loops: loops.length, most: Math.max(0, ...loops.map((loop) => loop.filter(({ text }) => store.test(text)).length)) };
}

function main() {
  const program = buildProgram('frames');
  const seen = kernelsOf(program).map((k) => ({ ...k, ...spills(codeOf(program, k)) }));
  const kernels = seen.filter((k) => k.loops > 0);
  const allowed = (/** @type {Kernel} */ k) => known.find((row) => row.set.test(k.set) && row.name.test(k.name))?.stores ?? 0;
  const bad = kernels.filter((k) => k.most > allowed(k));
  for (const k of process.argv.includes('--all') ? kernels : bad)
    console.log(`${k.set} ${k.name}: ${k.most} vectors stored to the stack in one of ${k.loops} loops of products, ${allowed(k)} known`);
  for (const set of new Set(seen.map((k) => k.set))) if (!kernels.some((k) => k.set === set)) throw new Error(`no loops of products were found in ${set}`);
  if (kernels.length === 0) throw new Error('no kernels were found: this reads x86-64 code only');
  console.log(`${kernels.length} kernels, ${kernels.filter((k) => k.most > 0).length} that spill in a loop of products, ${bad.length} more than is known`);
  process.exitCode = bad.length > 0 ? 1 : 0;
}

main();
