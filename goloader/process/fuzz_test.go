package process

import (
	"bufio"
	"bytes"
	"encoding/binary"
	"os"
	"path/filepath"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/embedder"
	"gguf-stream/goloader/jobs"
	"gguf-stream/test/hostile"
)

// frame is a request as js/process.js writes it.
func frame(id uint32, kind jobs.Kind, handle uint64, request string, ends []uint32, texts string) []byte {
	h := []uint32{uint32(len(request) + 4*len(ends) + len(texts)), id, uint32(kind), 0, uint32(handle), uint32(handle >> 32), uint32(len(request)), uint32(len(ends))}
	var b []byte
	for _, v := range h {
		b = binary.LittleEndian.AppendUint32(b, v)
	}
	b = append(b, request...)
	for _, end := range ends {
		b = binary.LittleEndian.AppendUint32(b, end)
	}
	return append(b, texts...)
}

// whole counts the requests in bytes that read takes, cancellations aside, and says whether they end with a frame's end.
func whole(b []byte) (requests int, ends bool) {
	for ; len(b) >= requestHeader; requests++ {
		h := func(i int) int64 { return int64(binary.LittleEndian.Uint32(b[4*i:])) }
		if h(2) == 0 {
			requests--
			b = b[requestHeader:]
			continue
		}
		if h(0) < h(6)+4*h(7) || int64(len(b)-requestHeader) < h(0) {
			return requests, false
		}
		b = b[requestHeader+h(0):]
	}
	return requests, len(b) == 0
}

// responses counts the answers in bytes that send wrote; progress is none.
func responses(t *testing.T, b []byte) (n int) {
	for len(b) > 0 {
		require.GreaterOrEqual(t, len(b), responseHeader)
		if responseType(binary.LittleEndian.Uint32(b[4:])) != progress {
			n++
		}
		size := responseHeader
		for i := 2; i < 5; i++ {
			size += int(binary.LittleEndian.Uint32(b[4*i:]))
		}
		require.LessOrEqual(t, size, len(b))
		b = b[size:]
	}
	return n
}

// FuzzFrames: whatever stands in the pipe, each whole frame is answered once, a broken one ends the reading by an error,
// and nothing stays allocated.
func FuzzFrames(f *testing.F) {
	path := filepath.Join(f.TempDir(), "tiny.gguf")
	require.NoError(f, os.WriteFile(path, hostile.Tiny(), 0o600))
	core, err := jobs.New(embedder.Settings{Threads: 1})
	require.NoError(f, err)
	open, embed := frame(1, jobs.Open, 0, `{"path":"`+path+`"}`, nil, ""), frame(2, jobs.Embed, 1<<32|1, "", []uint32{5, 11}, "hello world")
	f.Add(open)
	f.Add(append(open, embed...))
	f.Add(embed[:len(embed)-3])
	f.Add(append(frame(7, 0, 0, "", nil, ""), frame(7, jobs.Diagnose+9, 0, "", nil, "")...))
	f.Add(frame(3, jobs.Tokenize, 1, `{"count":true}`, []uint32{9, 2, 1 << 31}, "out of order"))
	f.Add(frame(3, jobs.FileMetadata, 1, `{"from":-1}`, nil, ""))
	f.Add(bytes.Repeat([]byte{0xff}, 64))
	f.Fuzz(func(t *testing.T, in []byte) {
		var out bytes.Buffer
		c := &connection{core: core, ledger: core.Runtime().Ledger(), out: bufio.NewWriter(&out), running: map[uint32]*call{}}
		read := c.read(bytes.NewReader(in))
		requests, ends := whole(in)
		require.Equal(t, ends, read == nil, "%v", read)
		answered := func() int {
			c.writing.Lock()
			defer c.writing.Unlock()
			return responses(t, out.Bytes())
		}
		for deadline := time.Now().Add(10 * time.Second); answered() < requests; time.Sleep(100 * time.Microsecond) {
			require.True(t, time.Now().Before(deadline), "%d of %d answers", answered(), requests)
		}
		require.Equal(t, requests, answered())
		end := &call{connection: c, kind: jobs.End}
		core.Do(end)
		for deadline := time.Now().Add(10 * time.Second); c.ledger.Total() != 0 || c.ledger.Counters().Reserved.Load() != 0; time.Sleep(100 * time.Microsecond) {
			require.True(t, time.Now().Before(deadline), "%d bytes are left", c.ledger.Total())
		}
	})
}
