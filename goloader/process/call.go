package process

import (
	"encoding/binary"
	"io"
	"math"
	"sync/atomic"

	"gguf-stream/goloader/jobs"
	"gguf-stream/goloader/memory"
)

// call is a request under way, as jobs.Call. Its input and output are regions: off the heap, in the ledger.
type call struct {
	connection *connection
	id         uint32
	kind       jobs.Kind
	flags      uint32
	handle     uint64
	cancelled  atomic.Uint32

	body    *memory.Region
	request []byte
	ends    []uint64
	texts   []byte

	reply       []byte
	output      *memory.Region
	outputBytes int64
	copied      *memory.Grant // for the parent's copy of a large output; nil of others
}

// largeOutput: less is not worth a look at the system. An embed's results stay below it.
const largeOutput = 8 << 20

// readBody reads what follows the header. What a broken frame has taken is given back. A call that there is no memory for is
// answered so and read past.
func (j *call) readBody(in io.Reader, size, requestBytes, texts int64) (taken bool, err error) {
	if size < requestBytes+4*texts {
		return false, io.ErrUnexpectedEOF
	}
	if j.body, err = j.connection.ledger.Allocate(memory.Staging, size); err != nil {
		j.Finish(err)
		_, err = io.CopyN(io.Discard, in, size)
		return false, err
	}
	b := j.body.Bytes()[:size]
	if _, err := io.ReadFull(in, b); err != nil {
		j.body.Free()
		return false, err
	}
	j.request, j.texts = b[:requestBytes], b[requestBytes+4*texts:]
	if j.ends, err = memory.MakeSlice[uint64](texts); err != nil {
		j.Finish(err)
		return false, nil
	}
	for i := range j.ends {
		j.ends[i] = uint64(binary.LittleEndian.Uint32(b[requestBytes+4*int64(i):]))
	}
	return true, nil
}

func (j *call) Kind() jobs.Kind           { return j.kind }
func (j *call) Owner() uint64             { return 0 } // the child ends with the one who asks
func (j *call) Handle() uint64            { return j.handle }
func (j *call) Request() []byte           { return j.request }
func (j *call) TextCount() int            { return len(j.ends) }
func (j *call) Texts() [][]byte           { return jobs.SplitTexts(j.texts, j.ends) } // panics at broken ends, where jobs recovers
func (j *call) Cancelled() *atomic.Uint32 { return &j.cancelled }
func (j *call) Reply(json []byte)         { j.reply = json }

func (j *call) Progress() func(loaded, total int64, tensor string) {
	if j.flags&wantsProgress == 0 {
		return nil
	}
	return func(loaded, total int64, tensor string) {
		body := binary.LittleEndian.AppendUint64(nil, uint64(loaded))
		j.connection.send(j.id, progress, []byte(tensor), nil, binary.LittleEndian.AppendUint64(body, uint64(total)))
	}
}

// Output makes memory here. What the system leaves has to hold the parent's copy, too: nobody is asked when that is made.
func (j *call) Output(bytes int64) ([]byte, error) {
	var err error
	if bytes >= largeOutput {
		if j.copied, err = j.connection.core.Runtime().Monitor().TryAllocate(bytes, math.MaxInt64, "output"); err != nil {
			return nil, err
		}
	}
	if j.output, err = j.connection.ledger.Allocate(memory.Output, bytes); err != nil {
		return nil, err
	}
	j.outputBytes = bytes
	return j.output.Bytes()[:bytes], nil
}

// Finish sends the result from a goroutine of its own: a parent that is slow to read must not hold the model up.
func (j *call) Finish(err error) {
	c := j.connection
	c.mu.Lock()
	delete(c.running, j.id)
	c.mu.Unlock()
	j.body.Free()
	if j.copied != nil {
		j.copied.Release() // the parent's pages are counted as they come
	}
	go func() {
		defer j.output.Free()
		if err != nil {
			c.send(j.id, failure, errorJSON(err), c.counters(), nil)
			return
		}
		var output []byte
		if j.output != nil {
			output = j.output.Bytes()[:j.outputBytes]
		}
		c.send(j.id, result, j.reply, c.counters(), output)
	}()
}
