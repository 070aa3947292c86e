/* A fuzz input of a format driver, taken apart: the app's options, some edits, and the file.
 *
 *	option flavour=systemd
 *	set server.port=8080          the type is decided as for --set
 *	string server.name=8080       --set-string
 *	json server.tags=["a"]        --set-json
 *	unset server.old
 *
 *	[server]
 *	...
 *
 * Up to the first empty line; without one, all of it is the file. Lines that are none of these are passed
 *over. */
#ifndef FUZZ_FORMAT_H
#define FUZZ_FORMAT_H
#include "driver_fake.h"
#include "fuzz.h"

#define FORMAT_EDITS_MAX   6
#define FORMAT_OPTIONS_MAX 2

struct format_wish {
	char *path, *text; /* owned; text NULL: unset */
	enum settings_mode mode;
};
struct format_input {
	struct fleet_bytes file; /* borrowed */
	struct format_wish wishes[FORMAT_EDITS_MAX];
	size_t wish_count;
	char *option_texts[FORMAT_OPTIONS_MAX][2]; /* owned */
	struct fleet_option options[FORMAT_OPTIONS_MAX];
	uint32_t option_count;
	uint32_t dice; /* made of the bytes: the same input tries the same things */
};

void format_input_parse(const uint8_t *data, size_t size, struct format_input *ret);
void format_input_done(struct format_input *input);

#endif
