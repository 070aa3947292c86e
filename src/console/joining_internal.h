/* What the files of joining share. Nobody else includes this. */
#ifndef CONSOLE_JOINING_INTERNAL_H
#define CONSOLE_JOINING_INTERNAL_H
#include "console/joining.h"

struct conversation;
struct joining {
	struct joining_options options;
	struct conversation *all;
	size_t count;
};

/* Else agents are given keys, if anything. */
bool joining_gives_certificates(const struct joining *joining);
int64_t joining_life_s(const struct joining *joining); /* of a certificate */
void joining_credential_of(const struct fleet_x509_facts *facts, struct credential *ret);

#endif
