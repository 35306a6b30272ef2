#!/usr/bin/env node
// No stack frame is over 65,536 bytes: links the core as a program and looks at every function's
// `SUBQ $n, SP`, Go's and C's, the runtime's included. (C is also compiled with -Werror=frame-larger-than.)

const { spawn } = require('node:child_process');
const readline = require('node:readline');
const { root, buildProgram } = require('./core');

const limit = 65_536;

/** @param {string} program */
async function frames(program) {
  const sizes = new Map();
  let name = '';
  const dump = spawn('go', ['tool', 'objdump', program], { cwd: root, stdio: ['ignore', 'pipe', 'inherit'] });
  for await (const line of readline.createInterface({ input: dump.stdout })) {
    if (line.startsWith('TEXT ')) name = line.split(' ')[1].replace(/(\.abi0)?\(SB\)$/, '');
    const grown = /\tSUBQ \$0x([0-9a-f]+), SP\b/.exec(line);
    if (grown) sizes.set(name, Math.max(sizes.get(name) ?? 0, Number.parseInt(grown[1], 16)));
  }
  for (const name of sizes.keys()) if (/^runtime\.call\d+$/.test(name)) sizes.delete(name); // for calls by reflection with arguments of that size
  return [...sizes].sort((a, b) => b[1] - a[1]);
}

async function main() {
  const found = await frames(buildProgram('frames'));
  const ours = found.filter(([name]) => /^(gguf-stream\/|main\.)/.test(name));
  if (ours.length === 0) throw new Error('no frames were found: this reads x86-64 code only');
  for (const [name, bytes] of found) if (bytes > limit) console.log(`${name}: a frame of ${bytes} bytes, more than ${limit}`);
  console.log(`${found.length} frames, the largest ${found[0][1]} bytes (${found[0][0]}), of our Go ${ours[0][1]} (${ours[0][0]})`);
  process.exitCode = found[0][1] > limit ? 1 : 0;
}

main();
