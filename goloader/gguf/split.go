package gguf

import (
	"fmt"
	"strconv"
	"strings"

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
	paths := partPaths(path)
	if err := checkFirstPart(uint64(len(paths)) == count, no, count); err != nil {
		return f.locate(err)
	}
	for i := 1; i < len(paths); i++ {
		err := f.openPart(paths[i])
		if err == nil {
			err = f.readHeader(i)
		}
		if err != nil {
			return inPart(i, len(paths), err)
		}
	}
	total, err := f.Uint(splitTensors, uint64(f.tensors.count))
	if err == nil && total != uint64(f.tensors.count) {
		err = errs.New(errs.GGUFSplit, splitTensors, "the parts hold %d tensors, but %s says %d", f.tensors.count, splitTensors, total)
	}
	return f.locate(err)
}

// inPart is an error of a further part that says which: its offset counts from that part's start.
func inPart(i, count int, err error) error {
	e := errs.From(err)
	e.Message = fmt.Sprintf("part %d of %d: %s", i+1, count, e.Message)
	return e
}

// partPaths are the paths of all parts that the name of a first part promises, or path alone.
func partPaths(path string) []string {
	// no regular expression: the package is not worth its 266 KB in each file that is published
	const first, digits, end = "-00001-of-", "00000", ".gguf"
	number := max(len(path)-len(digits+end), 0)
	prefix, named := strings.CutSuffix(path[:number], first)
	count, err := strconv.ParseUint(strings.TrimSuffix(path[number:], end), 10, 32)
	if !named || err != nil || count > limits.SplitParts {
		return []string{path}
	}
	paths := []string{path}
	for i := uint64(2); i <= count; i++ {
		paths = append(paths, fmt.Sprintf("%s-%05d-of-%05d%s", prefix, i, count, end))
	}
	return paths
}

func checkFirstPart(named bool, no, count uint64) error {
	switch {
	case count > limits.SplitParts:
		return errs.New(errs.GGUFSplit, splitCount, "%d parts; at most %d are allowed", count, limits.SplitParts)
	case no != 0:
		return errs.New(errs.GGUFSplit, splitNo, "this is part %d of %d; open the first part", no+1, count)
	case !named:
		return errs.New(errs.GGUFSplit, splitCount, "a first part of %d must be named like model-00001-of-%05d.gguf", count, count)
	}
	return nil
}

func (f *File) openPart(path string) error {
	file, identity, err := openFile(path)
	if err != nil {
		return err
	}
	var src Source = file
	if f.wrap != nil {
		src = f.wrap(src)
	}
	f.parts = append(f.parts, part{path: path, src: src, file: file.File, identity: identity, alignment: defaultAlignment})
	return nil
}

// readSplitPairs checks a further part's split.* and learns its alignment; its other pairs are passed over.
func (f *File) readSplitPairs(c *cursor, partIndex int, count int64) error {
	parts, err := f.Uint(splitCount, 0)
	if err != nil {
		return err
	}
	wanted := map[string]uint64{splitNo: uint64(partIndex), splitCount: parts}
	found := false
	for range count {
		e, key, err := c.pairEntry()
		if err != nil {
			return err
		}
		if err := c.skipValue(ValueType(e.typ), 0); err != nil {
			return err
		}
		if want, checked := wanted[key]; checked {
			found = found || key == splitNo
			err = f.checkSplit(Value{file: f, part: partIndex, key: key, typ: ValueType(e.typ), at: e.valueAt}, want)
		} else if key == alignmentKey {
			err = f.readAlignment(partIndex, e)
		}
		if err != nil {
			return err
		}
	}
	if !found {
		return errs.New(errs.GGUFSplit, splitNo, "%s is missing", splitNo)
	}
	return nil
}

func (f *File) checkSplit(v Value, want uint64) error {
	n, err := v.Uint()
	if err == nil && n != want {
		err = errs.At(errs.GGUFSplit, v.key, v.at, "%s is %d where %d was expected", v.key, n, want)
	}
	return err
}
