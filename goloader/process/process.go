// Package process is the core behind a pair of pipes, for hosts that cannot load it or do not want to: musl, Node's
// permission model, loadEmbedder({ isolation: 'process' }). JavaScript's half is js/process.js, the executables are in
// goloader/program.
//
//	js/process.js ──stdin──▶ read (frames) ─▶ jobs.Core ─▶ call.Finish ──stdout──▶ js/process.js
//
// A frame is a header of 32-bit little-endian numbers and a body. Requests (stdin), header of 8:
//
//	body bytes, id, kind (jobs.Kind; 0 cancels the job id), flags (1: wants progress),
//	handle (low, high), request bytes, texts
//	body: request (JSON), the end of each text (u32), all texts (UTF-8) one after another
//
// Responses (stdout), header of 6:
//
//	id, type, JSON bytes, counters bytes, output bytes (low, high)
//	body: JSON, counters (memory.Counters as of now), output
//	hello (0, first of all): JSON: version, kernel sets   result (1): JSON: the reply, may be empty
//	error (2): JSON: an errs.Error; id 0: no start        progress (3): output: loaded and total bytes (u64)
//
// Jobs run side by side, so responses come in any order. Start: gguf-stream-core [kernel set]. Its end: standard input's end, which also comes when the
// parent is killed; whatever runs then is dropped. (PR_SET_PDEATHSIG follows the parent's thread, and some hosts
// start children from threads that end.)
package process

import (
	"bufio"
	"encoding/binary"
	"encoding/json"
	"io"
	"os"
	"sync"
	"unsafe"

	"gguf-stream/device/cpu"
	"gguf-stream/goloader/embedder"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/jobs"
	"gguf-stream/goloader/memory"
)

// protocolVersion is raised when anything in the package's comment changes; js/process.js refuses another.
const protocolVersion = 1

const countersBytes = int(unsafe.Sizeof(memory.Counters{}))

type responseType uint32

const (
	hello responseType = iota
	result
	failure
	progress
)

const (
	requestHeader  = 8 * 4
	responseHeader = 6 * 4
)

// flags of a request
const wantsProgress = 1

// Serve answers what comes on standard input until its end, and gives the exit code.
func Serve(kernels string) int {
	c := &connection{out: bufio.NewWriterSize(os.Stdout, 64<<10), running: map[uint32]*call{}}
	core, err := jobs.New(embedder.Settings{KernelSet: kernels})
	if err != nil {
		c.send(0, failure, errorJSON(err), nil, nil)
		return 1
	}
	c.core, c.ledger = core, core.Runtime().Ledger()
	c.send(0, hello, helloJSON(core), nil, nil)
	if c.read(bufio.NewReaderSize(os.Stdin, 64<<10)) != nil {
		return 1
	}
	return 0
}

// kernelInfo is a kernel set as gs_kernel_info has it.
type kernelInfo struct {
	Name  string `json:"name"`
	Needs string `json:"needs"`
}

func helloJSON(core *jobs.Core) []byte {
	m := struct {
		Version  int          `json:"version"`
		Selected string       `json:"selected"`
		Sets     []kernelInfo `json:"sets"`
	}{Version: protocolVersion, Selected: core.Runtime().KernelSet()}
	for _, s := range cpu.Sets() {
		m.Sets = append(m.Sets, kernelInfo{s.Name, s.Lacking()})
	}
	return mustJSON(m)
}

func errorJSON(err error) []byte {
	e := errs.From(err)
	return mustJSON(map[string]any{"code": e.Code, "kind": e.Kind(), "field": e.Field, "offset": e.Offset, "message": e.Message})
}

// mustJSON is for values that always encode.
func mustJSON(v any) []byte {
	raw, err := json.Marshal(v)
	if err != nil {
		panic(err)
	}
	return raw
}

// connection is the pair of pipes and what runs for them.
type connection struct {
	core    *jobs.Core
	ledger  *memory.Ledger
	writing sync.Mutex
	out     *bufio.Writer
	mu      sync.Mutex
	running map[uint32]*call
}

// read takes requests until the parent closes the pipe: nil then.
func (c *connection) read(in io.Reader) error {
	for {
		var header [requestHeader]byte
		if _, err := io.ReadFull(in, header[:]); err == io.EOF {
			return nil
		} else if err != nil {
			return err
		}
		var h [8]uint32
		for i := range h {
			h[i] = binary.LittleEndian.Uint32(header[4*i:])
		}
		if h[2] == 0 {
			c.cancel(h[1])
			continue
		}
		j := &call{connection: c, id: h[1], kind: jobs.Kind(h[2]), flags: h[3], handle: uint64(h[5])<<32 | uint64(h[4])}
		taken, err := j.readBody(in, int64(h[0]), int64(h[6]), int64(h[7]))
		if err != nil {
			return err
		}
		if !taken {
			continue
		}
		c.mu.Lock()
		c.running[j.id] = j
		c.mu.Unlock()
		c.core.Do(j)
	}
}

func (c *connection) cancel(id uint32) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if j, found := c.running[id]; found {
		j.cancelled.Store(1)
	}
}

// send writes one response whole. A parent that has gone ends this process: the write fails, or Go raises SIGPIPE for standard output.
func (c *connection) send(id uint32, t responseType, json, counters, output []byte) {
	var header [responseHeader]byte
	n := uint64(len(output))
	for i, v := range [...]uint32{id, uint32(t), uint32(len(json)), uint32(len(counters)), uint32(n), uint32(n >> 32)} {
		binary.LittleEndian.PutUint32(header[4*i:], v)
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	for _, part := range [...][]byte{header[:], json, counters, output} {
		if _, err := c.out.Write(part); err != nil {
			os.Exit(1)
		}
	}
	if c.out.Flush() != nil {
		os.Exit(1)
	}
}

// counters is the ledger's page as of now.
func (c *connection) counters() []byte {
	page := unsafe.Slice((*byte)(unsafe.Pointer(c.ledger.Counters())), countersBytes)
	return append([]byte(nil), page...)
}
