/* A JSON document as a tree over its own bytes: every value, name and comma by its place, nothing converted.
 * Takes what config files have beyond RFC 8259: a byte order mark, comments (both kinds) and a comma behind
 * the last member. */
#ifndef PLUGINS_JSON_DOC_H
#define PLUGINS_JSON_DOC_H
#include "fleet/driver.h"
#include "text.h"

#define JSON_DEPTH_MAX 128
#define JSON_NONE      UINT32_MAX

struct json_node {
	uint32_t type;                                /* FLEET_TYPE_* */
	uint32_t start, end;                          /* of the value */
	uint32_t key_start, key_end;                  /* with its quotes; equal where it has no name */
	uint32_t comma;                               /* the comma behind it, or JSON_NONE */
	uint32_t parent, previous, next, first, last; /* nodes, or JSON_NONE */
	uint32_t count;                               /* children */
};
struct json_doc {
	const char *text; /* borrowed */
	uint32_t len;
	struct json_node *nodes; /* owned; the root is nodes[0] */
	uint32_t count, capacity;
	bool empty; /* no value at all: white space and comments at most */
};

/* 0; -EINVAL with line and column; -EFBIG, -ENOMEM. Free with json_doc_done in every case. */
int json_doc_parse(const char *text, size_t len, struct json_doc *ret, struct fleet_driver_error *err);
void json_doc_done(struct json_doc *doc);

/* Fills err with the place of an offset; returns code. */
int json_doc_fail(
	const struct json_doc *doc, size_t at, struct fleet_driver_error *err, int code, const char *why);

/* Skips blanks, and comments where also_comments; newlines only where lines. Returns where something else
 * begins, at most limit. */
uint32_t json_doc_skip(
	const struct json_doc *doc, uint32_t at, uint32_t limit, bool lines, bool also_comments);

/* The end of the comment at `at`, `at` itself where there is none, or JSON_NONE where it has no end. The end
 * of a // comment is before its newline. */
uint32_t json_doc_comment_end(const struct json_doc *doc, uint32_t at);

/* The text that a string token (with its quotes) stands for. Half a surrogate pair becomes U+FFFD. */
void json_string_decode(const char *token, size_t len, struct text *out);
/* Is it the same text? */
bool json_string_is(const char *token, size_t len, const char *text, size_t text_len);
/* The token for a text; false where the text is not UTF-8. */
bool json_string_encode(const char *text, size_t len, struct text *out);

/* An edit's new value as a document of its own; token is its text where that had to be made, and is the
 * caller's as ret is, in every case. -EINVAL where it is not of its type. */
int json_value_parse(const struct fleet_edit *edit, struct text *token, struct json_doc *ret,
	struct fleet_driver_error *err);

#endif
