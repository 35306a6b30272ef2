package gguf

import (
	"encoding/binary"
	"errors"
	"io"
	"io/fs"
	"os"
	"strings"
	"syscall"

	"gguf-stream/goloader/errs"
)

// Source is a file's bytes. ReadAt may return fewer bytes than asked for together with an error; the
// reader goes on after short reads.
type Source interface {
	io.ReaderAt
	Size() int64
}

// Identity tells whether two opens found the same unchanged file.
type Identity struct {
	Device, Inode uint64
	Size, MTimeNs int64
}

// Fingerprint is the identities of all parts of a file, one behind another: a key of maps.
type Fingerprint string

func (p Fingerprint) with(id Identity) Fingerprint {
	b, _ := binary.Append(nil, binary.LittleEndian, id)
	return p + Fingerprint(b)
}

// StartsWith says whether the parts of o are the first ones of p. A name may promise more parts than the file has.
func (p Fingerprint) StartsWith(o Fingerprint) bool { return strings.HasPrefix(string(p), string(o)) }

type osFile struct {
	*os.File
	size int64
}

func (f osFile) Size() int64 { return f.size }

// openFile refuses whatever is no regular file before opening it: opening a FIFO would block.
func openFile(path string) (osFile, Identity, error) {
	info, err := os.Stat(path)
	if err != nil {
		return osFile{}, Identity{}, cannotOpen(path, err)
	}
	if !info.Mode().IsRegular() {
		return osFile{}, Identity{}, errs.New(errs.FileOpen, "path", "no regular file (%s); name a .gguf file: %s", info.Mode().Type(), path)
	}
	f, err := os.OpenFile(path, os.O_RDONLY|syscall.O_NONBLOCK, 0)
	if err != nil {
		return osFile{}, Identity{}, cannotOpen(path, err)
	}
	return opened(f, path)
}

// opened looks again: what stood at path may have been replaced since it was looked at.
func opened(f *os.File, path string) (osFile, Identity, error) {
	info, err := f.Stat()
	if err != nil || !info.Mode().IsRegular() {
		f.Close()
		return osFile{}, Identity{}, errs.New(errs.FileOpen, "path", "the file was replaced while it was opened: %s", path)
	}
	return osFile{f, info.Size()}, identityOf(f, info), nil
}

// cannotOpen says why before it says what: a long path would push the cause out of the message where that is cut.
func cannotOpen(path string, err error) error {
	var of *fs.PathError
	if errors.As(err, &of) {
		err = of.Err
	}
	e := errs.New(errs.FileOpen, "path", "cannot open the model file: %v: %s", err, path)
	e.Err = err
	return e
}

func identityOf(f *os.File, info os.FileInfo) Identity {
	id := Identity{Size: info.Size(), MTimeNs: info.ModTime().UnixNano()}
	id.Device, id.Inode = nodeOf(f, info)
	return id
}

// Identify is the fingerprint of the file at path with all parts that its name promises, up to the first that cannot be
// opened: opening the file says why, if it has that part.
func Identify(path string) (p Fingerprint, err error) {
	for i, part := range partPaths(path) {
		f, id, err := openFile(part)
		if i > 0 && err != nil {
			return p, nil
		}
		if err != nil {
			return "", err
		}
		f.Close()
		p = p.with(id)
	}
	return p, nil
}

// readFull fills dst from offset on. field names what is read, for the error.
func readFull(src Source, dst []byte, offset int64, field string) error {
	for n := 0; n < len(dst); {
		m, err := src.ReadAt(dst[n:], offset+int64(n))
		n += m
		switch {
		case n == len(dst):
		case errors.Is(err, syscall.EINTR), err == nil && m > 0:
		case err == nil, errors.Is(err, io.EOF), errors.Is(err, io.ErrUnexpectedEOF):
			return truncated(field, offset+int64(n), int64(len(dst)-n))
		default:
			return errs.Wrap(err, errs.FileRead, field, offset+int64(n), "reading %d bytes at offset %d", len(dst)-n, offset+int64(n))
		}
	}
	return nil
}

func truncated(field string, offset, missing int64) error {
	return errs.At(errs.GGUFTruncated, field, offset, "the file ends at offset %d, %d bytes too early; download it again", offset, missing)
}
