package memory

import "golang.org/x/sys/unix"

// adviseHuge ignores a refusal: kernels without transparent huge pages answer EINVAL, and nothing is lost.
func adviseHuge(m []byte) { _ = unix.Madvise(m, unix.MADV_HUGEPAGE) }
