#include "map.h"

#include <windows.h>

void *gs_map(uint64_t bytes) {
  return VirtualAlloc(0, bytes, MEM_RESERVE | MEM_COMMIT, PAGE_READWRITE);
}

void gs_unmap(void *data, uint64_t bytes) {
  (void)bytes; /* a mapping goes as a whole */
  VirtualFree(data, 0, MEM_RELEASE);
}
