// What a native file says of itself, read from the file in its system's format, and what it may say: checked for every file
// that is published (scripts/packages.js).

const fs = require('node:fs');
const path = require('node:path');

/**
 * @typedef {import('../js/platforms').Platform} Platform
 * @typedef {object} Binary
 * @property {string[]} needs libraries, as they are named in the file
 * @property {string[]} exports
 * @property {number} [glibc] the newest glibc 2.x that a symbol is bound to
 * @property {string} [macos] the oldest macOS
 * @property {boolean} [signed]
 */

/** The text at an offset, up to its NUL. @param {Buffer} b @param {number} at */
const text = (b, at) => b.toString('latin1', at, b.indexOf(0, at));

/** @template T @param {number} n @param {(i: number) => T} f @returns {T[]} */
const times = (n, f) => Array.from({ length: n }, (_, i) => f(i));

/** ELF, 64 bits, by its section headers. @param {Buffer} b @returns {Binary} */
function readElf(b) {
  const [first, size] = [Number(b.readBigUInt64LE(0x28)), b.readUInt16LE(0x3a)];
  const sections = times(b.readUInt16LE(0x3c), (i) => {
    const at = first + i * size;
    const [offset, bytes] = [Number(b.readBigUInt64LE(at + 24)), Number(b.readBigUInt64LE(at + 32))];
    return { type: b.readUInt32LE(at + 4), offset, bytes, link: b.readUInt32LE(at + 40) };
  });
  const [symbolTable, dynamicSection] = [11, 6];
  const dynamic = sections.find((s) => s.type === dynamicSection);
  const symbols = sections.find((s) => s.type === symbolTable);
  if (!dynamic || !symbols) return { needs: [], exports: [] };
  const entries = times(dynamic.bytes / 16, (i) => [b.readBigUInt64LE(dynamic.offset + 16 * i), Number(b.readBigUInt64LE(dynamic.offset + 16 * i + 8))]);
  const needs = entries
    .filter(([tag]) => tag === 1n) // DT_NEEDED
    .map(([, name]) => text(b, sections[dynamic.link].offset + Number(name)));
  const names = times(symbols.bytes / 24, (i) => {
    const at = symbols.offset + 24 * i;
    return b.readUInt16LE(at + 6) === 0 ? '' : text(b, sections[symbols.link].offset + b.readUInt32LE(at)); // '': defined elsewhere
  });
  const versions = [...b.toString('latin1').matchAll(/GLIBC_2\.(\d+)/g)].map((m) => Number(m[1]));
  return { needs, exports: names.filter(Boolean), glibc: Math.max(0, ...versions) };
}

/** Mach-O, 64 bits, by its load commands. @param {Buffer} b @returns {Binary} */
function readMachO(b) {
  /** @type {Binary} */
  const found = { needs: [], exports: [], signed: false };
  /** @type {Record<number, (at: number) => void>} */
  const commands = {
    2: (at) => {
      // LC_SYMTAB; names begin with an underscore
      const [symbols, n, strings] = [8, 12, 16].map((o) => b.readUInt32LE(at + o));
      for (let s = symbols; s < symbols + 16 * n; s += 16) {
        const isExternal = (b[s + 4] & 1) === 1 && (b[s + 4] & 0x10) === 0; // not private
        if (isExternal && (b[s + 4] & 0xe) !== 0) found.exports.push(text(b, strings + b.readUInt32LE(s)).slice(1));
      }
    },
    12: (at) => found.needs.push(text(b, at + b.readUInt32LE(at + 8))), // LC_LOAD_DYLIB
    29: () => {
      found.signed = true; // LC_CODE_SIGNATURE
    },
    50: (at) => {
      found.macos = `${b.readUInt16LE(at + 14)}.${b[at + 13]}`; // LC_BUILD_VERSION
    },
  };
  for (let i = 0, at = 32; i < b.readUInt32LE(16); i++, at += b.readUInt32LE(at + 4)) commands[b.readUInt32LE(at)]?.(at);
  return found;
}

/** PE, 64 bits, by its directories. @param {Buffer} b @returns {Binary} */
function readPe(b) {
  const header = b.readUInt32LE(0x3c) + 24;
  const sections = times(b.readUInt16LE(header - 18), (i) => {
    const at = header + b.readUInt16LE(header - 4) + 40 * i;
    return { address: b.readUInt32LE(at + 12), bytes: b.readUInt32LE(at + 16), offset: b.readUInt32LE(at + 20) };
  });
  const offsetOf = (/** @type {number} */ address) => {
    const s = sections.find((x) => address >= x.address && address < x.address + x.bytes);
    return s ? address - s.address + s.offset : 0;
  };
  const [exported, imported] = [0, 1].map((i) => offsetOf(b.readUInt32LE(header + 112 + 8 * i)));
  /** @type {Binary} */
  const found = { needs: [], exports: [] };
  for (let at = imported; at && b.readUInt32LE(at + 12) !== 0; at += 20) found.needs.push(text(b, offsetOf(b.readUInt32LE(at + 12))));
  const names = exported && offsetOf(b.readUInt32LE(exported + 32));
  if (names) found.exports = times(b.readUInt32LE(exported + 24), (i) => text(b, offsetOf(b.readUInt32LE(names + 4 * i))));
  return found;
}

/** What each system brings along, and may therefore be needed. @type {Record<string, { read: (b: Buffer) => Binary, brings: RegExp }>} */
const systems = {
  linux: { read: readElf, brings: /^(lib(c|m|dl|pthread)\.so\.\d|ld-linux-[\w-]+\.so\.\d)$/ },
  darwin: {
    read: readMachO,
    brings: /^\/(usr\/lib\/libSystem\.B\.dylib|usr\/lib\/libresolv\.9\.dylib|System\/Library\/Frameworks\/CoreFoundation\.framework\/.*)$/,
  },
  win32: { read: readPe, brings: /^(KERNEL32|api-ms-win-crt-[a-z]+-l1-1-0)\.dll$/i },
};

// zig's linker for macOS hides nothing: its own names, C++'s operators new and delete, which macOS merges for all libraries
// and are malloc in each, and runtime/cgo's, which the library binds to itself and nobody sees (RTLD_LOCAL).
const macosOwn = /^(_mh_\w+|__dso_handle|_Z(n[aw]|d[al])\w*|(_|x_)cgo_\w+|(x_)?crosscall\w+)$/;

/** The library, as what lies beside it names it. */
const own = /^(libgguf_stream\.so|@loader_path\/libgguf_stream\.dylib|gguf_stream\.dll)$/;

/** What may leave a file, and must; an executable is called by nobody. @type {Record<string, { all: RegExp, one: string } | undefined>} */
const exported = {
  addon: { all: /^(napi_register_module_v1|node_api_module_get_api_version_v1)$/, one: 'napi_register_module_v1' },
  library: { all: /^gs_/, one: 'gs_start' },
};

/** Throws unless a file of a package runs on the oldest system that its row promises. @param {string} file @param {string} holds @param {Platform} p */
function checkBinary(file, holds, p) {
  const { read, brings } = systems[p.platform];
  const found = read(fs.readFileSync(file));
  const problems = found.needs.filter((n) => !brings.test(n) && !own.test(n)).map((n) => `needs ${n}`);
  const [, oldest = ''] = p.target.match(/(?:gnu\.2\.|macos\.)([\d.]+)$/) ?? [];
  if (found.glibc && found.glibc > Number(oldest)) problems.push(`needs glibc 2.${found.glibc}`);
  if (found.macos !== undefined && found.macos !== oldest) problems.push(`is for macOS ${found.macos} and later`);
  if (p.platform === 'darwin' && p.arch === 'arm64' && !found.signed) problems.push('is not signed');
  const rule = exported[holds];
  if (rule && !found.exports.includes(rule.one)) problems.push(`does not export ${rule.one}`);
  const strange = found.exports.filter((e) => !rule?.all.test(e) && !(p.platform === 'darwin' && macosOwn.test(e)));
  if (rule) problems.push(...strange.map((e) => `exports ${e}`));
  const name = path.basename(file);
  console.log(
    `${name}: ${[...found.needs, found.glibc && `glibc 2.${found.glibc}`, found.macos && `macOS ${found.macos}`].filter(Boolean).join(', ') || 'needs nothing'}`,
  );
  if (problems.length > 0) throw new Error(`${file} ${problems.join(', ')}; ${p.package} promises ${p.target}`);
}

module.exports = { checkBinary };
