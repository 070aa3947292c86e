/* `fleet-console init` and `fleet-console key`: API keys at the console's own machine, for the first one and
 * for the day on which no admin's key is left. They work on the data directory, which a console that runs has
 * locked; then `fleetctl keys` is the way. */
#include <getopt.h>

#include "console/config.h"
#include "console/console.h"
#include "console/data_dir.h"
#include "console/signing_key.h"
#include "fleet/buffer.h"
#include "fleet/clock.h"
#include "fleet/file.h"
#include "fleet/limits.h"
#include "fleet/log.h"

#define EXIT_USAGE 2

struct options {
	const char *config, *data_dir, *role, *agents, *labels, *actions, *expires, *overlap, *name;
	bool all, json, help;
};

struct work {
	struct options options;
	struct console_config config;
	struct event_base *base;
	struct store *store;
	struct keys keys;
	char *actor; /* owned */
	bool told;
	int status;
};

static int complain(const struct fleet_error *err, int status)
{
	fprintf(stderr, "fleet-console: %s\n", err->message);
	return status;
}

static int usage(const char *why)
{
	fprintf(stderr, "fleet-console: %s: see fleet-console --help\n", why);
	return EXIT_USAGE;
}

/* --- opening ----------------------------------------------------------------------------------------- */

/* Keys of console.yaml count, too: without --data-dir, or with --config, it is read. */
static int read_config(struct work *w, struct fleet_error *err)
{
	const char *path = w->options.config ? w->options.config : CONSOLE_CONFIG_FILE;
	_cleanup_free_ char *text = NULL;
	size_t len;
	int r;

	if (!w->options.config && w->options.data_dir)
		return 0;
	r = fleet_file_read(path, FLEET_YAML_FILE_MAX, &text, &len, err);
	if (r == -ENOENT && !w->options.config)
		return 0;
	return r < 0 ? r : console_config_read(&w->config, text, len, path, err);
}

/* makes_dir: else a mistyped one is told. */
static int open_work(struct work *w, bool makes_dir, struct fleet_error *err)
{
	_cleanup_(fleet_jws_key_freep) struct fleet_jws_key *key = NULL;
	const char *dir;
	int r = read_config(w, err);

	if (r < 0)
		return r;
	dir = w->options.data_dir  ? w->options.data_dir
	      : w->config.data_dir ? w->config.data_dir
				   : CONSOLE_DATA_DIR;
	if (!makes_dir && access(dir, F_OK) < 0)
		return fleet_error_errno(
			err, -errno, "cannot open the data directory %s (fleet-console init makes it)", dir);
	w->actor = data_dir_actor();
	r = data_dir_become_owner(dir, err);
	if (r < 0)
		return r;
	w->base = event_base_new();
	if (!w->base)
		return fleet_error_set(err, -ENOMEM, "no event loop to be had");
	r = store_open(w->base, dir, &w->store, err);
	if (r == -EBUSY)
		return fleet_error_set(err, r,
			"a console runs on %s: manage keys with fleetctl keys, or stop it for as long as "
			"this takes (systemctl stop fleet-console)",
			dir);
	if (r >= 0)
		r = signing_key_ensure(dir, &key, err); /* part of every data directory */
	if (r >= 0) {
		keys_init(&w->keys, w->store, &w->config);
		r = keys_load(&w->keys, err);
		/* A name that is there twice must not keep one from revoking it. */
		if (r == -EEXIST) {
			(void)complain(err, r);
			r = 0;
		}
	}
	return r;
}

static void close_work(struct work *w)
{
	store_close(w->store);
	keys_done(&w->keys);
	if (w->base)
		event_base_free(w->base);
	console_config_done(&w->config);
	free(w->actor);
}

static void on_told(
	int result, const struct api_key *key, const char *secret, const struct fleet_error *err, void *arg)
{
	struct work *w = arg;

	w->told = true;
	w->status = result < 0 ? complain(err, EXIT_FAILURE) : EXIT_SUCCESS;
	if (result >= 0 && secret) {
		fprintf(stderr, "API key '%s' (%s). It is shown this once:\n", key->name,
			role_to_string(key->role));
		puts(secret);
	} else if (result >= 0) {
		fprintf(stderr, "API key '%s' is revoked.\n", key->name);
	}
}

static int wait_for_it(struct work *w)
{
	while (!w->told && event_base_loop(w->base, EVLOOP_ONCE) == 0)
		;
	return w->told ? w->status : EXIT_FAILURE;
}

/* --- the verbs --------------------------------------------------------------------------------------- */

static int make_key(const struct options *o, struct api_key **ret, struct fleet_error *err)
{
	_cleanup_json_ struct json_object *limits = json_object_new_object();
	_cleanup_(api_key_unrefp) struct api_key *key = NULL;
	enum role role;
	int64_t ms = 0;
	int r;

	if (!o->role || role_from_string(o->role, &role) < 0)
		return fleet_error_set(err, -EINVAL, "--role must be viewer, operator or admin");
	if (o->expires && (fleet_duration_parse(o->expires, &ms) < 0 || ms <= 0))
		return fleet_error_set(err, -EINVAL, "--expires must be a time such as 12h or 90d");
	key = api_key_new(o->name, role);
	key->expires_ms = ms ? key->created_ms + ms : 0;
	fleet_json_add_words(limits, "agents", o->agents);
	fleet_json_add_words(limits, "labels", o->labels);
	fleet_json_add_words(limits, "actions", o->actions);
	r = key_limits_parse(limits, "limits", &key->limits, err);
	if (r >= 0)
		*ret = TAKE_PTR(key);
	return r;
}

static int run_create(struct work *w)
{
	struct fleet_error err = FLEET_ERROR_INIT;
	struct api_key *key = NULL;

	if (make_key(&w->options, &key, &err) < 0)
		return complain(&err, EXIT_USAGE);
	keys_create(&w->keys, key, &(struct keys_by){w->actor, NULL}, on_told, w);
	return wait_for_it(w);
}

static int run_init(struct work *w)
{
	if (keys_have_admin(&w->keys)) {
		fputs("fleet-console: there is an API key of an admin already. One more: fleet-console key "
		      "create NAME --role admin\n",
			stderr);
		return EXIT_FAILURE;
	}
	w->options.role = "admin";
	if (!w->options.name)
		w->options.name = "admin";
	return run_create(w);
}

static int run_rotate(struct work *w)
{
	int64_t ms = 0;

	if (w->options.overlap && (fleet_duration_parse(w->options.overlap, &ms) < 0 ||
					  ms > FLEET_KEY_OVERLAP_S_MAX * INT64_C(1000)))
		return usage("--overlap must be a time such as 1h, of at most 7d");
	keys_rotate(&w->keys, w->options.name, ms, &(struct keys_by){w->actor, NULL}, on_told, w);
	return wait_for_it(w);
}

static int run_revoke(struct work *w)
{
	keys_revoke(&w->keys, w->options.name, &(struct keys_by){w->actor, NULL}, on_told, w);
	return wait_for_it(w);
}

static void print_key(struct json_object *key)
{
	_cleanup_json_ struct json_object *none = json_object_new_object();
	struct json_object *limits = fleet_json_object(key, "limits");
	const char *expires = fleet_json_string(key, "expiresAt"),
		   *used = fleet_json_string(key, "lastUsedAt");

	printf("%-20s %-9s %-8s %-24s %-24s %s\n", fleet_json_string(key, "name"),
		fleet_json_string(key, "role"), fleet_json_string(key, "state"), expires ? expires : "never",
		used ? used : "never", limits ? fleet_json_text(limits, NULL) : "-");
}

static int run_list(struct work *w)
{
	_cleanup_json_ struct json_object *array = json_object_new_array();
	int64_t now_ms = fleet_clock_wall_ms();

	for (size_t i = 0; i < w->keys.count; i++) {
		if (!w->keys.items[i]->revoked_ms || w->options.all)
			json_object_array_add(array, api_key_to_json(w->keys.items[i], now_ms));
	}
	if (w->options.json) {
		puts(fleet_json_text(array, NULL));
		return EXIT_SUCCESS;
	}
	printf("%-20s %-9s %-8s %-24s %-24s %s\n", "NAME", "ROLE", "STATE", "EXPIRES", "LAST USED", "LIMITS");
	for (size_t i = 0; i < json_object_array_length(array); i++)
		print_key(json_object_array_get_idx(array, i));
	return EXIT_SUCCESS;
}

/* --- the command line -------------------------------------------------------------------------------- */

static const struct option long_options[] = {
	{"config", required_argument, NULL, 'c'},
	{"data-dir", required_argument, NULL, 'd'},
	{"role", required_argument, NULL, 'r'},
	{"agents", required_argument, NULL, 'A'},
	{"labels", required_argument, NULL, 'L'},
	{"actions", required_argument, NULL, 'x'},
	{"expires", required_argument, NULL, 'e'},
	{"overlap", required_argument, NULL, 'o'},
	{"name", required_argument, NULL, 'n'},
	{"all", no_argument, NULL, 'a'},
	{"json", no_argument, NULL, 'j'},
	{"help", no_argument, NULL, 'h'},
	{0},
};

/* Each verb with the options that it takes; what is about one key has its NAME behind it. */
static const struct verb {
	const char *name, *takes;
	bool named;
	int (*run)(struct work *w);
} verbs[] = {
	{"create", "rALxe", true, run_create},
	{"list", "aj", false, run_list},
	{"rotate", "o", true, run_rotate},
	{"revoke", "", true, run_revoke},
};
static const struct verb init_verb = {"init", "n", false, run_init};

static int parse(int argc, char **argv, const struct verb *verb, struct options *o)
{
	int c;

	opterr = 0;
	optind = 1;
	while ((c = getopt_long(argc, argv, ":", long_options, NULL)) != -1) {
		if (c == ':' || c == '?' || (!strchr("cdh", c) && !strchr(verb->takes, c))) {
			fprintf(stderr,
				"fleet-console: %s is no option here, or lacks its value: see "
				"fleet-console --help\n",
				argv[optind - 1]);
			return EXIT_USAGE;
		}
		if (c == 'c')
			o->config = optarg;
		else if (c == 'd')
			o->data_dir = optarg;
		else if (c == 'r')
			o->role = optarg;
		else if (c == 'A')
			o->agents = optarg;
		else if (c == 'L')
			o->labels = optarg;
		else if (c == 'x')
			o->actions = optarg;
		else if (c == 'e')
			o->expires = optarg;
		else if (c == 'o')
			o->overlap = optarg;
		else if (c == 'n')
			o->name = optarg;
		o->all = o->all || c == 'a';
		o->json = o->json || c == 'j';
		o->help = o->help || c == 'h';
	}
	if (o->help)
		return EXIT_SUCCESS;
	if (argc - optind != verb->named)
		return usage(verb->named ? "a NAME is needed" : "there is a word too many");
	if (verb->named)
		o->name = argv[optind];
	return EXIT_SUCCESS;
}

static int run_verb(int argc, char **argv, const struct verb *verb)
{
	struct work w = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	int status = parse(argc, argv, verb, &w.options);

	if (status != EXIT_SUCCESS)
		return status;
	if (w.options.help) {
		fputs(console_config_help, stdout);
		return EXIT_SUCCESS;
	}
	fleet_log_init("fleet-console", FLEET_LOG_WARN, FLEET_LOG_FORMAT_TEXT);
	status = open_work(&w, verb == &init_verb, &err) < 0 ? complain(&err, EXIT_FAILURE) : verb->run(&w);
	close_work(&w);
	return status;
}

int console_main_init(int argc, char **argv)
{
	return run_verb(argc, argv, &init_verb);
}

int console_main_key(int argc, char **argv)
{
	for (size_t i = 0; argc > 1 && i < FLEET_ARRAY_LEN(verbs); i++) {
		if (strcmp(argv[1], verbs[i].name) == 0)
			return run_verb(argc - 1, argv + 1, &verbs[i]);
	}
	if (argc > 1 && strcmp(argv[1], "show") == 0)
		return console_main_command_key(argc, argv);
	if (argc > 1 && strcmp(argv[1], "--help") == 0) {
		fputs(console_config_help, stdout);
		return EXIT_SUCCESS;
	}
	return usage(
		"say key create, list, rotate or revoke (of the key that signs commands: command-key show)");
}
