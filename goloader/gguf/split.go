package gguf

import (
	"fmt"
	"regexp"
	"strconv"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
)

// Split files: `<prefix>-00001-of-00003.gguf`; all metadata is in the first part, the others hold only
// split.* (llama.cpp's gguf-split).
const (
	splitNo      = "split.no"
	splitCount   = "split.count"
	splitTensors = "split.tensors.count"
)

var splitName = regexp.MustCompile(`^(.*)-(\d{5})-of-(\d{5})\.gguf$`)

func (f *File) openParts(path string) error {
	if err := f.openPart(path); err != nil {
		return err
	}
	if err := f.readHeader(0); err != nil {
		return err
	}
	count, err := f.Uint(splitCount, 1)
	if err != nil {
		return err
	}
	if count <= 1 {
		return nil
	}
	return f.openFurtherParts(path, count)
}

func (f *File) openFurtherParts(path string, count uint64) error {
	no, err := f.Uint(splitNo, 0)
	if err != nil {
		return err
	}
	name := splitName.FindStringSubmatch(path)
	switch {
	case count > limits.SplitParts:
		return errs.New(errs.GGUFSplit, splitCount, "%d parts; at most %d are allowed", count, limits.SplitParts)
	case no != 0:
		return errs.New(errs.GGUFSplit, splitNo, "this is part %d of %d; open the first part", no+1, count)
	case name == nil || name[3] != fmt.Sprintf("%05d", count):
		return errs.New(errs.GGUFSplit, splitCount, "a first part of %d must be named like model-00001-of-%05d.gguf", count, count)
	}
	for i := 2; i <= int(count); i++ {
		if err := f.openPart(fmt.Sprintf("%s-%05d-of-%s.gguf", name[1], i, name[3])); err != nil {
			return err
		}
		if err := f.readHeader(i - 1); err != nil {
			return err
		}
	}
	total, err := f.Uint(splitTensors, uint64(f.tensors.count))
	if err == nil && total != uint64(f.tensors.count) {
		err = errs.New(errs.GGUFSplit, splitTensors, "the parts hold %d tensors, but %s says %d", f.tensors.count, splitTensors, total)
	}
	return err
}

func (f *File) openPart(path string) error {
	file, identity, err := openFile(path)
	if err != nil {
		return err
	}
	f.parts = append(f.parts, part{path: path, src: file, file: file.File, identity: identity})
	return nil
}

// readSplitPairs checks a further part's split.no and passes over its other pairs.
func (f *File) readSplitPairs(c *cursor, partIndex int, count int64) error {
	found := false
	for range count {
		e, key, err := c.pairEntry()
		if err != nil {
			return err
		}
		if err := c.skipValue(ValueType(e.typ), 0); err != nil {
			return err
		}
		if key != splitNo {
			continue
		}
		found = true
		if err := f.checkSplitNo(c, e, partIndex); err != nil {
			return err
		}
	}
	if !found {
		return errs.New(errs.GGUFSplit, splitNo, "part %d has no %s", partIndex+1, splitNo)
	}
	return nil
}

func (f *File) checkSplitNo(c *cursor, e pairEntry, partIndex int) error {
	size := valueInfo[e.typ].bytes
	if !ValueType(e.typ).integer() {
		return errs.At(errs.GGUFSplit, splitNo, e.valueAt, "%s is of type %s; an integer was expected", splitNo, ValueType(e.typ))
	}
	var b [8]byte
	if err := readFull(c.src, b[:size], e.valueAt, splitNo); err != nil {
		return err
	}
	if no := f.bits(ValueType(e.typ), b[:size]); no != uint64(partIndex) {
		return errs.At(errs.GGUFSplit, splitNo, e.valueAt, "%s is %s where %d was expected", splitNo, strconv.FormatInt(int64(no), 10), partIndex)
	}
	return nil
}
