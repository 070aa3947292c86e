/* The console's own small authority, DATA/ca, made by `fleet-console ca init`: it vouches for agents'
 * certificates, and for the console's own where the config names none. Its key signs and is never shown.
 * What it does takes a millisecond; event loop, or a subcommand. */
#ifndef CONSOLE_CA_H
#define CONSOLE_CA_H
#include "fleet/x509.h"

struct ca {
	char *cert_file;                /* owned: DATA/ca/ca.crt */
	char *server_cert, *server_key; /* owned: the files of the console's own certificate */
	char *pem, *key_pem;            /* owned */
	struct fleet_x509_facts facts;
};

#define CA_NAMES_MAX 32

/* names: of the console, NULL-terminated; further ones are added by themselves (ca_ensure_server). -EEXIST
 * where there is one. */
int ca_create(const char *data_dir, const char *const *names, struct fleet_error *err) FLEET_MUST_CHECK;
/* Replaces the names; the console takes them up within seconds. -EINVAL for what is no name. */
int ca_set_names(const char *data_dir, const char *const *names, struct fleet_error *err) FLEET_MUST_CHECK;
/* -ENOENT: there is none. *ret owned. */
int ca_load(const char *data_dir, struct ca **ret, struct fleet_error *err) FLEET_MUST_CHECK;
void ca_free(struct ca *ca);
FLEET_DEFINE_CLEANUP(struct ca *, ca_free)

/* Sees to it that there is a certificate for the console itself, of all its names, that does not expire soon:
 * for those of `ca init`, this machine's, and listen_host. 1: a new one was made, 0: it is there. */
int ca_ensure_server(const struct ca *ca, const char *listen_host, struct fleet_error *err) FLEET_MUST_CHECK;
/* For an agent. *ret_pem owned. -EBADMSG for a bad request. */
int ca_issue(const struct ca *ca, const char *request_pem, const char *agent_id, int64_t life_s,
	char **ret_pem, struct fleet_x509_facts *ret, struct fleet_error *err) FLEET_MUST_CHECK;
/* The names that the console's certificate is for; owned, NULL-terminated. */
char **ca_names(const struct ca *ca, const char *listen_host);
void ca_names_free(char **names);
FLEET_DEFINE_CLEANUP(char **, ca_names_free)

#endif
