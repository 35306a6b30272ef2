package jobs

import (
	"encoding/binary"
	"encoding/json"
	"os"
	"path/filepath"
	"sync/atomic"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/embedder"
	"gguf-stream/goloader/errs"
	"gguf-stream/test/hostile"
)

// fakeCall is a Call as a careless carrier would make it.
type fakeCall struct {
	kind      Kind
	owner     uint64
	handle    uint64
	request   []byte
	texts     []byte
	ends      []uint64
	cancelled atomic.Uint32
	reply     []byte
	finished  atomic.Int32
	done      chan error
}

func (c *fakeCall) Kind() Kind                { return c.kind }
func (c *fakeCall) Owner() uint64             { return c.owner }
func (c *fakeCall) Handle() uint64            { return c.handle }
func (c *fakeCall) Request() []byte           { return c.request }
func (c *fakeCall) TextCount() int            { return len(c.ends) }
func (c *fakeCall) Texts() [][]byte           { return SplitTexts(c.texts, c.ends) }
func (c *fakeCall) Cancelled() *atomic.Uint32 { return &c.cancelled }
func (c *fakeCall) Reply(json []byte)         { c.reply = json }

func (c *fakeCall) Progress() func(loaded, total int64, tensor string) { return nil }

func (c *fakeCall) Output(bytes int64) ([]byte, error) {
	if bytes > 1<<20 {
		return nil, errs.New(errs.MemoryAllocation, "output", "%d bytes", bytes)
	}
	return make([]byte, bytes+8)[:bytes], nil
}

func (c *fakeCall) Finish(err error) {
	c.finished.Add(1)
	c.done <- err
}

// opened is the handle in the reply, 0 if there is none.
func (c *fakeCall) opened() uint64 {
	var r struct{ Handle uint64 }
	_ = json.Unmarshal(c.reply, &r)
	return r.Handle
}

func do(t testing.TB, core *Core, c *fakeCall) error {
	c.done = make(chan error, 4)
	core.Do(c)
	select {
	case err := <-c.done:
		require.EqualValues(t, 1, c.finished.Load())
		return err
	case <-time.After(10 * time.Second):
		t.Fatalf("job %d with %q hangs", c.kind, c.request)
		return nil
	}
}

// FuzzCall: whatever the kind, the handle, the JSON and the texts' ends, a job is answered once, by a typed error or a
// reply. A fault of ours is an answer only to what no carrier sends: broken JSON, ends out of order, unknown kinds.
func FuzzCall(f *testing.F) {
	path := filepath.Join(f.TempDir(), "tiny.gguf")
	require.NoError(f, os.WriteFile(path, hostile.Tiny(), 0o600))
	core, err := New(embedder.Settings{Threads: 1})
	require.NoError(f, err)
	open := func(t testing.TB, kind Kind) uint64 {
		c := &fakeCall{kind: kind, request: []byte(`{"path":"` + path + `"}`)}
		require.NoError(t, do(t, core, c))
		return c.opened()
	}
	for _, request := range []string{`{"dimensions":3,"task":"query","details":true}`, `{"maxTokens":-1,"prefix":"a","truncate":false}`, `{"key":"bert.block_count"}`,
		`{"from":-9223372036854775808,"count":9223372036854775807}`, `{"key":"tokenizer.ggml.tokens","from":3,"count":2}`, `{"tensor":"token_embd.weight","offset":-34}`,
		`{"tensor":"blk.0.attn_q.weight","offset":68}`, `{"precision":"fast"}`, `{"path":"/dev/null"}`, `null`, `[]`, `{`, ``} {
		for kind := Open; kind <= Peak; kind++ {
			f.Add(uint32(kind), uint8(kind), []byte(request), []byte("hello world a b"), []byte{5, 11, 15})
		}
	}
	f.Fuzz(func(t *testing.T, kind uint32, which uint8, request, texts, ends []byte) {
		embedding, file := open(t, Open), open(t, FileOpen)
		handle := []uint64{embedding, file, 0, uint64(which) << 29}[which%4]
		c := &fakeCall{kind: Kind(kind % uint32(Peak+2)), handle: handle, request: request, texts: texts}
		trusted := c.kind == Embed || handlers[c.kind] != nil
		last := uint64(0)
		for _, end := range ends {
			c.ends = append(c.ends, uint64(end))
			trusted = trusted && uint64(end) >= last && uint64(end) <= uint64(len(texts))
			last = uint64(end)
		}
		if len(ends) > 8 {
			c.ends[8] = binary.LittleEndian.Uint64(ends)
			trusted = false
		}
		err := do(t, core, c)
		if err != nil {
			var e *errs.Error
			require.ErrorAs(t, err, &e)
			if trusted && e.Kind() == errs.Internal {
				require.Equal(t, "request", e.Field, "%v", err)
			}
		}
		for _, h := range []uint64{embedding, file, c.opened()} {
			require.NoError(t, do(t, core, &fakeCall{kind: Close, handle: h}))
		}
		require.Zero(t, core.runtime.Ledger().Total())
	})
}
