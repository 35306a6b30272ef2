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

// cgroupLeft walks from the process's group to the root, since any ancestor's limit binds.
func cgroupLeft(root string) (left int64, ok bool) {
	groups, err := os.ReadFile(root + "proc/self/cgroup")
	if err != nil {
		return 0, false
	}
	left = math.MaxInt64
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		base, limit, usage := "", "", ""
		switch {
		case parts[0] == "0":
			base, limit, usage = root+"sys/fs/cgroup", "memory.max", "memory.current"
		case strings.Contains(","+parts[1]+",", ",memory,"):
			base, limit, usage = root+"sys/fs/cgroup/memory", "memory.limit_in_bytes", "memory.usage_in_bytes"
		default:
			continue
		}
		left = min(left, groupLeft(base, parts[2], limit, usage))
	}
	return max(left, 0), left < math.MaxInt64
}

func groupLeft(base, path, limitFile, usageFile string) int64 {
	left := int64(math.MaxInt64)
	for path = strings.TrimRight(path, "/"); ; path = path[:strings.LastIndexByte(path, '/')] {
		dir := base + path + "/"
		limit, ok := readNumber(dir + limitFile)
		// cgroup v1 writes a number near 2^63 for no limit
		if usage, okUsage := readNumber(dir + usageFile); ok && okUsage && limit < 1<<60 {
			left = min(left, limit-usage+statField(dir+"memory.stat", "inactive_file"))
		}
		if path == "" {
			return left
		}
	}
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
