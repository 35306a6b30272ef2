//go:build unix

package hostile

import (
	"net"
	"os"
	"path/filepath"
	"syscall"

	"gguf-stream/goloader/errs"
)

// special are paths to what looks like a file and is none.
func special() []Case {
	at := func(path string, err error) (string, error) { return path, err }
	return []Case{
		noFile("a FIFO", func(path string) (string, error) { return at(path, syscall.Mkfifo(path, 0o600)) }),
		noFile("a socket", makeSocket),
		noFile("/dev/null", func(string) (string, error) { return "/dev/null", nil }),
		noFile("/dev/zero", func(string) (string, error) { return "/dev/zero", nil }),
		noFile("a link to a FIFO", func(path string) (string, error) {
			if err := syscall.Mkfifo(path+".fifo", 0o600); err != nil {
				return "", err
			}
			return at(path, os.Symlink(path+".fifo", path))
		}),
	}
}

func specialSplits() []Case {
	return []Case{
		badSecond("the second part is a FIFO", is(errs.FileOpen, "path"), func(path string) error { return syscall.Mkfifo(path, 0o600) }),
	}
}

// makeSocket leaves a socket without a listener. Its path must be short, so it is made relative to the folder.
func makeSocket(path string) (string, error) {
	short, err := os.MkdirTemp("", "s")
	if err != nil {
		return "", err
	}
	defer os.RemoveAll(short)
	l, err := net.ListenUnix("unix", &net.UnixAddr{Name: filepath.Join(short, "s"), Net: "unix"})
	if err != nil {
		return "", err
	}
	l.SetUnlinkOnClose(false)
	if err := l.Close(); err != nil {
		return "", err
	}
	return path, os.Rename(filepath.Join(short, "s"), path)
}
