/* ini-config: INI files of many flavours (ini_rules.h), edited in place. */
#include "ini_edit.h"

static void tell_directives(const struct fleet_host *host, const struct ini_doc *doc)
{
	for (size_t i = 0; i < doc->count; i++) {
		if (doc->items[i].kind != INI_DIRECTIVE)
			continue;
		fleet_log(host, FLEET_LOG_LEVEL_INFO,
			"the file includes others with !include or !includedir; they were not looked into");
		return;
	}
}

static int emit(const struct fleet_host *host, const struct ini_doc *doc, struct fleet_sink *settings,
	struct fleet_driver_error *err)
{
	struct text path = {0}, value = {0};
	int r = 0;

	for (size_t i = 0; i < doc->count && r == 0; i++) {
		if (doc->items[i].kind != INI_KEY)
			continue;
		path.len = value.len = 0;
		ini_doc_path(doc, i, true, &path);
		ini_doc_value(doc, i, &value);
		if (path.failed || value.failed)
			r = fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
		else
			r = host->emit_setting(settings, (struct fleet_bytes){path.data, path.len},
				(struct fleet_bytes){value.data ? value.data : "", value.len},
				FLEET_TYPE_STRING);
		if (r < 0 && r != -ENOMEM)
			(void)ini_doc_fail(doc, doc->items[i].name_start, err, r,
				"the settings cannot be told from here on");
	}
	text_done(&path);
	text_done(&value);
	return r;
}

static int32_t ini_read(const struct fleet_host *host, struct fleet_bytes in, struct fleet_sink *settings,
	struct fleet_driver_error *err)
{
	struct ini_rules rules;
	struct ini_doc doc;
	int r = ini_rules_of(host, &rules, err);

	if (r < 0)
		return r;
	r = ini_doc_parse(&rules, in.data, in.len, &doc, err);
	if (r == 0) {
		tell_directives(host, &doc);
		r = emit(host, &doc, settings, err);
	}
	ini_doc_done(&doc);
	return r;
}

static int32_t ini_check(const struct fleet_host *host, struct fleet_bytes in, struct fleet_driver_error *err)
{
	struct ini_rules rules;
	struct ini_doc doc;
	int r = ini_rules_of(host, &rules, err);

	if (r < 0)
		return r;
	r = ini_doc_parse(&rules, in.data, in.len, &doc, err);
	ini_doc_done(&doc);
	return r;
}

static int32_t ini_edit_all(const struct fleet_host *host, struct fleet_bytes in,
	const struct fleet_edit *edits, uint32_t n, struct fleet_sink *out, struct fleet_driver_error *err)
{
	struct ini_rules rules;
	struct text file = {0};
	int r = ini_rules_of(host, &rules, err);

	if (r < 0)
		return r;
	text_add(&file, in.data, in.len);
	if (file.failed)
		return fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory");
	for (uint32_t i = 0; i < n && r == 0; i++)
		r = ini_edit(&rules, &file, &edits[i], err);
	if (r == 0)
		r = host->emit(out, file.data ? file.data : "", file.len);
	text_done(&file);
	return r;
}

static const struct fleet_format_ops ops = {
	.size = sizeof(ops),
	.flags = FLEET_FORMAT_TEXT_ONLY,
	.read = ini_read,
	.edit = ini_edit_all,
	.check = ini_check,
};
FLEET_DRIVER_DEFINE(
	"ini-config", .version = "1.0", .summary = "INI config files, edited byte for byte", .format = &ops);
