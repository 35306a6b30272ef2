package gguf

import "testing"

// specialFiles are paths to what is no regular file.
func specialFiles(*testing.T, string) []string { return []string{"NUL"} }
