#!/usr/bin/env bash
# arm64 on another machine: builds the Go tests with a cross compiler and runs them in qemu-user. Kernels at
# the guard pages, all sets' bits, ggml's types bit for bit, the rotary tables, and vectors that must be
# x86-64's bytes. CC names another compiler; QEMU_CPU another processor (default max: every feature).
#   apt-get install gcc-aarch64-linux-gnu libc6-dev-arm64-cross qemu-user
set -euo pipefail
cd "$(dirname "$0")/.."

export CC="${CC:-aarch64-linux-gnu-gcc}" QEMU_LD_PREFIX="${QEMU_LD_PREFIX:-/usr/aarch64-linux-gnu}"
for tool in qemu-aarch64 $CC go; do
  command -v "$tool" >/dev/null || { echo "$tool is missing; see the head of $0"; exit 1; }
done

out=$PWD/build/arm64
mkdir -p "$out"
run() { # package, tests
  echo "== arm64 $1 $2"
  GOARCH=arm64 CGO_ENABLED=1 go test -c -o "$out/$(basename "$1").test" "./$1"
  (cd "$1" && qemu-aarch64 "$out/$(basename "$1").test" -test.short -test.failfast -test.run "$2")
}
run goloader/encoder .
run goloader/quant .
run goloader/embedder SameBytes
GGUF_STREAM_TEST_SETS=neondot,neon,portable run device/cpu 'AtTheFence|Required|Forced|Fuzz'
