package process

import (
	"bufio"
	"io"
	"testing"
	"time"

	"github.com/stretchr/testify/require"

	"gguf-stream/goloader/embedder"
	"gguf-stream/goloader/errs"
	"gguf-stream/goloader/jobs"
	"gguf-stream/goloader/memory"
)

// TestALargeOutputLeavesRoomForItsCopy: a result is there twice while it goes through the pipe.
func TestALargeOutputLeavesRoomForItsCopy(t *testing.T) {
	core, err := jobs.New(embedder.Settings{Threads: 1})
	require.NoError(t, err)
	ledger := core.Runtime().Ledger()
	monitor := core.Runtime().Monitor().WithLimits(func() []memory.SystemLimit { return []memory.SystemLimit{{Name: "cgroup", Bytes: 100 << 20}} })
	c := &connection{core: core, ledger: ledger, out: bufio.NewWriter(io.Discard), running: map[uint32]*call{}}
	const size = 60 << 20

	result, err := monitor.TryAllocate(size, 0, "tensor") // as a tensor's load asks for its own
	require.NoError(t, err)
	refused := &call{connection: c}
	_, err = refused.Output(size)
	require.Equal(t, errs.MemoryLimit, errs.From(err).Code)
	result.Release()
	refused.Finish(err)

	granted := &call{connection: c}
	_, err = granted.Output(size)
	require.NoError(t, err)
	require.EqualValues(t, size, ledger.Counters().Reserved.Load())
	granted.Finish(nil)
	require.Zero(t, ledger.Counters().Reserved.Load())
	require.Eventually(t, func() bool { return ledger.Total() == 0 }, 10*time.Second, time.Millisecond)
}
