/* Who and what this server is, for `register`: read once at start. Plain data, the owner's thread. */
#ifndef AGENT_IDENTITY_H
#define AGENT_IDENTITY_H
#include "fleet/encode.h"
#include "fleet/json.h"

struct agent_identity {
	char instance_id[FLEET_SHA256_HEX]; /* "" where the machine has no machine-id */
	char *boot_id;                      /* owned; NULL unknown */
	char *hostname;                     /* owned */
	char *os_id, *os_version, *os_name; /* owned; NULL unknown */
	char *kernel, *arch;                /* owned */
};

/* Never fails: what cannot be read stays unknown. root: "" for this machine; a directory for tests. */
void agent_identity_read(const char *root, struct agent_identity *ret);
void agent_identity_done(struct agent_identity *id);

/* SHA-256 over the machine-id and a constant of ours: the same machine gives the same id, and the console
 * learns nothing that other programs use (machine-id(5) asks for that). -EINVAL where the text is no
 * machine-id. */
int agent_instance_id(const char *machine_id, char ret_hex[FLEET_SHA256_HEX]) FLEET_MUST_CHECK;

/* {id, version, name, kernel, arch}; owned. */
struct json_object *agent_identity_os(const struct agent_identity *id);

#endif
