package memory

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/sys/unix"
)

func write(t *testing.T, path, text string) {
	require.NoError(t, os.MkdirAll(filepath.Dir(path), 0o755))
	require.NoError(t, os.WriteFile(path, []byte(text), 0o644))
}

func bound(list []SystemLimit, name string) int64 {
	for _, l := range list {
		if l.Name == name {
			return l.Bytes
		}
	}
	return -1
}

func TestSystemLimitsFromFiles(t *testing.T) {
	v2 := t.TempDir() + "/"
	write(t, v2+"proc/self/cgroup", "0::/a/b\n")
	write(t, v2+"sys/fs/cgroup/a/memory.max", "1000\n")
	write(t, v2+"sys/fs/cgroup/a/memory.current", "300\n")
	write(t, v2+"sys/fs/cgroup/a/memory.stat", "anon 5\nfile_mapped 20\ninactive_file 50\nactive_file 120\n")
	write(t, v2+"sys/fs/cgroup/a/b/memory.max", "max\n")
	write(t, v2+"sys/fs/cgroup/a/b/memory.current", "300\n")
	write(t, v2+"proc/meminfo", "MemTotal: 9 kB\nMemAvailable: 2 kB\n")
	require.EqualValues(t, 850, bound(systemLimits(v2), "cgroup"), "less what is mapped, all cache is free")
	require.EqualValues(t, 2048, bound(systemLimits(v2), "MemAvailable"))

	v1 := t.TempDir() + "/"
	write(t, v1+"proc/self/cgroup", "4:cpu:/x\n3:memory:/x\n")
	write(t, v1+"sys/fs/cgroup/memory/x/memory.limit_in_bytes", "400\n")
	write(t, v1+"sys/fs/cgroup/memory/x/memory.usage_in_bytes", "500\n")
	write(t, v1+"sys/fs/cgroup/memory/memory.limit_in_bytes", "9223372036854771712\n")
	write(t, v1+"sys/fs/cgroup/memory/memory.usage_in_bytes", "500\n")
	require.EqualValues(t, 0, bound(systemLimits(v1), "cgroup"))
	write(t, v1+"sys/fs/cgroup/memory/x/memory.stat", "inactive_file 0\nactive_file 0\ntotal_mapped_file 90\ntotal_inactive_file 300\ntotal_active_file 60\n")
	require.EqualValues(t, 200, bound(systemLimits(v1), "cgroup"), "children's cache, too; mapped is more than active")
	require.EqualValues(t, -1, bound(systemLimits(t.TempDir()+"/"), "cgroup"))

	odd := t.TempDir() + "/" // no slash in a path, no path, no line of three parts
	write(t, odd+"proc/self/cgroup", "0::a\nx\n5:memory\n4:memory:\n")
	write(t, odd+"sys/fs/cgroup/memory.max", "900\n")
	write(t, odd+"sys/fs/cgroup/memory.current", "300\n")
	require.EqualValues(t, 600, bound(systemLimits(odd), "cgroup"))
}

// TestAddressSpaceIsLessWhatIsMapped: a limit that nobody reaches, or the most that is allowed here, is set for the test's
// own process.
func TestAddressSpaceIsLessWhatIsMapped(t *testing.T) {
	var was unix.Rlimit
	require.NoError(t, unix.Getrlimit(unix.RLIMIT_AS, &was))
	const pages = 1000
	limit := min(was.Max, 1<<60)
	require.NoError(t, unix.Setrlimit(unix.RLIMIT_AS, &unix.Rlimit{Cur: limit, Max: was.Max}))
	defer func() { require.NoError(t, unix.Setrlimit(unix.RLIMIT_AS, &was)) }()
	root := t.TempDir() + "/"
	write(t, root+"proc/self/statm", "1000 9 9 9 0 9 0\n")
	require.EqualValues(t, limit-uint64(pages*os.Getpagesize()), bound(systemLimits(root), "RLIMIT_AS"))
}
