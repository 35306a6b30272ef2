package memory

import (
	"os"
	"strings"
)

// EachCgroup calls fn with the folder of each cgroup that may bound this process by a controller ("memory", "cpu"): those
// that it is in, and all their ancestors, since any one's limit binds. v2 and v1 name the files in them differently. Without
// cgroups, as on other systems, fn is not called. The files are below root: "/", or a test's folder.
func EachCgroup(root, controller string, fn func(folder string, v2 bool)) {
	groups, err := os.ReadFile(root + "proc/self/cgroup")
	if err != nil {
		return
	}
	for line := range strings.Lines(string(groups)) {
		parts := strings.SplitN(strings.TrimSpace(line), ":", 3) // hierarchy, controllers, path
		if len(parts) != 3 {
			continue
		}
		base, v2 := root+"sys/fs/cgroup", parts[1] == ""
		if !v2 {
			if !strings.Contains(","+parts[1]+",", ","+controller+",") {
				continue
			}
			base += "/" + controller
		}
		for path := strings.TrimRight(parts[2], "/"); ; path = path[:max(0, strings.LastIndexByte(path, '/'))] {
			fn(base+path+"/", v2)
			if path == "" {
				break
			}
		}
	}
}
