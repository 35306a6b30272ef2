package jobs

import (
	"bytes"
	"encoding/json"
	"path/filepath"
	"runtime"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/embedder"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/limits"
	"gguf-stream/goloader/memory"
)

func code(err error) errs.Code { return errs.From(err).Code }

func newCore(t *testing.T) *Core {
	core, err := New(embedder.Settings{Threads: 1})
	require.NoError(t, err)
	return core
}

// open opens the bundled model, or its file, for an owner.
func open(t *testing.T, core *Core, kind Kind, owner uint64) uint64 {
	path, err := filepath.Abs("../../models/all-MiniLM-L6-v2.Q8_0.gguf")
	require.NoError(t, err)
	request, err := json.Marshal(map[string]string{"path": path})
	require.NoError(t, err)
	c := &fakeCall{kind: kind, owner: owner, request: request}
	require.NoError(t, do(t, core, c))
	return c.opened()
}

// TestAPanicIsAnError: in a handler of its own goroutine and in an embed, which has none.
func TestAPanicIsAnError(t *testing.T) {
	core := newCore(t)
	const panics Kind = 1000
	handlers[panics] = func(*Core, *job) error { var none *embedder.File; none.Close(); return nil }
	defer delete(handlers, panics)
	require.Equal(t, errs.InternalFault, code(do(t, core, &fakeCall{kind: panics})))
	require.Equal(t, errs.InternalFault, code(do(t, core, &fakeCall{kind: 999})), "an unknown kind")
	require.Equal(t, errs.InternalFault, code(do(t, core, &fakeCall{kind: Open, request: []byte("{")})), "no JSON")
	require.NoError(t, do(t, core, &fakeCall{kind: Look}), "the core goes on")
}

// TestEndClosesWhatAnOwnerHasOpened, and nothing of another owner's.
func TestEndClosesWhatAnOwnerHasOpened(t *testing.T) {
	core := newCore(t)
	mine, file, theirs := open(t, core, Open, 1), open(t, core, FileOpen, 1), open(t, core, Open, 2)
	require.NoError(t, do(t, core, &fakeCall{kind: End, owner: 1}))
	embed := func(handle uint64) error {
		return do(t, core, &fakeCall{kind: Embed, handle: handle, texts: []byte("x"), ends: []uint64{1}})
	}
	require.Equal(t, errs.Closed, code(embed(mine)))
	require.Equal(t, errs.Closed, code(do(t, core, &fakeCall{kind: FileTensors, handle: file})))
	require.NoError(t, embed(theirs))
	require.NoError(t, do(t, core, &fakeCall{kind: End, owner: 2}))
	require.Zero(t, core.Runtime().Ledger().Bytes(memory.Weights))
	require.Zero(t, core.Runtime().Ledger().Total())
}

// TestHandles: a closed number stays closed, whatever is opened after it; a handle of another kind is closed too.
func TestHandles(t *testing.T) {
	core := newCore(t)
	first := open(t, core, FileOpen, 1)
	require.NoError(t, do(t, core, &fakeCall{kind: FileClose, handle: first}))
	second := open(t, core, FileOpen, 1)
	require.NotEqual(t, first, second)
	for _, handle := range []uint64{0, first, 1 << 52, ^uint64(0)} {
		require.Equal(t, errs.Closed, code(do(t, core, &fakeCall{kind: FilePlan, handle: handle})), handle)
	}
	require.Equal(t, errs.Closed, code(do(t, core, &fakeCall{kind: Tokenize, handle: second})))
	require.NoError(t, do(t, core, &fakeCall{kind: FileClose, handle: first}), "closing twice is harmless")
	require.NoError(t, do(t, core, &fakeCall{kind: FilePlan, handle: second}))
	require.NoError(t, do(t, core, &fakeCall{kind: End, owner: 1}))
}

// TestPrecisionsAreKnown: an unknown one is refused, not taken for exact, by a load and by a plan.
func TestPrecisionsAreKnown(t *testing.T) {
	core := newCore(t)
	file := open(t, core, FileOpen, 1)
	plan := func(precision string) error {
		return do(t, core, &fakeCall{kind: FilePlan, handle: file, request: []byte(`{"precision":"` + precision + `"}`)})
	}
	for _, known := range []string{"", "exact", "fast"} {
		require.NoError(t, plan(known), known)
	}
	for _, err := range []error{plan("Fast"), do(t, core, &fakeCall{kind: Open, request: []byte(`{"path":"x","precision":"Fast"}`)})} {
		require.Equal(t, errs.ArgumentInvalid, code(err))
		require.Equal(t, "precision", errs.From(err).Field)
	}
	require.NoError(t, do(t, core, &fakeCall{kind: End, owner: 1}))
}

// TestOutputIsRefusedBeforeItIsMade.
func TestOutputIsRefusedBeforeItIsMade(t *testing.T) {
	core := newCore(t)
	c := &fakeCall{kind: Output, request: []byte(`{"bytes":3000000000}`)}
	err := do(t, core, c)
	require.Equal(t, errs.MemoryLimit, code(err))
	require.Contains(t, err.Error(), "3000000000")
	require.NoError(t, do(t, core, &fakeCall{kind: Output, request: []byte(`{"bytes":100}`)}))
	require.Zero(t, core.Runtime().Ledger().Counters().Reserved.Load())
}

// TestOutputThatCannotBeMade is the caller's error, whatever the job: fakeCall gives at most 1 MiB.
func TestOutputThatCannotBeMade(t *testing.T) {
	core := newCore(t)
	model, file := open(t, core, Open, 1), open(t, core, FileOpen, 1)
	const texts = 1000 // vectors of 384
	many := &fakeCall{kind: Embed, handle: model, texts: make([]byte, texts)}
	for i := range texts {
		many.texts[i] = 'a'
		many.ends = append(many.ends, uint64(i+1))
	}
	long := &fakeCall{kind: Tokenize, handle: model, texts: bytes.Repeat([]byte("a "), 1<<18), ends: []uint64{1 << 19}}
	for _, c := range []*fakeCall{many, long, {kind: FileLoad, handle: file, request: []byte(`{"tensor":"token_embd.weight"}`)}} {
		require.Equal(t, errs.MemoryAllocation, code(do(t, core, c)), "kind %d", c.kind)
	}
	require.NoError(t, do(t, core, &fakeCall{kind: End, owner: 1}))
}

// TestAFullQueueIsSmall: all that may wait takes less than 10 MB of the Go heap, with the half as much garbage that may lie beside it.
func TestAFullQueueIsSmall(t *testing.T) {
	core := newCore(t)
	handle := open(t, core, Open, 1)
	calls := make([]fakeCall, limits.MaxQueuedTexts)
	answers, ends := make(chan error, len(calls)), []uint64{5}
	live := func() int64 {
		var m runtime.MemStats
		runtime.GC()
		runtime.ReadMemStats(&m)
		return int64(m.HeapAlloc)
	}
	before := live()
	var run func()
	for i := range calls {
		calls[i] = fakeCall{kind: Embed, handle: handle, request: []byte(`{"dimensions":2}`), texts: []byte("hello"), ends: ends, done: answers}
		if r := core.Enter(&calls[i]); r != nil {
			run = r
		}
	}
	each := (live() - before) / int64(len(calls))
	t.Log("bytes a call:", each)
	for i := range calls {
		calls[i].cancelled.Store(1)
	}
	run()
	for range calls {
		require.Equal(t, errs.Aborted, code(<-answers))
	}
	require.Less(t, each*int64(len(calls))*3/2, int64(10e6))
}
