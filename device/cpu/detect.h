#ifndef GSK_DETECT_H
#define GSK_DETECT_H
#pragma GCC visibility push(hidden)
/* 1 when the processor and the operating system provide the named feature (GCC's name of it). */
int gsk_has(const char *feature);
#pragma GCC visibility pop
#endif
