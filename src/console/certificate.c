#include "console/certificate.h"

#include <sys/stat.h>
#include <time.h>

#include "console/audit.h"
#include "fleet/clock.h"
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
			c->config->tls_cert_file, date);
	else if (days < WARN_DAYS)
		log_warn("the certificate in %s expires on %s: agents and operators refuse it from then on",
			c->config->tls_cert_file, date);
}

static void warn_of_readers(const char *path)
{
	struct stat st;

	if (stat(path, &st) == 0 && (st.st_mode & S_IRWXO))
		log_warn("%s, the certificate's key, is open to every user: chmod 640 it", path);
}

int certificate_open(struct certificate *c, const struct console_config *config, struct store *store,
	struct fleet_error *err)
{
	const struct fleet_tls_server_options options = {.cert_file = config->tls_cert_file,
		.key_file = config->tls_key_file,
		.allow_1_2 = config->tls_allow_1_2};
	int r;

	*c = (struct certificate){.config = config, .store = store};
	if (!config->tls_cert_file)
		return 0;
	r = fleet_tls_server_new(&options, &c->tls, err);
	if (r < 0)
		return r;
	c->look_ms = fleet_clock_monotonic_ms() + LOOK_MS;
	warn_of_readers(config->tls_key_file);
	warn_of_expiry(c);
	return 0;
}

static void read_again(struct certificate *c, bool only_if_changed)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	char date[32];
	int r = fleet_tls_server_reload(c->tls, only_if_changed, &err);

	c->look_ms = fleet_clock_monotonic_ms() + LOOK_MS;
	if (r < 0)
		log_error("%s; the certificate of before is still used", err.message);
	if (r <= 0)
		return;
	show_date(fleet_tls_server_expires(c->tls), date, sizeof(date));
	log_info(
		"The certificate in %s was read again; it is valid until %s", c->config->tls_cert_file, date);
	audit_system(c->store, NULL, NULL, "certificate read again (valid until %s)", date);
	warn_of_readers(c->config->tls_key_file);
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
	*c = (struct certificate){0};
}
