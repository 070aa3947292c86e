#include "console/certificate.h"

#include <sys/stat.h>
#include <time.h>

#include "console/audit.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define LOOK_MS   5000
#define WARN_MS   (INT64_C(24) * 3600 * 1000)
#define WARN_DAYS 14
#define DAY_S     INT64_C(86400)

static void show_date(int64_t seconds, char *out, size_t len)
{
	const time_t when = (time_t)seconds;
	struct tm tm;

	if (!gmtime_r(&when, &tm) || strftime(out, len, "%Y-%m-%d", &tm) == 0)
		(void)snprintf(out, len, "an unknown day");
}

static void warn_of_expiry(struct certificate *c)
{
	const int64_t expires = fleet_tls_server_expires(c->tls);
	const int64_t days = (expires - fleet_clock_wall_ms() / 1000) / DAY_S;
	char date[32];

	c->warn_ms = fleet_clock_monotonic_ms() + WARN_MS;
	show_date(expires, date, sizeof(date));
	if (expires * 1000 <= fleet_clock_wall_ms())
		log_error("the certificate in %s expired on %s: agents and operators refuse it until it is "
			  "replaced",
			c->cert_file, date);
	else if (days < WARN_DAYS)
		log_warn("the certificate in %s expires on %s: agents and operators refuse it from then on",
			c->cert_file, date);
}

static void warn_of_readers(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & S_IRWXO))
		log_warn("%s, the certificate's key, is open to every user: chmod 640 it", path);
}

/* What agents are told of it when they join. Who vouches for it is the last of the chain; where that one
 * vouches for itself, agents have to be told to trust it, else they trust what the world trusts. */
static int read_authority(struct certificate *c, struct fleet_error *err)
{
	_cleanup_free_ char *pem = NULL;
	struct fleet_x509_facts last;
	size_t len = 0;
	int r = fleet_file_read(c->cert_file, FLEET_TLS_FILE_MAX, &pem, &len, err);

	if (r >= 0)
		r = fleet_x509_facts_of_last(pem, len, &last, err);
	if (r < 0)
		return r;
	memcpy(c->authority, last.key, sizeof(c->authority));
	c->has_authority = true;
	free(c->authorities);
	c->authorities = last.is_root ? fleet_x509_last(pem, len) : NULL;
	return 0;
}

/* Its own authority's, where the config names none. */
static int ensure_own(struct certificate *c, struct fleet_error *err)
{
	int r = c->is_own ? ca_ensure_server(c->ca, c->config->listen_host, err) : 0;

	if (r > 0)
		log_info("made a certificate for this console, of its own authority: %s", c->cert_file);
	return r;
}

int certificate_open(struct certificate *c, const struct console_config *config, const struct ca *ca,
	struct store *store, struct fleet_error *err)
{
	struct fleet_tls_server_options options = {.allow_1_2 = config->tls_allow_1_2};
	int r;

	*c = (struct certificate){.config = config, .store = store, .ca = ca};
	if (!config->tls_cert_file && !ca && config->tls_wanted)
		return fleet_error_set(err, -ENOENT,
			"the settings ask for TLS and name no certificate, and this console has no authority "
			"that "
			"could make one: give cert_file and key_file, or run `fleet-console ca init`");
	c->cert_file = config->tls_cert_file;
	c->key_file = config->tls_key_file;
	if (!c->cert_file && ca && !config->dev) {
		c->is_own = true;
		c->cert_file = ca->server_cert;
		c->key_file = ca->server_key;
	}
	if (!c->cert_file)
		return 0;
	options.cert_file = c->cert_file;
	options.key_file = c->key_file;
	if (ca && (config->agent_auth & AGENT_AUTH_MTLS))
		options.client_ca_file = ca->cert_file;
	r = ensure_own(c, err);
	if (r >= 0)
		r = fleet_tls_server_new(&options, &c->tls, err);
	if (r >= 0)
		r = read_authority(c, err);
	if (r < 0)
		return r;
	c->look_ms = fleet_clock_monotonic_ms() + LOOK_MS;
	warn_of_readers(c->key_file);
	warn_of_expiry(c);
	return 0;
}

static void read_again(struct certificate *c, bool only_if_changed)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	char date[32];
	int r = ensure_own(c, &err);

	if (r >= 0)
		r = fleet_tls_server_reload(c->tls, only_if_changed, &err);
	if (r > 0 && read_authority(c, &err) < 0)
		r = err.code;
	c->look_ms = fleet_clock_monotonic_ms() + LOOK_MS;
	if (r < 0)
		log_error("%s; the certificate of before is still used", err.message);
	if (r <= 0)
		return;
	show_date(fleet_tls_server_expires(c->tls), date, sizeof(date));
	log_info("The certificate in %s was read again; it is valid until %s", c->cert_file, date);
	audit_system(c->store, NULL, NULL, "certificate read again (valid until %s)", date);
	warn_of_readers(c->key_file);
	warn_of_expiry(c);
}

void certificate_tick(struct certificate *c)
{
	const int64_t now = fleet_clock_monotonic_ms();

	if (!c->tls)
		return;
	if (now >= c->look_ms)
		read_again(c, true);
	if (now >= c->warn_ms)
		warn_of_expiry(c);
}

void certificate_reload(struct certificate *c)
{
	if (c->tls)
		read_again(c, false);
	else
		log_info("nothing to read again: this console has no certificate, and its settings are read "
			 "at start");
}

void certificate_done(struct certificate *c)
{
	fleet_tls_server_free(c->tls);
	free(c->authorities);
	*c = (struct certificate){0};
}
