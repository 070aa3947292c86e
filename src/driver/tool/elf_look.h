/* A look at a .so without loading it: is it one for this machine, and what does it export? Every offset of
 * the file is checked; the file may be anything. Pure. */
#ifndef TOOL_ELF_LOOK_H
#define TOOL_ELF_LOOK_H
#include "fleet/buffer.h"
#include "fleet/error.h"

struct elf_exports {
	unsigned drivers;                 /* symbols fleet_driver_v... */
	unsigned others;                  /* other strong symbols */
	char *driver_names, *other_names; /* owned; the first few, by comma */
};

/* -EINVAL not a shared object for this machine; -ENODATA one whose symbols cannot be listed. */
int elf_look(const char *file, struct elf_exports *ret, struct fleet_error *err) FLEET_MUST_CHECK;
void elf_exports_done(struct elf_exports *e);

#endif
