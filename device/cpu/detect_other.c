//go:build !amd64 && !(arm64 && (linux || darwin))

#include "detect.h"

int gsk_has(const char *feature) { return (void)feature, 0; }
