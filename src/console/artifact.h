/* An artifact: where a release of an app is to be had, and by what it is known: its checksum, its signature.
 * Either a URL somewhere, or a file that this console keeps and serves. Plain data, never changed once
 * registered; shared by artifacts (which decides), store (which keeps) and api (which shows). */
#ifndef CONSOLE_ARTIFACT_H
#define CONSOLE_ARTIFACT_H
#include "fleet/encode.h"
#include "fleet/ids.h"
#include "fleet/json.h"

struct artifact {
	char id[FLEET_UUID_LEN + 1];
	char *app_id, *version;        /* owned */
	char *url;                     /* owned; NULL: the console has the file */
	char sha256[FLEET_SHA256_HEX]; /* lower case; "" unknown */
	char *signature;               /* owned: minisign's text; may be NULL */
	int64_t bytes;                 /* -1 unknown */
	char *added_by;                /* owned: the actor */
	int64_t added_ms;
	/* in memory only */
	bool lost;    /* its file is not as it was registered */
	bool leaving; /* its removal is being committed */
};

struct artifact *artifact_new(void); /* fresh id; owned */
struct artifact *artifact_copy(const struct artifact *a);
void artifact_free(struct artifact *a); /* accepts NULL */
/* Where an agent gets it: the URL, or the path of the file at its own console. Owned. */
char *artifact_source(const struct artifact *a);
/* As GET /api/artifacts/:artifactId shows it; owned. Queries and credentials of URLs are cut. */
struct json_object *artifact_to_json(const struct artifact *a);
/* "2.1.0" and "v2.1.0" are one version. */
bool artifact_is_version(const struct artifact *a, const char *version);
/* The id in a path that artifact_source made, 36 bytes, or NULL. Borrowed from it. */
const char *artifact_id_in_source(const char *source);

#endif
