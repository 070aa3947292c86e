#include <elf.h>
#include <link.h>
#include "driver/tool/elf_look.h"
#include "fleet/file.h"

#define FILE_MAX  (512ul * 1024 * 1024)
#define NAMED_MAX 5

struct elf {
	const char *data;
	size_t len;
	ElfW(Ehdr) head;
};

/* Copies out, since nothing says that the file keeps to alignment. */
static bool get(const struct elf *e, uint64_t at, void *out, size_t size)
{
	if (at > e->len || size > e->len - at)
		return false;
	memcpy(out, e->data + at, size);
	return true;
}

static bool section(const struct elf *e, uint64_t index, ElfW(Shdr) * ret)
{
	return index < e->head.e_shnum && e->head.e_shentsize == sizeof(*ret) && e->head.e_shoff <= e->len &&
	       get(e, e->head.e_shoff + index * sizeof(*ret), ret, sizeof(*ret));
}

static const char *machine_problem(const struct elf *e)
{
	static const ElfW(Half) ours =
#if defined(__x86_64__)
		EM_X86_64;
#elif defined(__aarch64__)
		EM_AARCH64;
#elif defined(__riscv)
		EM_RISCV;
#elif defined(__powerpc64__)
		EM_PPC64;
#elif defined(__s390x__)
		EM_S390;
#elif defined(__i386__)
		EM_386;
#elif defined(__arm__)
		EM_ARM;
#else
		EM_NONE; /* dlopen will tell */
#endif
	if (e->head.e_ident[EI_CLASS] != (sizeof(void *) == 8 ? ELFCLASS64 : ELFCLASS32) ||
		(ours != EM_NONE && e->head.e_machine != ours))
		return "it is made for another kind of machine";
	if (e->head.e_type != ET_DYN)
		return "it is no shared object; link it with -shared";
	return NULL;
}

static void add_name(char **names, unsigned count, const char *name)
{
	char *longer;

	if (count > NAMED_MAX)
		return;
	longer = count == NAMED_MAX ? xasprintf("%s, ...", *names)
				    : xasprintf("%s%s%.60s", *names ? *names : "", *names ? ", " : "", name);
	free(*names);
	*names = longer;
}

/* What a linker itself exports from every object, in some versions. */
static bool is_linkers_own(const char *name)
{
	static const char *const names[] = {
		"_init", "_fini", "_edata", "_end", "__bss_start", "_etext", "__end__", "_bss_end__"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(names); i++) {
		if (str_equal(name, names[i]))
			return true;
	}
	return str_starts(name, "__odr_asan"); /* and AddressSanitizer from each object built with it */
}

static void look_at(struct elf_exports *exports, const ElfW(Sym) * sym, const char *name)
{
	unsigned char bind = ELF64_ST_BIND(sym->st_info); /* the same in both classes */
	unsigned char visibility = ELF64_ST_VISIBILITY(sym->st_other);

	if (sym->st_shndx == SHN_UNDEF || bind == STB_LOCAL ||
		(visibility != STV_DEFAULT && visibility != STV_PROTECTED))
		return;
	if (str_starts(name, "fleet_driver_v"))
		add_name(&exports->driver_names, exports->drivers++, name);
	/* weak and unique ones are what C++ makes of templates, and bind to nothing of the host's */
	else if (bind == STB_GLOBAL && !is_linkers_own(name))
		add_name(&exports->other_names, exports->others++, name);
}

static int list_symbols(const struct elf *e, struct elf_exports *exports)
{
	for (uint64_t i = 0; i < e->head.e_shnum; i++) {
		ElfW(Shdr) table, strings;

		if (!section(e, i, &table) || table.sh_type != SHT_DYNSYM)
			continue;
		if (table.sh_entsize != sizeof(ElfW(Sym)) || !section(e, table.sh_link, &strings) ||
			table.sh_offset > e->len || table.sh_size > e->len - table.sh_offset ||
			strings.sh_offset > e->len || strings.sh_size > e->len - strings.sh_offset)
			return -ENODATA;
		for (uint64_t n = 0; n < table.sh_size / sizeof(ElfW(Sym)); n++) {
			const char *name;
			ElfW(Sym) sym;

			if (!get(e, table.sh_offset + n * sizeof(sym), &sym, sizeof(sym)) ||
				sym.st_name >= strings.sh_size)
				return -ENODATA;
			name = e->data + strings.sh_offset + sym.st_name;
			if (!memchr(name, 0, strings.sh_size - sym.st_name))
				return -ENODATA;
			look_at(exports, &sym, name);
		}
		return 0;
	}
	return -ENODATA;
}

int elf_look(const char *file, struct elf_exports *ret, struct fleet_error *err)
{
	_cleanup_free_ char *data = NULL;
	struct elf_exports exports = {0};
	struct elf e = {0};
	const char *problem;
	int r = fleet_file_read(file, FILE_MAX, &data, &e.len, err);

	if (r < 0)
		return r;
	e.data = data;
	if (!get(&e, 0, &e.head, sizeof(e.head)) || memcmp(e.head.e_ident, ELFMAG, SELFMAG) != 0)
		return fleet_error_set(err, -EINVAL, "it is no ELF file");
	problem = machine_problem(&e);
	if (problem)
		return fleet_error_set(err, -EINVAL, "%s", problem);
	r = list_symbols(&e, &exports);
	if (r < 0) {
		elf_exports_done(&exports);
		return fleet_error_set(err, -ENODATA, "it has no readable table of dynamic symbols");
	}
	*ret = exports;
	return 0;
}

void elf_exports_done(struct elf_exports *e)
{
	free(e->driver_names);
	free(e->other_names);
	*e = (struct elf_exports){0};
}
