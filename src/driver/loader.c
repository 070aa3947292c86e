#include <dlfcn.h>
#include <elf.h>
#include <link.h>
#include "driver/loader.h"
#include "fleet/ids.h"
#include "fleet/limits.h"

/* The members of ABI 1.0; a struct may be longer, never shorter. */
#define SIZE_1_0(type, last) (offsetof(struct type, last) + sizeof(((struct type *)0)->last))

static int broken(struct fleet_error *err, const char *file, const char *why)
{
	const char *base = strrchr(file, '/');

	return fleet_error_set(
		err, -EPROTO, "driver file %s cannot be used: %s", base ? base + 1 : file, why);
}

static int load(const char *file, int fd, void **ret, struct fleet_error *err)
{
	_cleanup_free_ char *by_fd = xasprintf("/proc/self/fd/%d", fd);
	const char *why;
	void *handle;

	handle = dlopen(access(file, R_OK) == 0 ? file : by_fd, RTLD_NOW | RTLD_LOCAL);
	if (!handle) {
		why = dlerror();
		fleet_error_set(err, -ENOEXEC, "driver file %s cannot be loaded: %s", file,
			why ? why : "unknown reason");
		if (err)
			fleet_text_sanitize(err->message);
		return -ENOEXEC;
	}
	*ret = handle;
	return 0;
}

/* How long the object really is, going by the symbol table; SIZE_MAX where it does not say. */
static size_t symbol_size(const void *symbol)
{
	void *extra = NULL;
	Dl_info info;

	if (!dladdr1(symbol, &info, &extra, RTLD_DL_SYMENT) || !extra || info.dli_saddr != symbol)
		return SIZE_MAX;
	return ((const ElfW(Sym) *)extra)->st_size;
}

static bool is_text(const char *text, size_t max)
{
	return text && strnlen(text, max + 1) <= max;
}

static const char *check_format(const struct fleet_format_ops *ops)
{
	if (ops->size < SIZE_1_0(fleet_format_ops, init))
		return "its struct fleet_format_ops is shorter than that of ABI 1.0";
	if (!ops->read || !ops->edit || !ops->check)
		return "its format role lacks read, edit or check";
	return NULL;
}

static const char *check_service(const struct fleet_service_ops *ops)
{
	if (ops->size < SIZE_1_0(fleet_service_ops, logs))
		return "its struct fleet_service_ops is shorter than that of ABI 1.0";
	return ops->status ? NULL : "its service role lacks status";
}

static const char *check(const struct fleet_driver_v1 *d, size_t real_size)
{
	const char *why = NULL;

	if (d->size < SIZE_1_0(fleet_driver_v1, service) || real_size < d->size)
		return "its struct fleet_driver_v1 is shorter than that of ABI 1.0, or than it says";
	if (!is_text(d->name, FLEET_ID_MAX) || !fleet_id_is_valid(d->name))
		return "its name is missing or not acceptable";
	if (!is_text(d->version, FLEET_VERSION_LEN_MAX) || !*d->version)
		return "its version is missing or too long";
	if (!is_text(d->summary, FLEET_TEXT_MAX))
		return "its summary is missing or too long";
	if (!d->format && !d->service)
		return "it has neither of the two roles, format and service";
	if (d->format)
		why = check_format(d->format);
	if (!why && d->service)
		why = check_service(d->service);
	return why;
}

int driver_loader_open(const char *name, const char *file, int fd, const struct fleet_driver_v1 **ret,
	struct fleet_error *err)
{
	const struct fleet_driver_v1 *driver;
	size_t real_size;
	const char *why;
	void *handle;
	int r;

	r = load(file, fd, &handle, err);
	if (r < 0)
		return r;
	driver = dlsym(handle, "fleet_driver_v1");
	if (!driver)
		return broken(err, file,
			dlsym(handle, "fleet_driver_v2")
				? "it is made for ABI 2 only, and this Fleet has ABI 1"
				: "it does not export fleet_driver_v1, so it is no driver for ABI 1");
	real_size = symbol_size(driver);
	if (real_size < 8)
		return broken(err, file, "its fleet_driver_v1 is too short to be a driver");
	if (driver->abi_major != FLEET_DRIVER_ABI_MAJOR) {
		_cleanup_free_ char *text = xasprintf("it is made for ABI %u, and this Fleet has ABI %u",
			driver->abi_major, FLEET_DRIVER_ABI_MAJOR);

		return broken(err, file, text);
	}
	why = check(driver, real_size);
	if (why)
		return broken(err, file, why);
	if (name && strcmp(driver->name, name) != 0) {
		_cleanup_free_ char *text =
			xasprintf("it calls itself %s, its file must be %s.so", driver->name, driver->name);

		return broken(err, file, text);
	}
	*ret = driver;
	return 0;
}

void driver_loader_last_words(void)
{
#ifdef FLEET_UNSANDBOXED
	static const char *const words[] = {"__lsan_do_leak_check", "__gcov_dump"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(words); i++) {
		void (*say)(void) = (void (*)(void))dlsym(RTLD_DEFAULT, words[i]);

		if (say)
			say();
	}
#endif
}
