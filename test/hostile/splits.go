package hostile

import (
	"encoding/binary"
	"fmt"
	"os"
	"path/filepath"

	"gguf-stream/goloader/errs"
)

// parts is the tiny model in two files: the second one holds the last tensors.
type parts struct{ first, second *model }

const firstTensors = 5

func split() *parts {
	p := &parts{tiny("bert"), &model{version: 3, order: binary.LittleEndian, alignment: 32}}
	p.second.tensors = p.first.tensors[firstTensors:]
	p.first.tensors = p.first.tensors[:firstTensors]
	p.first.set("split.no", uint16(0))
	p.first.set("split.count", uint16(2))
	p.first.set("split.tensors.count", int32(len(p.first.tensors)+len(p.second.tensors)))
	p.second.set("split.no", uint16(1))
	p.second.set("split.count", uint16(2))
	return p
}

func partName(no, count int) string { return fmt.Sprintf("m-%05d-of-%05d.gguf", no, count) }

// write makes the folder path and both parts, and returns the first.
func (p *parts) write(path string) (string, error) {
	first := filepath.Join(path, partName(1, 2))
	if err := os.Mkdir(path, 0o700); err != nil {
		return "", err
	}
	if err := os.WriteFile(first, p.first.bytes(), 0o600); err != nil || p.second == nil {
		return first, err
	}
	return first, os.WriteFile(filepath.Join(path, partName(2, 2)), p.second.bytes(), 0o600)
}

func badSplit(name string, code caseError, change func(p *parts)) Case {
	return Case{Name: name, Code: code.code, Field: code.field, Write: func(path string) (string, error) {
		p := split()
		change(p)
		return p.write(path)
	}}
}

// badSecond replaces the second part by something else at its path.
func badSecond(name string, code caseError, make func(path string) error) Case {
	return Case{Name: name, Code: code.code, Field: code.field, Write: func(path string) (string, error) {
		p := split()
		p.second = nil
		first, err := p.write(path)
		if err != nil {
			return "", err
		}
		return first, make(filepath.Join(path, partName(2, 2)))
	}}
}

func splits() []Case {
	return append(specialSplits(), []Case{
		badSecond("the second part is missing", is(errs.FileOpen, "path"), func(string) error { return nil }),
		badSecond("the second part is a folder", is(errs.FileOpen, "path"), func(path string) error { return os.Mkdir(path, 0o700) }),
		badSecond("the second part is empty", is(errs.GGUFTruncated, "header"), func(path string) error { return os.WriteFile(path, nil, 0o600) }),
		badSecond("the second part is cut", is(errs.GGUFTruncated, AnyField), func(path string) error {
			whole := split().second.bytes()
			return os.WriteFile(path, whole[:len(whole)-100], 0o600)
		}),
		badSplit("the parts in the wrong order", is(errs.GGUFSplit, "split.no"), func(p *parts) { p.first.set("split.no", uint16(1)) }),
		badSplit("the second part is the first of another model", is(errs.GGUFSplit, "split.no"), func(p *parts) { p.second.set("split.no", uint16(0)) }),
		badSplit("the second part has no number", is(errs.GGUFSplit, "split.no"), func(p *parts) { p.second.drop("split.no") }),
		badSplit("a number that truncates to the right one", is(errs.GGUFSplit, "split.no"), func(p *parts) { p.second.set("split.no", uint32(1<<16+1)) }),
		badSplit("a negative number", is(errs.GGUFMetadata, "split.no"), func(p *parts) { p.second.set("split.no", int32(-1)) }),
		badSplit("a number of another type", is(errs.GGUFMetadata, "split.no"), func(p *parts) { p.second.set("split.no", "1") }),
		badSplit("the second part is of three", is(errs.GGUFSplit, "split.count"), func(p *parts) { p.second.set("split.count", uint16(3)) }),
		badSplit("65,535 parts", is(errs.GGUFSplit, "split.count"), func(p *parts) { p.first.set("split.count", uint16(65535)) }),
		badSplit("a count of another type", is(errs.GGUFMetadata, "split.count"), func(p *parts) { p.first.set("split.count", "2") }),
		badSplit("names for another count", is(errs.GGUFSplit, "split.count"), func(p *parts) { p.first.set("split.count", uint16(3)) }),
		badSplit("a tensor in both parts", is(errs.GGUFDuplicate, "token_embd.weight"), func(p *parts) { p.second.tensors[0] = p.first.tensors[0] }),
		badSplit("a tensor too few", is(errs.GGUFSplit, "split.tensors.count"), func(p *parts) { p.second.tensors = p.second.tensors[1:] }),
		badSplit("a negative tensor count", is(errs.GGUFMetadata, "split.tensors.count"), func(p *parts) { p.first.set("split.tensors.count", int32(-1)) }),
		badSplit("another version", is(errs.GGUFSplit, "version"), func(p *parts) { p.second.version = 2 }),
		badSplit("another byte order", is(errs.GGUFSplit, "version"), func(p *parts) { p.second.order = binary.BigEndian }),
		badSplit("another alignment that is none", is(errs.GGUFAlignment, alignmentKey), func(p *parts) { p.second.set(alignmentKey, uint32(0)) }),
		{Name: "the second part by itself", Code: errs.GGUFSplit, Field: "split.no", Write: func(path string) (string, error) {
			p := split()
			p.second.set("general.architecture", "bert")
			if _, err := p.write(path); err != nil {
				return "", err
			}
			return filepath.Join(path, partName(2, 2)), nil
		}},
		{Name: "a first part without the name of one", Code: errs.GGUFSplit, Field: "split.count", Bytes: func() []byte { return split().first.bytes() }},
	}...)
}
