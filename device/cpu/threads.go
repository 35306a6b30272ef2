package cpu

// #include <system.h>
import "C"

import (
	"os"
	"strconv"
	"strings"

	"gguf-stream/goloader/memory"
)

// usableThreads is the number of cores this process may use: its affinity, less where a cgroup's quota gives
// it less time than that.
func usableThreads() int { return max(1, min(int(C.gsk_usable_cores()), quotaThreads("/"))) }

// noQuota is more than any machine's cores.
const noQuota = 1 << 20

// quotaThreads is the quota of the process's cgroup and its ancestors in whole threads, rounded up; files are read below
// root ("/", or a test's folder).
func quotaThreads(root string) int {
	threads := noQuota
	memory.EachCgroup(root, "cpu", func(folder string, v2 bool) { threads = min(threads, groupThreads(folder, v2)) })
	return threads
}

// groupThreads reads one group's quota and period, both in microseconds: v2 has them in one file.
func groupThreads(folder string, v2 bool) int {
	text := readText(folder + "cpu.max")
	if !v2 {
		text = readText(folder+"cpu.cfs_quota_us") + " " + readText(folder+"cpu.cfs_period_us")
	}
	fields := strings.Fields(text)
	if len(fields) != 2 {
		return noQuota
	}
	quota, errQuota := strconv.Atoi(fields[0])
	period, errPeriod := strconv.Atoi(fields[1])
	if errQuota != nil || errPeriod != nil || quota <= 0 || period <= 0 { // "max" and −1: no quota
		return noQuota
	}
	return (quota + period - 1) / period
}

func readText(path string) string {
	b, err := os.ReadFile(path)
	if err != nil {
		return ""
	}
	return strings.TrimSpace(string(b))
}
