/* The augeas driver, in one process and with the lenses that are installed here: what it reads of many
 * formats, that an edit changes its own line and no other byte, and what it refuses. */
#include "unit.h"

#ifndef WITH_AUGEAS

static void test_not_built(void)
{
	unit_skip("configured without libaugeas: apt-get install libaugeas-dev");
}
static const struct unit_test augeas_tests[] = {UNIT_TEST(test_not_built), {0}};

#else

#include "driver_augeas_formats.h"
#include "driver_try.h"
#include "fleet/text.h"

extern const struct fleet_driver_v1 fleet_driver_v1;

static int begin_with(const struct fleet_option *options, uint32_t count, struct fleet_driver_error *err)
{
	struct fake_host h;

	fake_host_init(&h, NULL, options, count);
	*err = (struct fleet_driver_error){.size = sizeof(*err)};
	return fleet_driver_v1.format->init(&h.host, err);
}

static bool use_lens(const char *name)
{
	const struct fleet_option option = {"lens", name};
	struct fleet_driver_error err;
	int r = begin_with(&option, 1, &err);

	if (r < 0)
		printf("# %s: %s\n", name, err.message);
	CU_ASSERT_EQUAL(r, 0);
	return r == 0;
}

#define EDITS_MAX 8

/* What is cut at ;; lives in *copy. */
static uint32_t edits_of(const char *specs, char **copy, struct fleet_edit edits[EDITS_MAX])
{
	uint32_t n = 0;
	char *at = *copy = xstrdup(specs);

	while (at && n < EDITS_MAX) {
		char *end = strstr(at, ";;");

		if (end)
			*end = '\0';
		edits[n++] = try_edit_of(at);
		at = end ? end + 2 : NULL;
	}
	return n;
}

static char *replaced(const char *text, const char *gone, const char *came)
{
	const char *at = strstr(text, gone);

	CU_ASSERT_PTR_NOT_NULL_FATAL(at);
	return xasprintf("%.*s%s%s", (int)(at - text), text, came, at + strlen(gone));
}

static void try_change(const struct augeas_format *f, const struct augeas_change *change)
{
	_cleanup_free_ char *copy = NULL, *want = NULL;
	struct fleet_edit edits[EDITS_MAX];
	uint32_t n = edits_of(change->edits, &copy, edits);
	struct fleet_buffer out = FLEET_BUFFER_INIT, again = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;
	int r = try_edit(f->text, strlen(f->text), edits, n, &out, &err);
	bool good = r == 0;

	if (good && change->gone) {
		want = replaced(f->text, change->gone, change->came);
		good = strcmp(out.data, want) == 0;
	}
	if (!good)
		printf("# %s: %s: %s\n%s\n", f->lens, change->edits, r ? err.message : "got",
			out.data ? out.data : "-");
	CU_ASSERT_TRUE(good);
	if (r == 0)
		CU_ASSERT_TRUE(
			try_says_what_was_asked(f->text, strlen(f->text), out.data, out.len, edits, n));
	if (r == 0 && n == 1 && !memmem(edits[0].path.data, edits[0].path.len, "[", 1)) {
		CU_ASSERT_EQUAL(try_edit(out.data, out.len, edits, 1, &again, &err), 0);
		CU_ASSERT_STRING_EQUAL(again.data ? again.data : "-", out.data);
	}
	fleet_buffer_done(&out);
	fleet_buffer_done(&again);
}

static void test_many_formats(void)
{
	unsigned formats = 0, changes = 0;

	for (const struct augeas_format *f = augeas_formats; f->lens; f++) {
		_cleanup_free_ char *told = NULL;

		if (!use_lens(f->lens))
			continue;
		formats++;
		told = try_settings_text(f->text);
		if (strcmp(told, f->told) != 0)
			printf("# %s says\n%s\n", f->lens, told);
		CU_ASSERT_STRING_EQUAL(told, f->told);
		for (const struct augeas_change *c = f->changes; c->edits; c++, changes++)
			try_change(f, c);
	}
	printf("# %u formats, %u changes\n", formats, changes);
	CU_ASSERT_TRUE(formats >= 12);
}

/* Each value of each text: set to what it is, no byte changes; unset, it is gone or refused. */
static void test_every_setting(void)
{
	unsigned same = 0, gone = 0, refused = 0;

	for (const struct augeas_format *f = augeas_formats; f->lens; f++) {
		struct settings s = SETTINGS_INIT;
		struct fleet_driver_error err;
		size_t len = strlen(f->text);

		if (!use_lens(f->lens) || try_read(f->text, len, &s, &err) < 0)
			continue;
		for (size_t i = 0; i < s.count; i++) {
			struct fleet_edit edit = {.kind = FLEET_EDIT_SET,
				.type = FLEET_TYPE_STRING,
				.path = {s.items[i].path, strlen(s.items[i].path)},
				.value = {s.items[i].value, s.items[i].value_len}};
			struct fleet_buffer out = FLEET_BUFFER_INIT;
			int r = try_edit(f->text, len, &edit, 1, &out, &err);

			CU_ASSERT_TRUE(r == 0 && out.len == len && memcmp(out.data, f->text, len) == 0);
			same++;
			fleet_buffer_done(&out);
			edit = (struct fleet_edit){
				.kind = FLEET_EDIT_UNSET, .path = edit.path, .value = {"", 0}};
			r = try_edit(f->text, len, &edit, 1, &out, &err);
			CU_ASSERT_TRUE(r == 0 || (r == -EINVAL && *err.message));
			if (r == 0)
				CU_ASSERT_TRUE(
					try_says_what_was_asked(f->text, len, out.data, out.len, &edit, 1));
			gone += r == 0;
			refused += r < 0;
			fleet_buffer_done(&out);
		}
		settings_done(&s);
	}
	printf("# %u set to what they were; unset: %u gone, %u refused\n", same, gone, refused);
	CU_ASSERT_TRUE(same > 100 && gone > 50);
}

static void test_malformed(void)
{
	for (const struct augeas_format *f = augeas_formats; f->lens; f++) {
		const struct try_fault faults[] = {{f->malformed, f->line, f->column, f->lens}, {0}};

		if (use_lens(f->lens))
			try_faults(faults);
	}
}

static void test_refused_edits(void)
{
	static const char hosts[] = "10.0.0.1 gw\n10.0.0.2 b c\n",
			  samba[] = "[global]\n  aa = 1\n[share]\n  bb = 2\n";
	static const struct try_refusal on_hosts[] = {{hosts, "[0].canonical=", "cannot write"},
		{hosts, "[0].canonical=a b", "cannot write"},
		{hosts, "[0].canonical=a\n1.1.1.1 x", "cannot write"},
		{hosts, "[0].canonical=a # b", "cannot write"}, {hosts, "[0].nonsense=1", "cannot write"},
		{hosts, "[0].canonical=a\003", "libaugeas keeps for itself"},
		{hosts, "[0].al\004ias=a", "libaugeas keeps for itself"},
		{hosts, "[+].ipaddr=::1", "not all the parts"}, {hosts, "[0].ipaddr", "cannot write"},
		{hosts, "[7].canonical=x", "so many times"}, {hosts, "[7].canonical", "so many times"},
		{hosts, "[0].canonical[3]=x", "so many times"}, {hosts, "[+].ipaddr", "for a new one"},
		{hosts, "[0]=x", "it has parts"}, {hosts, "[0].canonical.more=x", "written with an index"},
		{hosts, "[0].canonical[0].more=x", "single value"},
		{hosts, "[0].Canonical=x", "upper and lower"}, {hosts, "ipaddr.x=1", "has elements"},
		{hosts, "[0].#value=1", "cannot write"}, {0}};
	static const struct try_refusal on_samba[] = {{samba, "target[0].aa", "as a whole"},
		{samba, "target.aa=2", "say which"}, {samba, "target=x", "several times"},
		{samba, "target[0]=x", "it has parts"},
		{samba, "target[0].aa.#value=1", "written with an index"},
		{samba, "target[0].#value=x]\n[y", "cannot write"},
		{samba, "target[0].aa=1\n[evil]", "cannot write"}, {0}};
	static const struct try_refusal in_order[] = {
		{"events {\n a 1;\n}\nevents {\n b 2;\n}\n", "events[0].a", "as a whole"}, {0}};

	if (use_lens("Hosts.lns"))
		try_refusals(on_hosts);
	if (use_lens("Samba.lns"))
		try_refusals(on_samba);
	if (use_lens("Nginx.lns"))
		try_refusals(in_order);
}

/* What the file says where nothing, or only comments, are left in a block. */
static void test_blocks_become_empty(void)
{
	static const struct try_example list[] = {
		{"events {\n    a 1;\n}\nuser b;\n", "events[0].a", "user b;\n"},
		{"events {\n    # note\n    a 1;\n}\n", "events[0].a", "events {\n    # note\n}\n"},
		{"events {\n    # note\n}\n", "events[+].a=1", "events {\n    # note\n    a 1;\n}\n"},
		{"events {\n    # note\n    a 1;\n}\n", "events[0]", ""},
		{"user a;\n", "nothing", "user a;\n"}, {"user a;\n", "nothing[3].at.all", "user a;\n"}, {0}};

	if (use_lens("Nginx.lns"))
		try_examples(list);
}

static void test_line_ends(void)
{
	static const struct try_example list[] = {{"a=1\nb=2", "b=3", "a=1\nb=3"},
		{"a=1\nb=2", "c=3", "a=1\nb=2\nc=3"}, {"a=1\nb=2", "b", "a=1"},
		{"a = 1\n\n# x\n", "a=2", "a = 2\n\n# x\n"}, {0}};
	static const struct try_fault faults[] = {
		{"a=1\n\xff=2\n", 2, 1, "UTF-8"}, {"a=1\nb=\004\n", 2, 3, "libaugeas keeps for itself"}, {0}};
	struct fleet_driver_error err;

	if (!use_lens("Sysctl.lns"))
		return;
	try_examples(list);
	try_faults(faults);
	CU_ASSERT_EQUAL(try_check("a=1\nb=\0\n", 9, &err), -EINVAL);
	CU_ASSERT_TRUE(err.line == 2 && err.column == 3 && strstr(err.message, "NUL"));
}

static void test_init(void)
{
	static const struct {
		const char *lens, *load_path, *why;
	} list[] = {{NULL, NULL, "option lens is missing"}, {"", NULL, "name of an Augeas lens"},
		{"hosts.lns", NULL, "name of an Augeas lens"},
		{"../Hosts.lns", NULL, "name of an Augeas lens"},
		{"Hosts.lns/x", NULL, "name of an Augeas lens"}, {"Hosts.", NULL, "name of an Augeas lens"},
		{"Nope.lns", NULL, "Nope.lns, which cannot be loaded"},
		{"Hosts.nope", NULL, "cannot be loaded"}, {"Hosts.lns", "relative", "absolute directories"},
		{"Hosts", NULL, NULL}, {"Hosts.lns", "/nowhere", NULL}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(list); i++) {
		struct fleet_option options[2];
		struct fleet_driver_error err;
		uint32_t n = 0;
		int r;

		if (list[i].lens)
			options[n++] = (struct fleet_option){"lens", list[i].lens};
		if (list[i].load_path)
			options[n++] = (struct fleet_option){"load_path", list[i].load_path};
		r = begin_with(options, n, &err);
		CU_ASSERT_EQUAL(r, list[i].why ? -EINVAL : 0);
		if (list[i].why)
			CU_ASSERT_PTR_NOT_NULL(strstr(err.message, list[i].why));
		if (list[i].why && !strstr(err.message, list[i].why))
			printf("# %s: %s\n", list[i].lens ? list[i].lens : "-", err.message);
	}
}

/* A lens of one's own, from load_path; and one that is broken. */
static void test_own_lens(void)
{
	char dir[] = "/tmp/fleet-lens-XXXXXX";
	struct fleet_option options[2] = {{"lens", "Fleettest.lns"}, {"load_path", dir}};
	_cleanup_free_ char *path = NULL;
	struct fleet_driver_error err;
	FILE *f;

	CU_ASSERT_PTR_NOT_NULL_FATAL(mkdtemp(dir));
	path = xasprintf("%s/fleettest.aug", dir);
	for (int broken = 0; broken < 2; broken++) {
		f = fopen(path, "we");
		CU_ASSERT_PTR_NOT_NULL_FATAL(f);
		(void)fputs(broken ? "module Fleettest =\n  let lns = nonsense\n"
				   : "module Fleettest =\n  let lns = [ key /[a-z]+/ . del /->/ \"->\" . "
				     "store /[^\\n]*/ . "
				     "del /\\n/ \"\\n\" ]*\n",
			f);
		(void)fclose(f);
		if (broken) {
			CU_ASSERT_EQUAL(begin_with(options, 2, &err), -EINVAL);
			CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "Fleettest.lns, which cannot be loaded"));
			continue;
		}
		CU_ASSERT_EQUAL(begin_with(options, 2, &err), 0);
		try_examples((const struct try_example[]){
			{"a->1\nb->2\n", "b=x y", "a->1\nb->x y\n"}, {"a->1\n", "c=", "a->1\nc->\n"}, {0}});
	}
	(void)unlink(path);
	(void)rmdir(dir);
}

static void hostile(const char *what, const char *data, size_t len)
{
	static const char *const specs[] = {"a=1", "[+]=x", "a[0].b=1", "[0]"};
	struct fleet_driver_error err;
	int checked = try_check(data, len, &err);

	if (checked != 0 && checked != -EINVAL)
		printf("# %s: %d %s\n", what, checked, err.message);
	CU_ASSERT_TRUE(checked == 0 || checked == -EINVAL);
	CU_ASSERT_EQUAL(try_read(data, len, NULL, &err), checked);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(specs); i++) {
		struct fleet_edit edit = try_edit_of(specs[i]);
		struct fleet_buffer out = FLEET_BUFFER_INIT;
		int r = try_edit(data, len, &edit, 1, &out, &err);

		CU_ASSERT_TRUE(r == -EINVAL || (r == 0 && checked == 0));
		if (r == 0)
			CU_ASSERT_TRUE(try_says_what_was_asked(data, len, out.data, out.len, &edit, 1));
		fleet_buffer_done(&out);
	}
}

static void hostile_run(const char *unit, size_t size)
{
	struct fleet_buffer all = FLEET_BUFFER_INIT;

	while (all.len + strlen(unit) <= size)
		fleet_buffer_add_string(&all, unit);
	hostile(unit, all.data, all.len);
	fleet_buffer_done(&all);
}

static void test_hostile_input(void)
{
	static const char *const lenses[] = {"Hosts.lns", "Nginx.lns", "Json.lns", "Xml.lns", "Php.lns"};
	static const char *const units[] = {
		"[", "{\"a\":", "x", "\"", "a=1\n", " ", "\\", "a {\n", "<a>", "#"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(lenses); i++) {
		if (!use_lens(lenses[i]))
			continue;
		for (size_t k = 0; k < FLEET_ARRAY_LEN(units); k++) {
			hostile_run(units[k], 20000);
			hostile_run(units[k], 1024 * 1024);
		}
		hostile("a NUL", "\0", 1);
		hostile("NULs", "a=\0b\n\0", 6);
		hostile("no UTF-8", "\xff\xfe\xfa\x80\n", 5);
		hostile("nothing", "", 0);
		hostile("a line end", "\n", 1);
		hostile("carriage returns", "a=1\rb=2\r\n", 9);
	}
}

/* Nested deeper than key paths go: refused, not crashed over. */
static void test_deep_input(void)
{
	struct fleet_buffer deep = FLEET_BUFFER_INIT;
	struct fleet_driver_error err;

	if (!use_lens("Json.lns"))
		return;
	for (unsigned i = 0; i < 400; i++)
		fleet_buffer_add_string(&deep, "[");
	for (unsigned i = 0; i < 400; i++)
		fleet_buffer_add_string(&deep, "]");
	CU_ASSERT_EQUAL(try_check(deep.data, deep.len, &err), -EINVAL);
	CU_ASSERT_PTR_NOT_NULL(strstr(err.message, "nested too deeply"));
	hostile("deep", deep.data, deep.len);
	fleet_buffer_done(&deep);
}

static const char *const lines_of_hosts[] = {
	"10.0.0.1 a b\n", "# c\n", "::1\tx # y\n", "\n", "  \n", "1.1.1.1   z\n"};

/* Files with damage, and edits at random: what is not refused is exactly what was asked. */
static void test_random_hosts(void)
{
	static const char *const specs[] = {"[0].canonical=n", "[1].alias[+]=q", "[0].alias", "[1]", "[2]",
		"[+].ipaddr=9.9.9.9;;[+].canonical=k",
		"[0].ipaddr=8.8.8.8;;[1].canonical=two;;[0].alias[+]=three"};
	uint64_t seed = 7;
	unsigned edited = 0, refused = 0;

	if (!use_lens("Hosts.lns"))
		return;
	for (unsigned i = 0; i < 600; i++) {
		struct fleet_buffer text = FLEET_BUFFER_INIT, out = FLEET_BUFFER_INIT;
		struct fleet_edit edits[EDITS_MAX];
		_cleanup_free_ char *copy = NULL;
		struct fleet_driver_error err;
		uint32_t n, roll;
		int r;

#define ROLL(sides)                                                                                          \
	(seed = seed * 6364136223846793005ull + 1442695040888963407ull, (uint32_t)(seed >> 33) % (sides))
		fleet_buffer_add(&text, "", 0);
		for (uint32_t lines = ROLL(7); lines > 0; lines--) {
			roll = ROLL(FLEET_ARRAY_LEN(lines_of_hosts));
			fleet_buffer_add_string(&text, lines_of_hosts[roll]);
		}
		roll = ROLL(8);
		if (roll == 0 && text.len > 0)
			fleet_buffer_truncate(&text, text.len - 1);
		roll = ROLL(FLEET_ARRAY_LEN(specs));
		n = edits_of(specs[roll], &copy, edits);
		r = try_edit(text.data ? text.data : "", text.len, edits, n, &out, &err);
		CU_ASSERT_TRUE(r == 0 || r == -EINVAL);
		if (r == 0)
			CU_ASSERT_TRUE(try_says_what_was_asked(
				text.data ? text.data : "", text.len, out.data, out.len, edits, n));
		edited += r == 0;
		refused += r < 0;
		fleet_buffer_done(&text);
		fleet_buffer_done(&out);
	}
	printf("# %u edited, %u refused\n", edited, refused);
	CU_ASSERT_TRUE(edited > 200 && refused > 50);
}

static const struct unit_test augeas_tests[] = {UNIT_TEST(test_init), UNIT_TEST(test_own_lens),
	UNIT_TEST(test_many_formats), UNIT_TEST(test_every_setting), UNIT_TEST(test_malformed),
	UNIT_TEST(test_refused_edits), UNIT_TEST(test_blocks_become_empty), UNIT_TEST(test_line_ends),
	UNIT_TEST(test_hostile_input), UNIT_TEST(test_deep_input), UNIT_TEST(test_random_hosts), {0}};

#endif

int main(void)
{
	return unit_run((const struct unit_suite[]){{"augeas", augeas_tests}, {0}});
}
