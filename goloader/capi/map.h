/* Zeroed memory of its own from the operating system; NULL when there is none. */
#ifndef GS_MAP_H
#define GS_MAP_H
#include <stdint.h>
#pragma GCC visibility push(hidden)
void *gs_map(uint64_t bytes);
void gs_unmap(void *data, uint64_t bytes);
#pragma GCC visibility pop
#endif
