package floors

import (
	"go/parser"
	"go/token"
	"io/fs"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// floors: a package imports only lower floors, never its own. Tests may import sideways.
var floors = map[string]int{
	"goloader/errs": 0, "goloader/limits": 0, "test/source": 0,
	"goloader/memory": 1, "goloader/tensor": 1, "goloader/quant": 1,
	"goloader/gguf": 2, "goloader/tokenizer": 2, "device": 2,
	"goloader/stream": 3, "device/cpu": 3, "device/reference": 3,
	"goloader/encoder":  4,
	"goloader/embedder": 5,
	"goloader/jobs":     6,
	"goloader/process":  7, "scripts/genmodels": 7, "test/hostile": 7,
	"goloader/capi": 8, "goloader/program": 8, "scripts/genhostile": 8,
}

// foreign would write to the host's streams (a closed stdout then ends it by SIGPIPE), take its signals or start
// processes. goloader/program is a process of its own.
var foreign = map[string]bool{"log": true, "log/slog": true, "os/signal": true, "os/exec": true}

// cgoPackages may import "C"; all else builds without a C compiler.
var cgoPackages = map[string]bool{"device/cpu": true, "goloader/capi": true}

func TestImportsPointDown(t *testing.T) {
	seen := map[string]bool{}
	err := filepath.WalkDir(".", func(path string, d fs.DirEntry, err error) error {
		if d.IsDir() && (d.Name() == "node_modules" || d.Name() == "build" || d.Name() == ".git") {
			return filepath.SkipDir
		}
		if err != nil || !strings.HasSuffix(path, ".go") || strings.HasSuffix(path, "_test.go") {
			return err
		}
		dir := filepath.ToSlash(filepath.Dir(path))
		floor, known := floors[dir]
		require.True(t, known, "package %s has no floor", dir)
		seen[dir] = true
		file, err := parser.ParseFile(token.NewFileSet(), path, nil, parser.ImportsOnly)
		require.NoError(t, err)
		for _, spec := range file.Imports {
			name, _ := strconv.Unquote(spec.Path.Value)
			if name == "C" {
				require.True(t, cgoPackages[dir], "%s imports C", path)
			}
			if dir != "goloader/program" && !strings.HasPrefix(dir, "scripts/") {
				require.False(t, foreign[name], "%s imports %s", path, name)
			}
			if own, found := strings.CutPrefix(name, "gguf-stream/"); found {
				require.Less(t, floors[own], floor, "%s imports %s", path, own)
			}
		}
		return nil
	})
	require.NoError(t, err)
	require.Len(t, seen, len(floors), "a floor without a package")
}
