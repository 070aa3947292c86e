/* env-config: files of environment variables (.env, those in /etc/default), for sh and systemd alike. */
#include "env_edit.h"
#include "path.h"

static int parse(struct fleet_bytes in, struct env_doc *doc, struct fleet_driver_error *err)
{
	struct text text = {0};

	text_add(&text, in.data, in.len);
	return env_doc_parse(&text, doc, err);
}

static int32_t env_config_read(const struct fleet_host *host, struct fleet_bytes in,
	struct fleet_sink *settings, struct fleet_driver_error *err)
{
	struct env_doc doc;
	int r = parse(in, &doc, err);

	for (size_t i = 0; i < doc.count && r == 0; i++) {
		const struct env_item *item = &doc.items[i];
		struct text path = {0};

		path_add_name(&path, doc.text.data + item->start, item->name_len);
		r = path.failed ? fleet_driver_fail(err, -ENOMEM, 0, 0, "out of memory")
				: host->emit_setting(settings, (struct fleet_bytes){path.data, path.len},
					  env_doc_value(&doc, item), FLEET_TYPE_STRING);
		if (r < 0 && r != -ENOMEM)
			(void)env_doc_fail(
				&doc, item->start, err, r, "the settings cannot be told from here on");
		text_done(&path);
	}
	env_doc_done(&doc);
	return r;
}

static int32_t env_config_check(
	const struct fleet_host *host, struct fleet_bytes in, struct fleet_driver_error *err)
{
	struct env_doc doc;
	int r = parse(in, &doc, err);

	(void)host;
	env_doc_done(&doc);
	return r;
}

static int32_t env_config_edit(const struct fleet_host *host, struct fleet_bytes in,
	const struct fleet_edit *edits, uint32_t n, struct fleet_sink *out, struct fleet_driver_error *err)
{
	struct env_doc doc;
	int r = parse(in, &doc, err);

	for (uint32_t i = 0; i < n && r == 0; i++)
		r = env_edit(&doc, &edits[i], err);
	if (r == 0)
		r = host->emit(out, doc.text.data ? doc.text.data : "", doc.text.len);
	env_doc_done(&doc);
	return r;
}

static const struct fleet_format_ops ops = {
	.size = sizeof(ops),
	.flags = FLEET_FORMAT_TEXT_ONLY,
	.read = env_config_read,
	.edit = env_config_edit,
	.check = env_config_check,
};
FLEET_DRIVER_DEFINE("env-config", .version = "1.0",
	.summary = "Files of environment variables, for sh and systemd alike, edited byte for byte",
	.format = &ops);
