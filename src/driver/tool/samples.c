#include <sys/stat.h>
#include "driver/tool/samples.h"
#include "fleet/file.h"
#include "fleet/limits.h"

#define SAMPLES_MAX 200

static struct sample *add(struct samples *s, const char *name, char *takes_data, size_t len)
{
	struct sample *item;

	s->items = xreallocarray(s->items, s->count + 1, sizeof(*s->items));
	item = &s->items[s->count++];
	*item = (struct sample){.name = xstrdup(name), .data = takes_data, .len = len};
	return item;
}

static int by_name(const void *a, const void *b)
{
	return strcmp(((const struct sample *)a)->name, ((const struct sample *)b)->name);
}

static int load_folder(
	const char *dir, const char *prefix, bool refused, struct samples *s, struct fleet_error *err)
{
	_cleanup_closedir_ DIR *d = opendir(dir);
	struct dirent *entry;

	if (!d)
		return fleet_error_errno(err, -errno, "cannot open the samples in %s", dir);
	while ((errno = 0, entry = readdir(d))) {
		_cleanup_free_ char *path = xasprintf("%s/%s", dir, entry->d_name), *data = NULL;
		_cleanup_free_ char *name = xasprintf("%s%s", prefix, entry->d_name);
		struct sample *item;
		size_t len = 0;
		struct stat st;
		int r;

		if (entry->d_name[0] == '.' || stat(path, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (s->count == SAMPLES_MAX)
			return fleet_error_set(err, -E2BIG, "%s has more than %d samples", dir, SAMPLES_MAX);
		r = fleet_file_read(path, FLEET_CONFIG_FILE_MAX, &data, &len, err);
		if (r < 0)
			return r;
		item = add(s, name, TAKE_PTR(data), len);
		item->refused = refused;
		item->given = true;
	}
	return errno ? fleet_error_errno(err, -errno, "cannot list the samples in %s", dir) : 0;
}

int samples_load(const char *dir, struct samples *ret, struct fleet_error *err)
{
	_cleanup_free_ char *refused = xasprintf("%s/refused", dir);
	struct samples s = {NULL, 0};
	int r = load_folder(dir, "", false, &s, err);

	if (r == 0 && access(refused, F_OK) == 0)
		r = load_folder(refused, "refused/", true, &s, err);
	if (r == 0 && s.count == 0)
		r = fleet_error_set(err, -ENOENT, "there are no samples in %s", dir);
	if (r < 0) {
		samples_done(&s);
		return r;
	}
	qsort(s.items, s.count, sizeof(*s.items), by_name);
	*ret = s;
	return 0;
}

static const struct {
	const char *name, *text;
} built_in[] = {
	{"built-in JSON", "{\n  \"name\": \"app\",\n  \"port\": 8080,\n  \"ratio\": 1.50,\n  \"on\": true,\n"
			  "  \"none\": null,\n  \"log\": { \"level\": \"info\", \"file\": \"\" },\n"
			  "  \"hosts\": [\"a\", \"b\"],\n  \"empty\": {},\n  \"list\": []\n}\n"},
	{"built-in JSON on one line", "{\"a\":\"b\",\"c\":{\"d\":1,\"e\":[1,2,{\"f\":\"g\"}]}}"},
	{"built-in INI", "; about this file\nglobal = 1\n\n[server]\nport = 8080\nname=app ; inline\n\n"
			 "# a comment\n[log]\nlevel = info\nfile = \"/var/log/app.log\"\n"},
	{"built-in unit", "[Unit]\nDescription=An app\n\n[Service]\nExecStart=/usr/bin/app --port 8080\n"
			  "MemoryMax=64M\n\n[Install]\nWantedBy=multi-user.target\n"},
	{"built-in environment", "# environment\nPORT=8080\nNAME=\"an app\"\nexport LEVEL=info\nEMPTY=\n"},
	{"built-in YAML", "# about this file\nname: app\nport: 8080\nlog:\n  level: info  # how much\n"
			  "  file: \"/var/log/app.log\"\nhosts:\n  - a\n  - b\nempty: {}\n"},
	{"built-in TOML", "# about this file\ntitle = \"app\"\nport = 8080\n\n[log]\nlevel = \"info\"\n"
			  "hosts = [\"a\", \"b\"]\n"},
	{"built-in XML", "<?xml version=\"1.0\"?>\n<config>\n  <!-- about -->\n  <port>8080</port>\n"
			 "  <log level=\"info\"/>\n</config>\n"},
	{"built-in lines of key and value",
		"# about this file\nport 8080\nname app\n\nlevel   info\nlast word"},
	{"built-in properties", "! about\nserver.port=8080\nserver.name: app\nlevel info\n"},
};

void samples_built_in(struct samples *ret)
{
	*ret = (struct samples){NULL, 0};
	for (size_t i = 0; i < FLEET_ARRAY_LEN(built_in); i++)
		add(ret, built_in[i].name, xstrdup(built_in[i].text), strlen(built_in[i].text));
}

/* unit, over and over, to about size bytes. */
static void add_repeated(struct samples *s, const char *name, const char *unit, size_t unit_len, size_t size)
{
	struct fleet_buffer out = FLEET_BUFFER_INIT;
	size_t len;
	char *data;

	while (out.len + unit_len <= size)
		fleet_buffer_add(&out, unit, unit_len);
	data = fleet_buffer_take(&out, &len);
	add(s, name, data, len);
}

void samples_hostile(struct samples *ret)
{
	static const struct {
		const char *name, *text;
		size_t len;
	} small[] = {{"no byte at all", "", 0}, {"one line end", "\n", 1}, {"a NUL", "\0", 1},
		{"NULs in a line", "a=\0b\n\0=c\n", 9}, {"a byte order mark alone", "\xef\xbb\xbf", 3},
		{"UTF-16", "\xff\xfe{\0}\0", 6}, {"broken UTF-8", "a=\xc3\x28\n\xff\xfe\xfa=\x80\n", 11},
		{"an open quote", "a = \"b\n", 7}, {"an open brace", "{\"a\": {\"b\": [", 13},
		{"a lone equals sign", "=\n", 2}, {"a lone backslash", "\\", 1},
		{"line ends of three kinds", "a=1\rb=2\r\nc=3\n", 13},
		{"control characters", "\x01\x02=\x1b[31m\x7f\n", 10}, {"a tab", "\t", 1}};
	static const struct {
		const char *name, *unit;
	} large[] = {{"1 MiB of [", "["}, {"1 MiB of {\"a\":", "{\"a\":"}, {"1 MiB of line ends", "\n"},
		{"1 MiB in one line", "x"}, {"1 MiB of a=1", "a=1\n"}, {"1 MiB of quotes", "\""},
		{"1 MiB of blanks", " "}, {"1 MiB of - ", "- "}, {"1 MiB of backslashes", "\\"},
		{"1 MiB of &a *a", "&a *a "}};

	*ret = (struct samples){NULL, 0};
	for (size_t i = 0; i < FLEET_ARRAY_LEN(small); i++) {
		char *data = xmalloc(small[i].len + 1);

		memcpy(data, small[i].text, small[i].len);
		data[small[i].len] = '\0';
		add(ret, small[i].name, data, small[i].len);
	}
	for (size_t i = 0; i < FLEET_ARRAY_LEN(large); i++)
		add_repeated(ret, large[i].name, large[i].unit, strlen(large[i].unit), FLEET_CONFIG_FILE_MAX);
	add_repeated(ret, "1 MiB of NULs", "\0", 1, FLEET_CONFIG_FILE_MAX);
}

/* The same numbers on every run: a failure can be seen again. */
static uint32_t draw(uint64_t *state)
{
	*state = *state * 6364136223846793005u + 1442695040888963407u;
	return (uint32_t)(*state >> 33);
}

void samples_damage(const struct sample *from, unsigned n, struct sample *ret)
{
	static const char bytes[] = "\0\n\r\t \"'\\=:;#[]{},.-0aA\x7f\xff\xc3";
	uint64_t state = n * 2654435761u + from->len;
	size_t len = from->len, at = len > 0 ? draw(&state) % len : 0;
	char *data = xmalloc(len + 2);

	memcpy(data, from->data, len);
	switch (len > 0 ? n % 4 : 3) {
	case 0: /* cut off */
		len = at;
		break;
	case 1: /* another byte */
		data[at] = bytes[draw(&state) % (sizeof(bytes) - 1)];
		break;
	case 2: /* a byte less */
		memmove(data + at, data + at + 1, --len - at);
		break;
	default: /* a byte more */
		memmove(data + at + 1, data + at, len++ - at);
		data[at] = bytes[draw(&state) % (sizeof(bytes) - 1)];
		break;
	}
	data[len] = '\0';
	*ret = (struct sample){.name = xasprintf("%s, damage %u", from->name, n), .data = data, .len = len};
}

void sample_done(struct sample *s)
{
	free(s->name);
	free(s->data);
	*s = (struct sample){0};
}

void samples_done(struct samples *s)
{
	for (size_t i = 0; i < s->count; i++)
		sample_done(&s->items[i]);
	free(s->items);
	*s = (struct samples){NULL, 0};
}
