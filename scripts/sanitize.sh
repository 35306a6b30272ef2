#!/usr/bin/env bash
# AddressSanitizer and UndefinedBehaviorSanitizer, gcc's. The C of device/cpu (kernels, packing, pool, execution) by
# its Go tests; with --addon the addon by jest under Node: `scripts/sanitize.sh [--addon [test files]]`. With --valgrind a life
# of the package, under Node without its compiler, by memcheck: what scripts/valgrind.supp passes over is Go's change of stacks.
set -euo pipefail
cd "$(dirname "$0")/.."

out=$PWD/build/sanitize
flags='-g -fsanitize=undefined -fno-sanitize-recover=all'
mkdir -p "$out"

kernels() {
  # -O1 comes last: cgo puts the package's -O3 behind its own flags. Sanitized frames are larger than the code's, and at -O1
  # gcc takes arrays for uninitialized that a loop has filled.
  printf '#!/bin/sh\nexec gcc "$@" -O1 -Wno-frame-larger-than -Wno-maybe-uninitialized\n' >"$out/cc"
  chmod +x "$out/cc"
  CC=$out/cc CGO_CFLAGS=$flags CGO_LDFLAGS=-fsanitize=undefined \
    go test -asan -count=1 -short -timeout 30m -run 'AtTheFence|Required|FuzzKernelSets|Pack|Builders|SameBits|Schedule' ./device/cpu
}

addon() {
  node scripts/build.js
  local defines
  defines=$(python3 -c 'import ast; print(*("-D" + d for d in ast.literal_eval(open("binding.gyp").read())["targets"][0]["defines"]))')
  # shellcheck disable=SC2010,SC2046,SC2086 # several flags each, and files
  g++ -shared -fPIC -O1 -std=c++17 -fvisibility=hidden -fsanitize=address $flags $defines -Igoloader/capi \
    -I"$(node -p "require('node-api-headers').include_dir")" -I"$(node -p "require('node-addon-api').include_dir")" \
    -Wl,-z,nodelete -o "$out/gguf_stream.node" $(ls addon/*.cc | grep -v windows)
  cp build/native/libgguf_stream.so "$out"
  # node itself leaks by design, and V8 handles WebAssembly's faults
  GGUF_STREAM_BINARY=$out/gguf_stream.node ASAN_OPTIONS=detect_leaks=0:allow_user_segv_handler=1 \
    LD_PRELOAD="$(gcc -print-file-name=libasan.so) $(gcc -print-file-name=libubsan.so)" \
    node node_modules/jest/bin/jest.js -i "$@"
}

memcheck() {
  [ -f build/native/gguf_stream.node ] || node scripts/build.js
  # valgrind knows no AVX-512; memory's definedness is not asked of code that V8 and Go make
  GGUF_STREAM_KERNELS=${GGUF_STREAM_KERNELS:-avx2} valgrind --quiet --error-exitcode=9 --smc-check=all-non-file --undef-value-errors=no \
    --num-callers=20 --suppressions=scripts/valgrind.supp node --jitless --no-opt test/boundary/life.js
}

case "${1:-}" in
  --addon)
    shift
    [ $# -gt 0 ] || set -- test/boundary/lifetimes test/boundary/arguments
    addon "$@"
    ;;
  --valgrind) memcheck ;;
  *) kernels ;;
esac
