//go:build unix

#ifndef _GNU_SOURCE
#define _GNU_SOURCE /* MAP_ANONYMOUS, in ISO mode */
#endif
#include "map.h"

#include <sys/mman.h>

void *gs_map(uint64_t bytes) {
  void *data = mmap(0, bytes, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
  return data == MAP_FAILED ? 0 : data;
}

void gs_unmap(void *data, uint64_t bytes) { munmap(data, bytes); }
