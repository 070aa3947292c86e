#include <ftw.h>
#include <sys/stat.h>
#include "cli/config.h"
#include "fleet/file.h"
#include "unit.h"

static char directory[] = "/tmp/fleet-config-XXXXXX";

static char *file(const char *name)
{
	return xasprintf("%s/%s", directory, name);
}

static void put(const char *path, const char *text, mode_t mode)
{
	struct fleet_error err = FLEET_ERROR_INIT;

	CU_ASSERT_EQUAL_FATAL(fleet_file_write_durable(path, text, strlen(text), mode, &err), 0);
}

static void test_refuses_urls(void)
{
	static const char *const urls[] = {"", "localhost:5000", "ftp://x", "http://", "https:///",
		"http://user@x", "http://x?y", "http://x#y", "http://x y", "http://x\n", "http://x\\y"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(urls); i++) {
		_cleanup_free_ char *url = NULL;
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL(config_url_normalize(urls[i], &url, &err), -EINVAL);
		CU_ASSERT_PTR_NULL(url);
		CU_ASSERT_TRUE(err.message[0] != 0);
	}
}

static void test_normalizes_urls(void)
{
	static const struct {
		const char *url, *normal;
		bool loopback;
	} cases[] = {
		{"http://localhost:5000", "http://localhost:5000", true},
		{"HTTP://127.0.0.1:5000//", "http://127.0.0.1:5000", true},
		{"https://console.example.com/", "https://console.example.com", false},
		{"https://example.com/fleet/", "https://example.com/fleet", false},
		{"http://[::1]:5000", "http://[::1]:5000", true},
		{"http://localhost.example.com", "http://localhost.example.com", false},
	};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(cases); i++) {
		_cleanup_free_ char *url = NULL;
		struct fleet_error err = FLEET_ERROR_INIT;

		CU_ASSERT_EQUAL_FATAL(config_url_normalize(cases[i].url, &url, &err), 0);
		CU_ASSERT_STRING_EQUAL(url, cases[i].normal);
		CU_ASSERT_EQUAL(config_url_is_loopback(url), cases[i].loopback);
	}
}

static void test_refuses_broken_files(void)
{
	static const char *const texts[] = {"", "{", "[]", "{}", "{\"consoleUrl\": 5}",
		"{\"consoleUrl\": \"ftp://x\"}", "{\"consoleUrl\": \"http://x\", \"apiKey\": 1}"};
	_cleanup_free_ char *path = file("broken.json");

	for (size_t i = 0; i < FLEET_ARRAY_LEN(texts); i++) {
		_cleanup_config_ struct config config = {0};
		struct fleet_error err = FLEET_ERROR_INIT;
		bool loose;

		put(path, texts[i], 0600);
		CU_ASSERT_EQUAL(config_load(path, &config, &loose, &err), -EBADMSG);
		CU_ASSERT_TRUE(str_starts(err.message, path));
	}
}

static void test_a_missing_file_is_told_apart(void)
{
	_cleanup_free_ char *path = file("missing.json");
	_cleanup_config_ struct config config = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	bool loose;

	CU_ASSERT_EQUAL(config_load(path, &config, &loose, &err), -ENOENT);
}

static void test_saves_for_the_owner_only(void)
{
	_cleanup_free_ char *path = file("new/dir/config.json");
	_cleanup_free_ char *parent = file("new/dir");
	struct config saved = {
		(char *)(uintptr_t) "http://localhost:5000", (char *)(uintptr_t) "sk-\"quoted\"", NULL};
	_cleanup_config_ struct config config = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct stat st;
	bool loose = true;

	CU_ASSERT_EQUAL_FATAL(config_save(path, &saved, &err), 0);
	CU_ASSERT_EQUAL(stat(path, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0600);
	CU_ASSERT_EQUAL(stat(parent, &st), 0);
	CU_ASSERT_EQUAL(st.st_mode & 07777, 0700);
	CU_ASSERT_EQUAL_FATAL(config_load(path, &config, &loose, &err), 0);
	CU_ASSERT_FALSE(loose);
	CU_ASSERT_STRING_EQUAL(config.url, saved.url);
	CU_ASSERT_STRING_EQUAL(config.api_key, saved.api_key);
	CU_ASSERT_PTR_NULL(config.ca_file);
}

static void test_notices_a_mode_that_is_too_wide(void)
{
	_cleanup_free_ char *path = file("wide.json");
	_cleanup_config_ struct config config = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	bool loose = false;

	put(path, "{\"consoleUrl\": \"http://x\"}", 0644);
	CU_ASSERT_EQUAL_FATAL(chmod(path, 0644), 0);
	CU_ASSERT_EQUAL_FATAL(config_load(path, &config, &loose, &err), 0);
	CU_ASSERT_TRUE(loose);
}

static void test_follows_own_links_only(void)
{
	_cleanup_free_ char *target = file("dotfiles.json");
	_cleanup_free_ char *link = file("link.json");
	struct config saved = {(char *)(uintptr_t) "http://second", NULL, NULL};
	_cleanup_config_ struct config config = {0};
	struct fleet_error err = FLEET_ERROR_INIT;
	struct stat st;
	bool loose;

	put(target, "{\"consoleUrl\": \"http://first\"}", 0600);
	CU_ASSERT_EQUAL_FATAL(symlink(target, link), 0);
	CU_ASSERT_EQUAL(config_save(link, &saved, &err), 0);
	CU_ASSERT_TRUE(lstat(link, &st) == 0 && S_ISLNK(st.st_mode));
	CU_ASSERT_EQUAL_FATAL(config_load(target, &config, &loose, &err), 0);
	CU_ASSERT_STRING_EQUAL(config.url, "http://second");
	if (geteuid() != 0) {
		unit_skip("only root can make a file of somebody else");
		return;
	}
	CU_ASSERT_EQUAL_FATAL(chown(target, 12345, 12345), 0);
	CU_ASSERT_EQUAL(config_save(link, &saved, &err), -EPERM);
	config_done(&config);
	CU_ASSERT_EQUAL(config_load(link, &config, &loose, &err), -EPERM);
	CU_ASSERT_EQUAL(config_load(target, &config, &loose, &err), -EPERM);
}

static int remove_entry(const char *path, const struct stat *st, int type, struct FTW *ftw)
{
	(void)st;
	(void)type;
	(void)ftw;
	return remove(path);
}

int main(void)
{
	static const struct unit_test tests[] = {
		UNIT_TEST(test_refuses_urls),
		UNIT_TEST(test_normalizes_urls),
		UNIT_TEST(test_refuses_broken_files),
		UNIT_TEST(test_a_missing_file_is_told_apart),
		UNIT_TEST(test_saves_for_the_owner_only),
		UNIT_TEST(test_notices_a_mode_that_is_too_wide),
		UNIT_TEST(test_follows_own_links_only),
		{0},
	};
	int r;

	if (!mkdtemp(directory))
		return 99;
	r = unit_run((const struct unit_suite[]){{"cli config", tests}, {0}});
	if (nftw(directory, remove_entry, 8, FTW_DEPTH | FTW_PHYS) != 0)
		printf("# %s is left behind\n", directory);
	return r;
}
