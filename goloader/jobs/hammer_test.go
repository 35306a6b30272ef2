package jobs

import (
	"sync"
	"testing"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/memory"
)

// TestHammer: owners open models and files, embed, tokenize, read, cancel, close twice and end, all at once and each in the
// way of the others' handles; what is not answered is refused by name, and nothing is left.
func TestHammer(t *testing.T) {
	core := newCore(t)
	keep := open(t, core, Open, 100)
	var wg sync.WaitGroup
	for owner := uint64(1); owner <= 8; owner++ {
		wg.Go(func() {
			for i := range 6 {
				model, file := open(t, core, Open, owner), open(t, core, FileOpen, owner)
				calls := []*fakeCall{
					{kind: Embed, handle: model, texts: []byte("one text"), ends: []uint64{3, 8}},
					{kind: Embed, handle: keep, texts: []byte("one text"), ends: []uint64{8}},
					{kind: Tokenize, handle: model, texts: []byte("one text"), ends: []uint64{8}},
					{kind: FileLoad, handle: file, request: []byte(`{"tensor":"blk.0.attn_q.bias"}`)},
					{kind: FileMetadata, handle: file, request: []byte(`{"key":"tokenizer.ggml.tokens","from":9,"count":3}`)},
					{kind: Close, handle: model}, {kind: FileClose, handle: file}, {kind: Close, handle: model},
				}
				var mine sync.WaitGroup
				for k, c := range calls {
					c.owner = owner
					if (int(owner)+i+k)%5 == 0 {
						c.cancelled.Store(1)
					}
					mine.Go(func() {
						if err := do(t, core, c); err != nil && code(err) != errs.Closed && code(err) != errs.Aborted {
							t.Errorf("kind %d: %v", c.kind, err)
						}
					})
				}
				if i%2 == 0 {
					mine.Go(func() { _ = do(t, core, &fakeCall{kind: End, owner: owner}) })
				}
				mine.Wait()
			}
		})
	}
	wg.Wait()
	require.NoError(t, do(t, core, &fakeCall{kind: Close, handle: keep}))
	for owner := uint64(1); owner <= 8; owner++ {
		require.NoError(t, do(t, core, &fakeCall{kind: End, owner: owner}))
	}
	require.Zero(t, core.Runtime().Ledger().Bytes(memory.Weights))
	require.Zero(t, core.Runtime().Ledger().Total())
}
