package gguf

import (
	"bytes"
	"encoding/binary"
)

// formats are files that are often found in a model's place, by how they begin.
var formats = []struct {
	name, todo string
	begins     func(b []byte) bool
}{
	{"a Git LFS pointer", "fetch the file itself with git lfs pull", prefix("version https://git-lfs")},
	{"a safetensors file", convert, func(b []byte) bool {
		return len(b) > 8 && binary.LittleEndian.Uint64(b) <= safetensorsHeader && b[8] == '{'
	}},
	{"an ONNX model", convert, func(b []byte) bool { return len(b) > 2 && b[0] == 0x08 && b[1] < 0x20 && onnxFields[b[2]] }},
	{"a zip archive, as PyTorch models are", convert, prefix("PK\x03\x04")},
	{"an HTML page", download, prefix("<!doctype html")},
	{"an HTML page", download, prefix("<html")},
}

const (
	convert  = "convert the model to GGUF, or name its .gguf file"
	download = "the download got an answer for people; download the .gguf file again"
)

// safetensorsHeader is the longest header, of JSON after its length, that safetensors reads itself.
const safetensorsHeader = 100_000_000

// onnxFields are the tags of protobuf that follow ir_version in ONNX files: opset_import, producer_name or graph.
var onnxFields = map[byte]bool{0x42: true, 0x12: true, 0x3a: true}

// prefix compares without case.
func prefix(p string) func(b []byte) bool {
	return func(b []byte) bool { return len(b) >= len(p) && bytes.EqualFold(b[:len(p)], []byte(p)) }
}

// mistaken says what a file without GGUF's magic is, ": " before it; nothing if that is not known.
func mistaken(beginning []byte) string {
	for _, f := range formats {
		if f.begins(beginning) {
			return ": it is " + f.name + "; " + f.todo
		}
	}
	return ""
}
