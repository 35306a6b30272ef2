#!/usr/bin/env node

// gguf-stream COMMAND: the table of commands, each a file of js/cli.

const { parseArgs } = require('node:util');
const { GgufError, version } = require('./index');
const { UsageError, print } = require('./cli/common');

/** By name, the first word of their usage; in the order of the help. */
const commands = new Map(
  [
    require('./cli/embed'),
    require('./cli/similarity'),
    require('./cli/tokenize'),
    require('./cli/inspect'),
    require('./cli/verify'),
    require('./cli/doctor'),
    require('./cli/pull'),
    require('./cli/list'),
    require('./cli/rm'),
    require('./cli/bench'),
  ].map((c) => [c.usage.split(' ')[0], c]),
);

const help = `gguf-stream ${version}: text embeddings from GGUF models

${Array.from(commands.values(), (c) => `  gguf-stream ${c.usage.padEnd(24)}  ${c.summary}`).join('\n')}

Texts come from the arguments, from files (--file F, one a line) or from standard input; with --jsonl each line is
a JSON string or an object with "text", which --json prints whole, with its "embedding" (and "scale" of int8 without
--ranges) or "ids".

  -m, --model MODEL    its path or its name (see pull); default: the bundled all-MiniLM-L6-v2
  --precision P        exact (default) or fast
  --threads N --task T --prefix S --dimensions N
  --max-tokens N       cut texts after N tokens; embed, similarity: --no-truncate refuses texts that are too long
  --output O           embed: float32 (default), int8, uint8, binary or ubinary; --bit-order msb or lsb
  --ranges FILE        embed: JSON of two arrays, each dimension's minimum and maximum, for int8 and uint8
  --json               machine-readable output
  -h, --help  --version

Exit codes: 0 done, 1 failed, 2 wrong usage.`;

/** @param {string[]} argv @returns {Promise<number>} the exit code */
async function main(argv) {
  const [name, ...rest] = argv;
  if (name === '--version') return print(version).then(() => 0);
  if (!name || name === '--help' || name === '-h') {
    await print(help);
    return name ? 0 : 2;
  }
  const command = commands.get(name);
  if (!command) throw new UsageError(`unknown command '${name}'`);
  let parsed;
  try {
    parsed = parseArgs({ args: rest, options: command.options, allowPositionals: true });
  } catch (e) {
    throw new UsageError(/** @type {Error} */ (e).message);
  }
  if (parsed.values.help) return print(help).then(() => 0);
  return (await command.run(parsed.values, parsed.positionals)) ?? 0;
}

/** @param {Error} e @returns the exit code */
function tell(e) {
  const usage = e instanceof UsageError || (e instanceof GgufError && e.kind === 'argument');
  process.stderr.write(`gguf-stream: ${e instanceof GgufError ? `${e.code}: ` : ''}${e.message}\n${usage ? 'See gguf-stream --help\n' : ''}`);
  return usage ? 2 : 1;
}

process.stdout.on('error', (/** @type {NodeJS.ErrnoException} */ e) => process.exit(e.code === 'EPIPE' ? 0 : tell(e)));
process.on('uncaughtException', (e) => process.exit(tell(e))); // readline's, of a line that is longer than a string can be
main(process.argv.slice(2)).then(
  (code) => {
    process.exitCode = code;
  },
  (e) => {
    process.exitCode = tell(e);
    process.stdin.destroy(); // nobody reads on, and its writer may never end
  },
);
