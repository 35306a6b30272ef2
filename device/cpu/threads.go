package cpu

// #include <system.h>
import "C"

import (
	"os"
	"strconv"
	"strings"
)

// usableThreads is the number of cores this process may use: its affinity, less where a cgroup's quota gives
// it less time than that.
func usableThreads() int { return max(1, min(int(C.gsk_usable_cores()), quotaThreads("/"))) }

// noQuota is more than any machine's cores.
const noQuota = 1 << 20

// quotaThreads is the quota of the process's cgroup and its ancestors in whole threads, rounded up; files are read below
// root ("/", or a test's folder).
func quotaThreads(root string) int {
	groups, err := os.ReadFile(root + "proc/self/cgroup")
	if err != nil {
		return noQuota
	}
	threads := noQuota
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3)
		if len(parts) != 3 {
			continue
		}
		for path := strings.TrimRight(parts[2], "/"); ; path = path[:max(0, strings.LastIndexByte(path, '/'))] {
			threads = min(threads, groupThreads(root, parts[1], path))
			if path == "" {
				break
			}
		}
	}
	return threads
}

// groupThreads reads one group's quota and period, both in microseconds: v2 has them in one file.
func groupThreads(root, controllers, path string) int {
	var text string
	if controllers == "" {
		text = readText(root + "sys/fs/cgroup" + path + "/cpu.max")
	} else if strings.Contains(","+controllers+",", ",cpu,") {
		dir := root + "sys/fs/cgroup/cpu" + path + "/"
		text = readText(dir+"cpu.cfs_quota_us") + " " + readText(dir+"cpu.cfs_period_us")
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
