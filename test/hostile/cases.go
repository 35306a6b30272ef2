// Package hostile makes files that are no good models, each named by what is broken, and odd ones that are legal. It is
// the one list behind the reader's Go tests, the tests through the JavaScript API and through the command line
// (scripts/genhostile writes the files), and the seeds of the fuzz targets.
//
//	header.go      what a reader of bytes must refuse          model.go     what a reader of models must refuse
//	formats.go     other formats under the name .gguf          vocabulary.go, weights.go   the same, inside
//	truncation.go  every structural boundary                   system.go    what is no file, sparse files, splits
//	legal.go       must open and embed                         tiny.go      the good model that the others are mutations of
package hostile

import (
	"os"

	"gguf-stream/goloader/errs"
)

// Case is one file.
type Case struct {
	Section string
	Name    string    // what is broken
	Code    errs.Code // "": legal
	Field   string
	// Model says that the container is sound: only loading it as a model fails.
	Model bool
	// Same says that a legal file holds the tiny model's weights and vocabulary, so its vectors are that one's.
	Same bool
	// Bytes is the content; nil where Write makes something that is no plain file of bytes.
	Bytes func() []byte
	// Write makes the case at path, which does not exist yet, and returns what to open (path itself, or a name beside it).
	Write func(path string) (string, error)
}

// Make writes the case and returns the path to open.
func (c *Case) Make(path string) (string, error) {
	if c.Write != nil {
		return c.Write(path)
	}
	return path, os.WriteFile(path, c.Bytes(), 0o600)
}

// All lists every case.
func All() []Case {
	var all []Case
	for _, section := range []struct {
		name  string
		cases []Case
	}{{"header", header}, {"other formats", otherFormats()}, {"truncation", truncations()}, {"hyperparameters", hyperparameters()}, {"tensors", tensors()},
		{"vocabulary", vocabularies()}, {"weights", weights()}, {"splits", splits()}, {"system", system()}, {"legal", legal()}} {
		for _, c := range section.cases {
			c.Section = section.name
			all = append(all, c)
		}
	}
	return all
}
