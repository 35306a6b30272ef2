package cpu

import (
	"os"
	"path/filepath"
	"testing"

	"github.com/stretchr/testify/require"
)

func TestQuotaOfEveryAncestorBinds(t *testing.T) {
	for name, c := range map[string]struct {
		files map[string]string
		want  int
	}{
		"no cgroup":     {nil, noQuota},
		"v2, no quota":  {map[string]string{"proc/self/cgroup": "0::/a", "sys/fs/cgroup/a/cpu.max": "max 100000"}, noQuota},
		"v2":            {map[string]string{"proc/self/cgroup": "0::/a/b", "sys/fs/cgroup/a/cpu.max": "150000 100000", "sys/fs/cgroup/a/b/cpu.max": "400000 100000"}, 2},
		"v2, the root":  {map[string]string{"proc/self/cgroup": "0::/", "sys/fs/cgroup/cpu.max": "50000 100000"}, 1},
		"v1":            {map[string]string{"proc/self/cgroup": "3:cpu,cpuacct:/x", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "300000", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000"}, 3},
		"v1, no quota":  {map[string]string{"proc/self/cgroup": "3:cpu:/x", "sys/fs/cgroup/cpu/x/cpu.cfs_quota_us": "-1", "sys/fs/cgroup/cpu/x/cpu.cfs_period_us": "100000"}, noQuota},
		"no slash":      {map[string]string{"proc/self/cgroup": "0::a", "sys/fs/cgroup/cpu.max": "150000 100000"}, 2},
		"garbage there": {map[string]string{"proc/self/cgroup": "x\n0::/", "sys/fs/cgroup/cpu.max": "a b"}, noQuota},
	} {
		root := t.TempDir() + "/"
		for file, text := range c.files {
			require.NoError(t, os.MkdirAll(filepath.Dir(root+file), 0o755))
			require.NoError(t, os.WriteFile(root+file, []byte(text+"\n"), 0o644))
		}
		require.Equal(t, c.want, quotaThreads(root), name)
	}
	require.GreaterOrEqual(t, usableThreads(), 1)
}
