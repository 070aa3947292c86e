#include "console/ca.h"

#include <sys/stat.h>
#include <time.h>

#include "fleet/file.h"
#include "fleet/ids.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define CA_LIFE_S      (10 * INT64_C(365) * 86400)
#define SERVER_LIFE_S  (90 * INT64_C(86400)) /* renewed by itself after 60 days */
#define NAMES_FILE_MAX 16384

/* --- names of the console ---------------------------------------------------------------------------- */

/* A host name, a wildcard one, or an address. */
static bool is_host(const char *name)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789.-:*";
	size_t len = strlen(name);

	return len > 0 && len <= FLEET_HOSTNAME_LEN_MAX && strspn(name, letters) == len && name[0] != '-' &&
	       name[0] != '.';
}

static int check_names(const char *const *names, struct fleet_error *err)
{
	size_t count = 0;

	for (; names[count]; count++) {
		if (!is_host(names[count]))
			return fleet_error_set(err, -EINVAL,
				"'%s' is no name of a host and no address: as console.example.com or "
				"192.0.2.7",
				names[count]);
	}
	if (count > CA_NAMES_MAX - 8)
		return fleet_error_set(err, -EINVAL, "at most %d names", CA_NAMES_MAX - 8);
	return 0;
}

static int write_names(const char *dir, const char *const *names, struct fleet_error *err)
{
	_cleanup_free_ char *path = xasprintf("%s/names", dir), *text = xstrdup("");

	for (size_t i = 0; names[i]; i++) {
		char *longer = xasprintf("%s%s\n", text, names[i]);

		free(text);
		text = longer;
	}
	return fleet_file_write_durable(path, text, strlen(text), 0644, err);
}

static void add_name(char **names, size_t *count, const char *name)
{
	if (*count == CA_NAMES_MAX || !is_host(name))
		return;
	for (size_t i = 0; i < *count; i++) {
		if (strcasecmp(names[i], name) == 0)
			return;
	}
	names[(*count)++] = xstrdup(name);
}

char **ca_names(const struct ca *ca, const char *listen_host)
{
	char **names = xcalloc(CA_NAMES_MAX + 1, sizeof(*names));
	_cleanup_free_ char *path = xstrndup(ca->cert_file, strlen(ca->cert_file) - strlen("ca.crt"));
	_cleanup_free_ char *file = xasprintf("%snames", path), *text = NULL;
	char hostname[FLEET_HOSTNAME_LEN_MAX + 1] = "";
	size_t count = 0, len;

	if (fleet_file_read(file, NAMES_FILE_MAX, &text, &len, NULL) >= 0) {
		for (char *at = text, *line; (line = strsep(&at, "\n"));)
			add_name(names, &count, line);
	}
	if (gethostname(hostname, sizeof(hostname) - 1) == 0)
		add_name(names, &count, hostname);
	add_name(names, &count, "localhost");
	add_name(names, &count, "127.0.0.1");
	add_name(names, &count, "::1");
	if (listen_host && strcmp(listen_host, "0.0.0.0") != 0 && strcmp(listen_host, "::") != 0)
		add_name(names, &count, listen_host);
	return names;
}

void ca_names_free(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

/* --- the authority ----------------------------------------------------------------------------------- */

int ca_create(const char *data_dir, const char *const *names, struct fleet_error *err)
{
	_cleanup_free_ char *dir = xasprintf("%s/ca", data_dir), *cert_file = xasprintf("%s/ca.crt", dir),
			    *key_file = xasprintf("%s/ca.key", dir), *name = NULL, *pem = NULL, *tag = NULL;
	_cleanup_(fleet_x509_forget) char *key = NULL;
	unsigned char random[4];
	int r = check_names(names, err);

	if (r < 0)
		return r;
	if (access(cert_file, F_OK) == 0)
		return fleet_error_set(err, -EEXIST,
			"there is an authority already, in %s: agents trust it, so it is not replaced. "
			"`fleet-console ca show` shows it, `fleet-console ca names NAME...` changes the "
			"names "
			"of this console",
			dir);
	fleet_random(random, sizeof(random));
	tag = fleet_hex_encode(random, sizeof(random));
	name = xasprintf("Fleet CA %s", tag); /* no two of the same name: else peers mix them up */
	r = fleet_mkdir_parents(dir, 0700, err);
	if (r >= 0)
		r = fleet_x509_key_new(&key, err);
	if (r >= 0)
		r = fleet_x509_authority_new(key, name, CA_LIFE_S, &pem, err);
	if (r >= 0)
		r = write_names(dir, names, err);
	if (r >= 0)
		r = fleet_file_write_durable(key_file, key, strlen(key), 0600, err);
	if (r >= 0) /* last: with it the authority is there */
		r = fleet_file_write_durable(cert_file, pem, strlen(pem), 0644, err);
	return r < 0 ? fleet_error_wrap(err, "cannot make an authority") : 0;
}

int ca_set_names(const char *data_dir, const char *const *names, struct fleet_error *err)
{
	_cleanup_(ca_freep) struct ca *ca = NULL;
	_cleanup_free_ char *dir = xasprintf("%s/ca", data_dir);
	int r = check_names(names, err);

	if (r >= 0)
		r = ca_load(data_dir, &ca, err);
	return r < 0 ? r : write_names(dir, names, err);
}

static int read_key(const char *path, char **ret, struct fleet_error *err)
{
	struct stat st;
	size_t len;

	if (stat(path, &st) == 0 && (st.st_mode & (S_IRWXG | S_IRWXO)))
		return fleet_error_set(err, -EPERM,
			"the key %s is open to others: whoever read it can pass for this console and its "
			"agents; chmod 600 it, or make a new authority if that may have happened",
			path);
	return fleet_file_read(path, FLEET_CERTIFICATE_PEM_MAX, ret, &len, err);
}

int ca_load(const char *data_dir, struct ca **ret, struct fleet_error *err)
{
	_cleanup_(ca_freep) struct ca *ca = xcalloc(1, sizeof(*ca));
	_cleanup_free_ char *key_file = xasprintf("%s/ca/ca.key", data_dir);
	size_t len = 0;
	int r;

	ca->cert_file = xasprintf("%s/ca/ca.crt", data_dir);
	ca->server_cert = xasprintf("%s/ca/server.crt", data_dir);
	ca->server_key = xasprintf("%s/ca/server.key", data_dir);
	if (access(ca->cert_file, F_OK) < 0 && errno == ENOENT)
		return fleet_error_set(err, -ENOENT,
			"this console has no authority (%s is not there): `fleet-console ca init` makes one",
			ca->cert_file);
	r = fleet_file_read(ca->cert_file, FLEET_CERTIFICATE_PEM_MAX, &ca->pem, &len, err);
	if (r >= 0)
		r = fleet_x509_facts(ca->pem, len, &ca->facts, err);
	if (r >= 0)
		r = read_key(key_file, &ca->key_pem, err);
	if (r < 0) /* a key that is not there is damage, not the lack of an authority */
		return fleet_error_set(err, r == -ENOENT ? -EUCLEAN : r,
			"the console's authority cannot be used: %s", err ? err->message : "");
	*ret = TAKE_PTR(ca);
	return 0;
}

void ca_free(struct ca *ca)
{
	if (!ca)
		return;
	fleet_x509_forget(&ca->key_pem);
	free(ca->cert_file);
	free(ca->server_cert);
	free(ca->server_key);
	free(ca->pem);
	free(ca);
}

/* --- certificates ------------------------------------------------------------------------------------ */

/* What the certificate that is there was made for: its names, one a line, kept beside it. */
static char *joined(char *const *names)
{
	char *text = xstrdup("");

	for (size_t i = 0; names[i]; i++) {
		char *longer = xasprintf("%s%s\n", text, names[i]);

		free(text);
		text = longer;
	}
	return text;
}

static bool is_good(const struct ca *ca, const char *made_for_file, const char *wanted)
{
	_cleanup_free_ char *made_for = NULL, *pem = NULL;
	struct fleet_x509_facts leaf, root;
	size_t len;

	return access(ca->server_key, F_OK) == 0 &&
	       fleet_file_read(made_for_file, NAMES_FILE_MAX, &made_for, &len, NULL) >= 0 &&
	       strcmp(made_for, wanted) == 0 &&
	       fleet_file_read(ca->server_cert, 2 * FLEET_CERTIFICATE_PEM_MAX, &pem, &len, NULL) >= 0 &&
	       fleet_x509_facts(pem, len, &leaf, NULL) >= 0 &&
	       fleet_x509_facts_of_last(pem, len, &root, NULL) >= 0 &&
	       memcmp(root.fingerprint, ca->facts.fingerprint, sizeof(root.fingerprint)) == 0 &&
	       fleet_x509_renew_s(&leaf) > (int64_t)time(NULL) && leaf.begins_s <= (int64_t)time(NULL);
}

/* The key stays when the certificate is renewed: the two are never replaced together. */
static int server_key(const struct ca *ca, char **ret, struct fleet_error *err)
{
	_cleanup_(fleet_x509_forget) char *key = NULL;
	int r = read_key(ca->server_key, &key, err);

	if (r == -ENOENT) {
		r = fleet_x509_key_new(&key, err);
		if (r >= 0)
			r = fleet_file_write_durable(ca->server_key, key, strlen(key), 0600, err);
	}
	if (r >= 0)
		*ret = TAKE_PTR(key);
	return r;
}

int ca_ensure_server(const struct ca *ca, const char *listen_host, struct fleet_error *err)
{
	_cleanup_(ca_names_freep) char **names = ca_names(ca, listen_host);
	_cleanup_free_ char *wanted = joined(names), *made_for = xasprintf("%s.names", ca->server_cert);
	_cleanup_free_ char *request = NULL, *pem = NULL, *chain = NULL;
	_cleanup_(fleet_x509_forget) char *key = NULL;
	const struct fleet_x509_wish wish = {
		.name = names[0], .hosts = (const char *const *)names, .life_s = SERVER_LIFE_S};
	int r;

	if (is_good(ca, made_for, wanted))
		return 0;
	r = server_key(ca, &key, err);
	if (r >= 0)
		r = fleet_x509_request_new(key, names[0], &request, err);
	if (r >= 0)
		r = fleet_x509_issue(ca->key_pem, ca->pem, request, &wish, &pem, err);
	if (r >= 0) {
		/* With the authority itself: who joins knows only the digest of its key. */
		chain = xasprintf("%s%s", pem, ca->pem);
		r = fleet_file_write_durable(ca->server_cert, chain, strlen(chain), 0644, err);
	}
	if (r >= 0)
		r = fleet_file_write_durable(made_for, wanted, strlen(wanted), 0644, err);
	return r < 0 ? fleet_error_wrap(err, "cannot make the console's certificate") : 1;
}

int ca_issue(const struct ca *ca, const char *request_pem, const char *agent_id, int64_t life_s,
	char **ret_pem, struct fleet_x509_facts *ret, struct fleet_error *err)
{
	_cleanup_free_ char *uri = xasprintf(FLEET_X509_AGENT "%s", agent_id), *pem = NULL;
	const struct fleet_x509_wish wish = {.name = agent_id, .uri = uri, .life_s = life_s};
	int r = fleet_x509_issue(ca->key_pem, ca->pem, request_pem, &wish, &pem, err);

	if (r >= 0)
		r = fleet_x509_facts(pem, strlen(pem), ret, err);
	if (r >= 0)
		*ret_pem = TAKE_PTR(pem);
	return r;
}
