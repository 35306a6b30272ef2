// Genhostile writes the files of package test/hostile and a list of them, for the tests in JavaScript:
//
//	go run ./scripts/genhostile FOLDER
//
// FOLDER/cases.json holds what each file is, where it is, and what it must be refused with.
package main

import (
	"encoding/json"
	"fmt"
	"os"
	"path/filepath"

	"gguf-stream/test/hostile"
)

// row is a case as JavaScript reads it.
type row struct {
	Section string `json:"section"`
	Name    string `json:"name"`
	Path    string `json:"path"`
	Code    string `json:"code"`  // "": legal
	Field   string `json:"field"` // "*": any
	Model   bool   `json:"model"` // openGguf takes it
	Same    bool   `json:"same"`  // its vectors are the first legal one's
}

func main() {
	if len(os.Args) != 2 {
		fmt.Fprintln(os.Stderr, "usage: genhostile FOLDER")
		os.Exit(2)
	}
	if err := write(os.Args[1]); err != nil {
		fmt.Fprintln(os.Stderr, "genhostile:", err)
		os.Exit(1)
	}
}

func write(folder string) error {
	var rows []row
	for i, c := range hostile.All() {
		path, err := c.Make(filepath.Join(folder, fmt.Sprintf("%03d.gguf", i)))
		if err != nil {
			return fmt.Errorf("%s: %w", c.Name, err)
		}
		rows = append(rows, row{c.Section, c.Name, path, string(c.Code), c.Field, c.Model, c.Same})
	}
	list, err := json.Marshal(rows)
	if err != nil {
		return err
	}
	return os.WriteFile(filepath.Join(folder, "cases.json"), list, 0o600)
}
