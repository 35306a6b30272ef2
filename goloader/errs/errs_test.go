package errs

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"regexp"
	"strings"
	"testing"

	"github.com/stretchr/testify/require"
)

// tableLines is Table as docs/errors.md prints it.
func tableLines() (lines []string) {
	for _, r := range Table {
		lines = append(lines, fmt.Sprintf("| `%s` | %s | %s | %s |", r.Code, r.Kind, r.Meaning, r.Cure))
	}
	return lines
}

func TestDocumentsListEveryCode(t *testing.T) {
	document, err := os.ReadFile("../../docs/errors.md")
	require.NoError(t, err)
	types, err := os.ReadFile("../../js/index.d.ts")
	require.NoError(t, err)
	for _, line := range tableLines() {
		require.Contains(t, string(document), line)
	}
	for _, r := range Table {
		require.Contains(t, string(types), "'"+string(r.Code)+"'")
	}
	require.Equal(t, len(Table), strings.Count(string(types), "'ERR_"), "index.d.ts lists no other codes")
}

// TestJavaScriptAndTheAddonStateTheSameKinds: the errors that they make themselves name code and kind.
func TestJavaScriptAndTheAddonStateTheSameKinds(t *testing.T) {
	pair := regexp.MustCompile(`['"](ERR_[A-Z_]+)['"][^'"]{1,60}['"]([a-z]+)['"]`)
	found := 0
	for _, folder := range []string{"../../js", "../../addon"} {
		err := filepath.WalkDir(folder, func(path string, d fs.DirEntry, err error) error {
			if err != nil || d.IsDir() || filepath.Ext(path) == ".ts" {
				return err
			}
			source, err := os.ReadFile(path)
			for _, m := range pair.FindAllSubmatch(source, -1) {
				found++
				require.Equal(t, New(Code(m[1]), "", "").Kind(), Kind(m[2]), "%s: %s", path, m[1])
			}
			return err
		})
		require.NoError(t, err)
	}
	require.GreaterOrEqual(t, found, 20)
}

func TestKindsAndCauses(t *testing.T) {
	seen := map[Code]bool{}
	for _, r := range Table {
		require.False(t, seen[r.Code], "%s stands twice", r.Code)
		seen[r.Code] = true
		require.Equal(t, r.Kind, New(r.Code, "", "x").Kind())
	}
	cause := errors.New("disk")
	err := Wrap(cause, FileRead, "path", 7, "reading")
	require.ErrorIs(t, err, cause)
	require.Equal(t, "ERR_FILE_READ: reading: disk", err.Error())
	require.Equal(t, err, From(fmt.Errorf("outer: %w", err)))
	require.Equal(t, InternalFault, From(cause).Code)
	require.Equal(t, Internal, New("ERR_UNLISTED", "", "x").Kind())
	require.Nil(t, From(nil))
	require.Equal(t, "ERR_ABORTED: the call was cancelled", Cancelled("blk.0").Error())
	require.Equal(t, "blk.0", Cancelled("blk.0").Field)
	fault := Fault("blk.0", errors.New("index out of range"))
	require.Equal(t, "ERR_INTERNAL: a fault of this library, please report it: index out of range", fault.Error())
	require.Equal(t, "blk.0", fault.Field)
}

// TestMessagesAreOneLine, whatever a file calls its keys.
func TestMessagesAreOneLine(t *testing.T) {
	key := "a\nb\x00\x1b[2J\u2028\u202e\\ é 'c'"
	const want = `a\nb\x00\x1b[2J\u2028\u202e\ é 'c'`
	require.Equal(t, want+" stands twice", New(GGUFDuplicate, key, "%s stands twice", key).Message)
	require.Equal(t, key, New(GGUFDuplicate, key, "").Field, "the name itself")
	require.Equal(t, "reading: "+want, Wrap(errors.New(key), FileRead, "", 0, "reading").Message)
}
