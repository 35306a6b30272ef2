//go:build unix

package gguf

import (
	"path/filepath"
	"syscall"
	"testing"

	"github.com/stretchr/testify/require"
)

// specialFiles are paths to what is no regular file.
func specialFiles(t *testing.T, dir string) []string {
	fifo := filepath.Join(dir, "fifo")
	require.NoError(t, syscall.Mkfifo(fifo, 0o600))
	return []string{fifo, "/dev/zero"}
}
