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

func cgroupLeft(root string) (left int64, ok bool) {
	left = math.MaxInt64
	EachCgroup(root, "memory", func(folder string, v2 bool) {
		limitFile, usageFile := "memory.max", "memory.current"
		if !v2 {
			limitFile, usageFile = "memory.limit_in_bytes", "memory.usage_in_bytes"
		}
		limit, ok := readNumber(folder + limitFile)
		// cgroup v1 writes a number near 2^63 for no limit
		if usage, okUsage := readNumber(folder + usageFile); ok && okUsage && limit < 1<<60 {
			left = min(left, limit-usage+statField(folder+"memory.stat", "inactive_file"))
		}
	})
	return max(left, 0), left < math.MaxInt64
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

// statField is a line "name number [kB]" of a file, 0 if absent. Page cache that the kernel drops under
// pressure (inactive_file) counts as free.
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
