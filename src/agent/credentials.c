#include "agent/credentials.h"
#include "fleet/file.h"

#define KEY_TEXT_MAX 512

static char *place(const struct agent_config *config, const char *name)
{
	return xasprintf("%s/%s", config->data_dir, name);
}

/* The path where there is such a file, or NULL; owned. */
static char *find(const struct agent_config *config, const char *name)
{
	char *path = place(config, name);

	if (access(path, R_OK) == 0)
		return path;
	free(path);
	return NULL;
}

static char *read_api_key(const struct agent_config *config)
{
	_cleanup_free_ char *path = place(config, "agent.key");
	char *text = NULL;
	size_t len;

	if (fleet_file_read(path, KEY_TEXT_MAX, &text, &len, NULL) < 0)
		return NULL;
	text[strcspn(text, "\n")] = '\0';
	return text;
}

void agent_credentials_read(const struct agent_config *config, struct agent_credentials *ret)
{
	*ret = (struct agent_credentials){
		.api_key = config->api_key ? xstrdup(config->api_key) : read_api_key(config),
		.ca_file = config->ca_file ? xstrdup(config->ca_file) : find(config, "console-ca.pem"),
		.cert_file = config->cert_file ? xstrdup(config->cert_file) : find(config, "identity.pem"),
	};
	ret->is_own = ret->cert_file && !config->cert_file;
	ret->key_file = xstrdup(config->cert_file ? config->key_file : ret->cert_file);
}

void agent_credentials_done(struct agent_credentials *c)
{
	if (c->api_key)
		explicit_bzero(c->api_key, strlen(c->api_key));
	free(c->api_key);
	free(c->ca_file);
	free(c->cert_file);
	free(c->key_file);
	*c = (struct agent_credentials){0};
}

void agent_credentials_apply(const struct agent_credentials *c, struct link_options *ret)
{
	ret->api_key = c->api_key;
	ret->ca_file = c->ca_file;
	ret->cert_file = c->cert_file;
	ret->key_file = c->key_file;
	ret->credential =
		c->is_own ? "a new join token (fleetctl tokens create) in FLEET_JOIN_TOKEN lets it join anew"
			  : NULL;
}

int agent_credentials_facts(
	const struct agent_config *config, struct fleet_x509_facts *ret, struct fleet_error *err)
{
	_cleanup_free_ char *path = place(config, "identity.pem");
	_cleanup_(fleet_x509_forget) char *pem = NULL;
	size_t len = 0;
	int r = fleet_file_read(path, 2 * FLEET_CERTIFICATE_PEM_MAX, &pem, &len, err);

	return r < 0 ? r : fleet_x509_facts(pem, len, ret, err);
}

int agent_credentials_join_key(const struct agent_config *config, char **ret_pem, struct fleet_error *err)
{
	_cleanup_free_ char *path = place(config, "join.key");
	_cleanup_(fleet_x509_forget) char *pem = NULL;
	unsigned char digest[FLEET_SHA256_LEN];
	size_t len = 0;
	int r = fleet_file_read(path, FLEET_CERTIFICATE_PEM_MAX, &pem, &len, err);

	if (r >= 0 && fleet_x509_key_digest(pem, digest, NULL) >= 0) {
		*ret_pem = TAKE_PTR(pem);
		return 0;
	}
	if (r < 0 && r != -ENOENT)
		return r;
	fleet_x509_forget(&pem);
	r = fleet_x509_key_new(&pem, err);
	if (r >= 0)
		r = fleet_file_write_durable(path, pem, strlen(pem), 0600, err);
	if (r >= 0)
		*ret_pem = TAKE_PTR(pem);
	return r;
}

static int check_certificate(const struct agent_config *config, const char *key_pem, const char *certificate,
	struct fleet_error *err)
{
	_cleanup_free_ char *uri = xasprintf(FLEET_X509_AGENT "%s", config->agent_id);
	unsigned char digest[FLEET_SHA256_LEN];
	struct fleet_x509_facts facts;
	int r = fleet_x509_facts(certificate, strlen(certificate), &facts, err);

	if (r >= 0)
		r = fleet_x509_key_digest(key_pem, digest, err);
	if (r >= 0 && (memcmp(facts.key, digest, sizeof(digest)) != 0 || strcmp(facts.uri, uri) != 0))
		r = fleet_error_set(err, -EBADMSG,
			"the console gave a certificate for another key, or for another agent");
	return r;
}

static int keep_file(
	const struct agent_config *config, const char *name, const char *text, struct fleet_error *err)
{
	_cleanup_free_ char *path = place(config, name);

	return fleet_file_write_durable(path, text, strlen(text), 0600, err);
}

/* There is one kind at a time: what was there of the other is another life's. */
static void drop_file(const struct agent_config *config, const char *name)
{
	_cleanup_free_ char *path = place(config, name);

	(void)unlink(path); /* where it is not there, all the better */
}

int agent_credentials_keep(const struct agent_config *config, const char *key_pem,
	struct json_object *message, struct fleet_error *err)
{
	const char *certificate = fleet_json_string(message, "certificate");
	const char *api_key = fleet_json_string(message, "apiKey");
	const char *authorities = fleet_json_string(message, "authorities");
	_cleanup_(fleet_x509_forget) char *identity = NULL;
	int r = 0;

	if (!certificate && !api_key)
		return fleet_error_set(err, -EBADMSG, "the console gave neither a certificate nor a key");
	if (certificate)
		r = check_certificate(config, key_pem, certificate, err);
	if (r >= 0 && authorities)
		r = keep_file(config, "console-ca.pem", authorities, err);
	if (r >= 0 && certificate) {
		identity = xasprintf("%s%s", key_pem, certificate);
		r = keep_file(config, "identity.pem", identity, err);
	}
	if (r >= 0 && api_key)
		r = keep_file(config, "agent.key", api_key, err);
	if (r < 0)
		return r;
	if (!certificate)
		drop_file(config, "identity.pem");
	if (!api_key)
		drop_file(config, "agent.key");
	drop_file(config, "join.key");
	return 0;
}
