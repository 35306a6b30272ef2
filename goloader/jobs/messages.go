package jobs

import (
	"time"

	"gguf-stream/goloader/embedder"
	"gguf-stream/goloader/limits"
)

// The JSON messages. js/embedder.js and js/gguf-file.js use the same names.

type openMessage struct {
	Path        string `json:"path"`
	Precision   string `json:"precision"` // "exact", "fast"
	Device      string `json:"device"`
	Pooling     string `json:"pooling"`
	Threads     int    `json:"threads"`
	MaxTokens   int    `json:"maxTokens"`
	MemoryLimit int64  `json:"memoryLimit"`
}

func (m *openMessage) options() (embedder.OpenOptions, error) {
	p, err := embedder.PrecisionOf(m.Precision)
	if err != nil {
		return embedder.OpenOptions{}, err
	}
	return embedder.OpenOptions{LoadOptions: embedder.LoadOptions{Path: m.Path, Precision: p, Device: m.Device, MemoryLimit: m.MemoryLimit},
		Pooling: m.Pooling, MaxTokens: m.MaxTokens, Threads: m.Threads}, nil
}

type openReply struct {
	Handle uint64        `json:"handle"`
	Info   embedder.Info `json:"info"`
}

type tokenizeMessage struct {
	embedder.CallOptions
	Count bool `json:"count"` // only the counts
}

type tokenizeReply struct {
	Counts []int `json:"counts"`
}

type fileOpenReply struct {
	Handle uint64            `json:"handle"`
	Info   embedder.FileInfo `json:"info"`
}

type fileMessage struct {
	Path        string `json:"path"`
	Key         string `json:"key"`
	Tensor      string `json:"tensor"`
	Precision   string `json:"precision"`
	From        int64  `json:"from"`
	Count       int64  `json:"count"`
	Offset      int64  `json:"offset"`
	MemoryLimit int64  `json:"memoryLimit"` // 0: the default budget
}

type peakMessage struct {
	Milliseconds int64 `json:"milliseconds"` // of each shape, at least
}

func (m *peakMessage) each() time.Duration {
	return time.Duration(min(m.Milliseconds, limits.MeasureMs)) * time.Millisecond
}

type outputMessage struct {
	Bytes       int64 `json:"bytes"`
	MemoryLimit int64 `json:"memoryLimit"` // 0: the default budget
}
