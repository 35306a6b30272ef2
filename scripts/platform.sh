# For scripts/test-*.sh: the packages of another platform in a project, and what they must print.

# lay FOLDER NAME ...: a project with the main package, the model's and others of build/packages, and test/boundary/platform.js
lay() {
  local folder=$1 name tarballs=(build/packages/gguf-stream-{[0-9],all-minilm}*.tgz)
  shift
  for name; do tarballs+=("build/packages/gguf-stream-$name"-[0-9]*.tgz); done
  rm -rf "$folder"
  mkdir -p "$folder"
  echo '{}' >"$folder/package.json"
  npm install --silent --no-audit --no-fund --force --offline --prefix "$folder" "${tarballs[@]}"
  cp test/boundary/platform.js "$folder/main.cjs"
}

# agrees OUT WAY CHECK ...: OUT.txt is what this machine's build prints, and OUT.log says that isolation: 'auto' was WAY
agrees() {
  local out=$1 way=$2
  shift 2
  node test/boundary/platform.js "$PWD" "$@" >"$out.here"
  cat "$out.txt" "$out.log"
  diff "$out.txt" "$out.here"
  grep -q "^auto: $way" "$out.log"
}
