package memory

import (
	"bytes"
	"math"
	"os"
	"strconv"
	"strings"

	"golang.org/x/sys/unix"
)

// SystemLimits is what the system leaves this process now: cgroup v2 and v1 memory, RLIMIT_AS less what
// is mapped, MemAvailable. Bounds that are not set are absent.
func SystemLimits() []SystemLimit { return systemLimits("/") }

// systemLimits reads the files below root: "/" or a test's folder.
func systemLimits(root string) []SystemLimit {
	var out []SystemLimit
	if n, ok := cgroupLeft(root); ok {
		out = append(out, SystemLimit{"cgroup", n})
	}
	if n, ok := addressSpaceLeft(root); ok {
		out = append(out, SystemLimit{"RLIMIT_AS", n})
	}
	if n, ok := memAvailable(root); ok {
		out = append(out, SystemLimit{"MemAvailable", n})
	}
	return out
}

// groupFiles are the names of a memory cgroup's files, and of the lines of memory.stat, descendants' pages included.
type groupFiles struct{ limit, usage, inactive, active, mapped string }

var (
	groupV1 = groupFiles{"memory.limit_in_bytes", "memory.usage_in_bytes", "total_inactive_file", "total_active_file", "total_mapped_file"}
	groupV2 = groupFiles{"memory.max", "memory.current", "inactive_file", "active_file", "file_mapped"}
)

func cgroupLeft(root string) (left int64, ok bool) {
	left = math.MaxInt64
	EachCgroup(root, "memory", func(folder string, v2 bool) {
		f := groupV1
		if v2 {
			f = groupV2
		}
		limit, ok := readNumber(folder + f.limit)
		// cgroup v1 writes a number near 2^63 for no limit
		if usage, okUsage := readNumber(folder + f.usage); ok && okUsage && limit < 1<<60 {
			left = min(left, limit-usage+f.reclaimable(folder+"memory.stat"))
		}
	})
	return max(left, 0), left < math.MaxInt64
}

// reclaimable is page cache that counts as free: what the kernel drops under pressure. A file that was read twice is active
// and dropped too, after others; what stays is what processes have mapped, their programs.
func (f *groupFiles) reclaimable(stat string) int64 {
	return statField(stat, f.inactive) + max(0, statField(stat, f.active)-statField(stat, f.mapped))
}

// readNumber is a file that holds one number; "max" and anything else is no number.
func readNumber(path string) (int64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseInt(string(bytes.TrimSpace(b)), 10, 64)
	return n, err == nil
}

// statField is a line "name number [kB]" of a file, 0 if absent.
func statField(path, name string) int64 {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) >= 2 && strings.TrimSuffix(f[0], ":") == name {
			n, _ := strconv.ParseInt(f[1], 10, 64)
			return n
		}
	}
	return 0
}

func addressSpaceLeft(root string) (int64, bool) {
	var limit unix.Rlimit
	if unix.Getrlimit(unix.RLIMIT_AS, &limit) != nil || limit.Cur > math.MaxInt64 {
		return 0, false
	}
	statm, err := os.ReadFile(root + "proc/self/statm")
	if err != nil {
		return 0, false
	}
	first, _, _ := strings.Cut(string(statm), " ")
	pages, err := strconv.ParseInt(first, 10, 64)
	return max(int64(limit.Cur)-pages*int64(os.Getpagesize()), 0), err == nil
}

func memAvailable(root string) (int64, bool) {
	kib := statField(root+"proc/meminfo", "MemAvailable")
	return kib * 1024, kib > 0
}
