// An audit library of glibc (LD_AUDIT, man rtld-audit) that binds napi_create_external_arraybuffer to what Electron has there:
// a function that refuses. Each refusal is a line on stderr.
#define _GNU_SOURCE
#include <link.h>
#include <string.h>
#include <unistd.h>

enum { kNoExternalBuffersAllowed = 22 }; // napi_status

static int refuse(void) {
  static const char line[] = "refused\n";
  return write(STDERR_FILENO, line, sizeof line - 1) < 0 ? 0 : kNoExternalBuffersAllowed;
}

unsigned la_version(unsigned version) { return version < LAV_CURRENT ? version : LAV_CURRENT; }

unsigned la_objopen(struct link_map *map, Lmid_t id, uintptr_t *cookie) {
  (void)map, (void)id, (void)cookie;
  return LA_FLG_BINDTO | LA_FLG_BINDFROM;
}

uintptr_t la_symbind64(Elf64_Sym *symbol, unsigned index, uintptr_t *from, uintptr_t *to,
                       unsigned *flags, const char *name) {
  (void)index, (void)from, (void)to, (void)flags;
  return strcmp(name, "napi_create_external_arraybuffer") == 0 ? (uintptr_t)refuse
                                                               : symbol->st_value;
}
