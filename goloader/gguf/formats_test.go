package gguf

import (
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/test/source"
)

// TestMistakenFormats: what is known to lie in a model's place is named, however short; nothing is said of the rest.
func TestMistakenFormats(t *testing.T) {
	for _, c := range []struct{ begins, says string }{
		{"version https://git-lfs.github.com/spec/v1\noid sha256:00\nsize 25\n", "not with GGUF: it is a Git LFS pointer; fetch"},
		{"\x40\x00\x00\x00\x00\x00\x00\x00{\"__metadata__\":{}}", "a safetensors file; convert"},
		{"\x08\x08\x12\x07pytorch", "an ONNX model; convert"},
		{"\x08\x07\x3a\xff\xff\x01", "an ONNX model; convert"},
		{"PK\x03\x04", "a zip archive, as PyTorch models are; convert"},
		{"<!DOCTYPE html>\n<html>", "an HTML page; the download"},
		{"<HTML lang=en>", "an HTML page; the download"},
	} {
		_, err := openBytes(t, &source.Memory{Data: []byte(c.begins)})
		e := errs.From(err)
		require.NotNil(t, e)
		require.Equal(t, errs.GGUFMagic, e.Code)
		require.Contains(t, e.Error(), c.says)
	}
	for _, begins := range []string{"vers", "<htm", "\x08\x00\x00\x00", "\x40\x00\x00\x00\x00\x00\x00\x00", "lmgg\x00\x00\x00\x00{"} {
		_, err := openBytes(t, &source.Memory{Data: []byte(begins)})
		require.Regexp(t, "not with GGUF$", errs.From(err).Message)
	}
}
