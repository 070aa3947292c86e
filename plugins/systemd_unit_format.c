#include "ini_edit.h"
#include "systemd_unit_format.h"

#define SEVERAL_MAX 100

/* The assignments of one key: of `all` in a row, those from number `from` on count. */
struct row {
	size_t all, from;
};

static int rules_of_units(struct ini_rules *ret, struct fleet_driver_error *err)
{
	/* not the app's options: there is one flavour of units */
	static const struct fleet_option flavour[] = {{"flavour", "systemd"}};
	const struct fleet_host host = {.size = sizeof(host), .options = flavour, .option_count = 1};

	return ini_rules_of(&host, ret, err);
}

static bool is_reset(const struct ini_doc *doc, size_t i)
{
	struct text value = {0};
	bool empty;

	ini_doc_value(doc, i, &value);
	empty = value.len == 0;
	text_done(&value);
	return empty;
}

static struct row row_of(const struct ini_doc *doc, size_t first)
{
	struct row row = {0};

	for (size_t i = first; i != INI_NONE; i = doc->items[i].next) {
		row.all++;
		if (is_reset(doc, i))
			row.from = row.all;
	}
	return row;
}

static size_t counting(struct row row)
{
	return row.all - row.from;
}

/* Does the line of a value's end go on in the next one? */
static bool goes_on(const struct ini_doc *doc, size_t end)
{
	size_t n = 0;

	if (line_at(doc->text, doc->len, end).end != end)
		return false;
	while (n < end && doc->text[end - 1 - n] == '\\')
		n++;
	return n % 2 == 1;
}

/* What systemd does not take, or passes over with a warning that nobody sees. */
static int check_items(const struct ini_doc *doc, struct fleet_driver_error *err)
{
	const char *s = doc->text;

	for (size_t i = 0; i < doc->count; i++) {
		const struct ini_item *item = &doc->items[i];
		struct line line = line_at(s, doc->len, item->start);

		if (item->kind == INI_SECTION && line_trim(s, line.start, line.end) != item->name_end + 1)
			return ini_doc_fail(doc, item->name_end + 1, err, -EINVAL,
				"something stands behind the ] of a section: systemd refuses such a file");
		if (item->kind != INI_KEY)
			continue;
		if (item->section == 0)
			return ini_doc_fail(doc, item->name_start, err, -EINVAL,
				"an assignment outside of any section, which systemd ignores");
		if (item->end == doc->len && goes_on(doc, item->value_end))
			return ini_doc_fail(doc, item->value_end - 1, err, -EINVAL,
				"the file ends in the midst of a continued line");
	}
	return 0;
}

static int parse(const struct ini_rules *rules, const char *text, size_t len, struct ini_doc *ret,
	struct fleet_driver_error *err)
{
	int r = ini_doc_parse(rules, text, len, ret, err);

	return r < 0 ? r : check_items(ret, err);
}

static int tell(const struct fleet_host *host, const struct ini_doc *doc, struct fleet_sink *settings,
	struct fleet_driver_error *err)
{
	struct row *rows = calloc(doc->count + 1, sizeof(*rows)); /* by their first items */
	struct text path = {0}, value = {0};
	int r = rows ? 0 : -ENOMEM;

	for (size_t i = 0; i < doc->count && r == 0; i++) {
		const struct ini_item *item = &doc->items[i];
		struct row *row = &rows[item->first];

		if (item->kind != INI_KEY)
			continue;
		if (item->first == i)
			*row = row_of(doc, i);
		if (item->nth < row->from && (counting(*row) > 0 || item->nth + 1 < row->all))
			continue;
		path.len = value.len = 0;
		ini_doc_path(doc, i, false, &path);
		if (counting(*row) > 1)
			path_add_index(&path, item->nth - row->from);
		ini_doc_value(doc, i, &value);
		r = path.failed || value.failed
			    ? -ENOMEM
			    : host->emit_setting(settings, (struct fleet_bytes){path.data, path.len},
				      (struct fleet_bytes){value.data ? value.data : "", value.len},
				      FLEET_TYPE_STRING);
		if (r < 0 && r != -ENOMEM)
			(void)ini_doc_fail(
				doc, item->name_start, err, r, "the settings cannot be told from here on");
	}
	if (r == -ENOMEM)
		(void)fleet_driver_fail(err, r, 0, 0, "out of memory");
	free(rows);
	text_done(&path);
	text_done(&value);
	return r;
}

static int32_t unit_read(const struct fleet_host *host, struct fleet_bytes in, struct fleet_sink *settings,
	struct fleet_driver_error *err)
{
	struct ini_rules rules;
	struct ini_doc doc;
	int r = rules_of_units(&rules, err);

	if (r < 0)
		return r;
	r = parse(&rules, in.data, in.len, &doc, err);
	if (r == 0)
		r = tell(host, &doc, settings, err);
	ini_doc_done(&doc);
	return r;
}

static int32_t unit_check(
	const struct fleet_host *host, struct fleet_bytes in, struct fleet_driver_error *err)
{
	struct ini_rules rules;
	struct ini_doc doc;
	int r = rules_of_units(&rules, err);

	(void)host;
	if (r < 0)
		return r;
	r = parse(&rules, in.data, in.len, &doc, err);
	ini_doc_done(&doc);
	return r;
}

/* One edit of a unit is one or several of the lines that it is made of. */
struct change {
	const struct ini_rules *rules;
	struct text *file;
	const struct path_part *section, *name;
	struct fleet_bytes value;
	struct fleet_driver_error *err;
};
enum { WHOLE_ROW = -1, APPENDED = -2 };

/* `which`: the number of the assignment, of all in the row. */
static int change_line(const struct change *c, uint32_t kind, long which, const char *value, size_t len)
{
	struct fleet_edit edit = {.kind = kind, .value = {value, len}, .type = FLEET_TYPE_STRING};
	struct text path = {0};
	int r;

	path_add_name(&path, c->section->name, c->section->name_len);
	path_add_name(&path, c->name->name, c->name->name_len);
	if (which >= 0)
		path_add_index(&path, (size_t)which);
	else if (which == APPENDED)
		text_add_string(&path, "[+]");
	if (path.failed) {
		r = fleet_driver_fail(c->err, -ENOMEM, 0, 0, "out of memory");
	} else {
		edit.path = (struct fleet_bytes){path.data, path.len};
		r = ini_edit(c->rules, c->file, &edit, c->err);
	}
	text_done(&path);
	return r;
}

static int put(const struct change *c, long which)
{
	return change_line(c, FLEET_EDIT_SET, which, c->value.data, c->value.len);
}

static bool is_one_of(const struct path_part *name, const char *const *list)
{
	for (; *list; list++) {
		if (text_equal(name->name, name->name_len, *list, strlen(*list)))
			return true;
	}
	return false;
}

/* Commands: what a drop-in sets takes the place of the unit's, which only a reset before it does. */
static bool is_command(const struct path_part *name)
{
	static const char *const commands[] = {"ExecCondition", "ExecStartPre", "ExecStart", "ExecStartPost",
		"ExecReload", "ExecStop", "ExecStopPre", "ExecStopPost", NULL};

	return is_one_of(name, commands);
}

/* Where a reset stands alone, does the value come behind it, and not in its place? */
static bool is_list(const struct path_part *name)
{
	static const char *const lists[] = {"Environment", "EnvironmentFile", "PassEnvironment",
		"UnsetEnvironment", "ReadWritePaths", "ReadOnlyPaths", "InaccessiblePaths", "ExecPaths",
		"NoExecPaths", "BindPaths", "BindReadOnlyPaths", "TemporaryFileSystem", "SystemCallFilter",
		"SystemCallLog", "RestrictAddressFamilies", "CapabilityBoundingSet", "AmbientCapabilities",
		"SupplementaryGroups", "DeviceAllow", "LoadCredential", "SetCredential", "IPAddressAllow",
		"IPAddressDeny", "IODeviceWeight", "IOReadBandwidthMax", "IOWriteBandwidthMax",
		"IOReadIOPSMax", "IOWriteIOPSMax", "LogExtraFields", "ListenStream", "ListenDatagram",
		"ListenSequentialPacket", "ListenFIFO", "OnCalendar", "OnActiveSec", "OnBootSec",
		"OnStartupSec", "OnUnitActiveSec", "OnUnitInactiveSec", NULL};

	return is_command(name) || is_one_of(name, lists);
}

static int refuse(const struct change *c, const char *why)
{
	return fleet_driver_fail(c->err, -EINVAL, 0, 0, "%s", why);
}

/* The key has this one value and no other. */
static int set_whole(const struct change *c, struct row row)
{
	int r;

	if (counting(row) > 0) {
		r = put(c, (long)row.all - 1);
		for (size_t i = row.all - 1; i > row.from && r == 0; i--)
			r = change_line(c, FLEET_EDIT_UNSET, (long)i - 1, "", 0);
		return r;
	}
	if (row.all > 0) { /* empty: what stands before a reset must not come back */
		bool behind = c->value.len > 0 && (row.all > 1 || is_list(c->name));

		return put(c, behind ? APPENDED : (long)row.all - 1);
	}
	if (c->value.len == 0 || !is_command(c->name))
		return put(c, WHOLE_ROW);
	r = change_line(c, FLEET_EDIT_SET, WHOLE_ROW, "", 0);
	return r < 0 ? r : put(c, APPENDED);
}

static int set(const struct change *c, struct row row, const struct path_part *index)
{
	size_t there = counting(row) > 0 ? counting(row) : row.all > 0;

	if (index && index->kind == PATH_APPEND) {
		if (there > 0 && c->value.len == 0)
			return refuse(c, "an empty value would reset the key and add nothing to it");
		if (there > 0 && counting(row) == 0)
			return refuse(c, "the key is there and empty: set it, without [+]");
		return put(c, APPENDED);
	}
	if (index && index->index >= there)
		return refuse(c, "this key does not stand there so many times; one more of it is [+]");
	if (!index || there == 1)
		return set_whole(c, row);
	if (c->value.len == 0)
		return refuse(c, "an empty value would reset the key with all that stands before: unset this "
				 "one, or set the key as a whole");
	return put(c, (long)(row.from + index->index));
}

static int unset(const struct change *c, struct row row, const struct path_part *index)
{
	size_t there = counting(row) > 0 ? counting(row) : row.all > 0;

	if (index && index->kind == PATH_APPEND)
		return refuse(c, "[+] cannot be unset: it is for a new one");
	if (there == 0 && !index)
		return 0;
	if (index && there > 0 && index->index >= there)
		return refuse(c, "this key does not stand there so many times");
	if (!index || there <= 1)
		return there == 0 ? 0 : change_line(c, FLEET_EDIT_UNSET, WHOLE_ROW, "", 0);
	return change_line(c, FLEET_EDIT_UNSET, (long)(row.from + index->index), "", 0);
}

static int edit_key(struct change *c, const struct path *path, const struct fleet_edit *edit)
{
	const struct path_part *index = path->count > 2 ? &path->parts[2] : NULL;
	struct row row = {0};
	struct ini_doc doc;
	size_t first;
	int r;

	c->section = &path->parts[0];
	c->name = &path->parts[1];
	c->value = edit->value;
	r = parse(c->rules, c->file->data ? c->file->data : "", c->file->len, &doc, c->err);
	if (r == 0) {
		first = ini_doc_key(&doc, ini_doc_section(&doc, c->section->name, c->section->name_len),
			c->name->name, c->name->name_len);
		if (first != INI_NONE)
			row = row_of(&doc, first);
	}
	ini_doc_done(&doc);
	if (r < 0)
		return r;
	if (row.all > SEVERAL_MAX)
		return fleet_driver_fail(
			c->err, -EINVAL, 0, 0, "this key stands there more than %d times", SEVERAL_MAX);
	return edit->kind == FLEET_EDIT_SET ? set(c, row, index) : unset(c, row, index);
}

static int unset_section(const struct ini_rules *rules, struct text *file, const struct fleet_edit *edit,
	struct fleet_driver_error *err)
{
	struct ini_doc doc;
	int r = parse(rules, file->data ? file->data : "", file->len, &doc, err);

	ini_doc_done(&doc);
	return r < 0 ? r : ini_edit(rules, file, edit, err);
}

static int apply(const struct ini_rules *rules, struct text *file, const struct fleet_edit *edit,
	struct fleet_driver_error *err)
{
	struct change c = {.rules = rules, .file = file, .err = err};
	struct path path;
	int r;

	r = path_parse(edit->path, &path);
	if (r < 0 || path.count == 0)
		r = fleet_driver_fail(err, r < 0 ? r : -EINVAL, 0, 0, "an edit without a proper key path");
	else if (path.count == 1 && path.parts[0].kind == PATH_NAME && edit->kind == FLEET_EDIT_UNSET)
		r = unset_section(rules, file, edit, err);
	else if (path.count < 2 || path.count > 3 || path.parts[0].kind != PATH_NAME ||
		 path.parts[1].kind != PATH_NAME || (path.count == 3 && path.parts[2].kind == PATH_NAME))
		r = edit->kind == FLEET_EDIT_UNSET && (path.count <= 3 || path.parts[2].kind == PATH_NAME)
			    ? 0
			    : fleet_driver_fail(err, -EINVAL, 0, 0,
				      "a unit has sections with keys, as in "
				      "Service.MemoryMax, and nothing deeper");
	else
		r = edit_key(&c, &path, edit);
	path_done(&path);
	return r;
}

static int32_t unit_edit(const struct fleet_host *host, struct fleet_bytes in, const struct fleet_edit *edits,
	uint32_t n, struct fleet_sink *out, struct fleet_driver_error *err)
{
	struct text file = {0};
	struct ini_rules rules;
	struct ini_doc doc;
	int r = rules_of_units(&rules, err);

	if (r < 0)
		return r;
	text_add(&file, in.data, in.len);
	if (file.failed)
		return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = apply(&rules, &file, &edits[i], err);
	if (r == 0) {
		/* never hand out what would not be taken back */
		r = parse(&rules, file.data ? file.data : "", file.len, &doc, err);
		ini_doc_done(&doc);
	}
	if (r == 0)
		r = host->emit(out, file.data ? file.data : "", file.len);
	text_done(&file);
	return r;
}

const struct fleet_format_ops systemd_unit_format = {
	.size = sizeof(systemd_unit_format),
	.flags = FLEET_FORMAT_TEXT_ONLY,
	.read = unit_read,
	.edit = unit_edit,
	.check = unit_check,
};
