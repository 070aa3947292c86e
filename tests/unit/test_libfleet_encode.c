#include "fleet/encode.h"
#include "fleet/ids.h"
#include "unit.h"

static void test_hex(void)
{
	unsigned char out[4] = {9, 9, 9, 9};
	_cleanup_free_ char *text = fleet_hex_encode("\x00\xff\x10", 3);

	CU_ASSERT_STRING_EQUAL(text, "00ff10");
	CU_ASSERT_EQUAL(fleet_hex_decode("00FF10ab", 8, out, 4), 0);
	CU_ASSERT_EQUAL(memcmp(out, "\x00\xff\x10\xab", 4), 0);
	CU_ASSERT_EQUAL(fleet_hex_decode("00FF10a", 7, out, 4), -EINVAL);
	CU_ASSERT_EQUAL(fleet_hex_decode("00FF10", 6, out, 4), -EINVAL);
	CU_ASSERT_EQUAL(fleet_hex_decode("11223g44", 8, out, 4), -EINVAL);
	CU_ASSERT_EQUAL(memcmp(out, "\x00\xff\x10\xab", 4), 0); /* untouched by failures */
	CU_ASSERT_EQUAL(fleet_hex_decode("", 0, out, 0), 0);
}

/* RFC 4648, section 10, without the padding */
static void test_base64url_vectors(void)
{
	static const char *const vectors[][2] = {{"", ""}, {"f", "Zg"}, {"fo", "Zm8"}, {"foo", "Zm9v"},
		{"foob", "Zm9vYg"}, {"fooba", "Zm9vYmE"}, {"foobar", "Zm9vYmFy"}, {"\xfb\xff\xfe", "-__-"}};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(vectors); i++) {
		_cleanup_free_ char *text = fleet_base64url_encode(vectors[i][0], strlen(vectors[i][0]));
		_cleanup_free_ unsigned char *data = NULL;
		size_t len = 99;

		CU_ASSERT_STRING_EQUAL(text, vectors[i][1]);
		CU_ASSERT_EQUAL(fleet_base64url_decode(text, strlen(text), &data, &len), 0);
		CU_ASSERT_EQUAL(len, strlen(vectors[i][0]));
		CU_ASSERT_STRING_EQUAL((char *)data, vectors[i][0]);
	}
}

static void test_base64url_is_strict(void)
{
	static const char *const bad[] = {"Zg==", "Zg=", "Z", "Zm9vY", "Zm 8", "Zm8\n", "Zm+v", "Zm/v",
		"Zh" /* stray bits */, "Zm9" /* stray bits */, "....",
		"Z\xC3\xBC"
		"A"};

	for (size_t i = 0; i < FLEET_ARRAY_LEN(bad); i++) {
		unsigned char *data = NULL;
		size_t len = 99;

		CU_ASSERT_EQUAL(fleet_base64url_decode(bad[i], strlen(bad[i]), &data, &len), -EINVAL);
		CU_ASSERT_PTR_NULL(data);
		CU_ASSERT_EQUAL(len, 99);
	}
}

/* Any bytes come back, and no second text stands for the same bytes. */
static void test_base64url_round_trip(void)
{
	for (size_t len = 0; len < 200; len++) {
		unsigned char bytes[200];
		_cleanup_free_ char *text = NULL;
		_cleanup_free_ unsigned char *back = NULL;
		size_t back_len = 0;

		fleet_random(bytes, len);
		text = fleet_base64url_encode(bytes, len);
		CU_ASSERT_EQUAL(strlen(text), (len * 4 + 2) / 3);
		CU_ASSERT_EQUAL(fleet_base64url_decode(text, strlen(text), &back, &back_len), 0);
		CU_ASSERT_EQUAL(back_len, len);
		CU_ASSERT_EQUAL(memcmp(back, bytes, len), 0);
		for (size_t i = 0; i < strlen(text); i++) {
			_cleanup_free_ unsigned char *other = NULL;
			char saved = text[i];

			text[i] = saved == 'A' ? 'B' : 'A';
			if (fleet_base64url_decode(text, strlen(text), &other, &back_len) == 0)
				CU_ASSERT_FALSE(back_len == len && memcmp(other, bytes, len) == 0);
			text[i] = saved;
		}
	}
}

static void test_sha256(void)
{
	char hex[FLEET_SHA256_HEX];

	fleet_sha256_hex("", 0, hex);
	CU_ASSERT_STRING_EQUAL(hex, "e3b0c44298fc1c149afbf4c8996fb92427ae41e4649b934ca495991b7852b855");
	fleet_sha256_hex("abc", 3, hex);
	CU_ASSERT_STRING_EQUAL(hex, "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad");
}

static void test_sha256_of_pieces(void)
{
	static const char text[] = "a release, as it comes from its client: one part after the other";
	char whole[FLEET_SHA256_HEX], pieces[FLEET_SHA256_HEX];

	fleet_sha256_hex(text, strlen(text), whole);
	for (size_t size = 1; size <= strlen(text); size += 7) {
		struct fleet_sha256_stream *stream = fleet_sha256_stream_new();

		for (size_t at = 0; at < strlen(text); at += size)
			fleet_sha256_stream_add(
				stream, text + at, strlen(text) - at < size ? strlen(text) - at : size);
		fleet_sha256_stream_end(stream, pieces);
		CU_ASSERT_STRING_EQUAL(pieces, whole);
		fleet_sha256_stream_free(stream);
	}
	fleet_sha256_stream_free(NULL);
}

static const struct unit_test tests[] = {UNIT_TEST(test_hex), UNIT_TEST(test_base64url_vectors),
	UNIT_TEST(test_base64url_is_strict), UNIT_TEST(test_base64url_round_trip), UNIT_TEST(test_sha256),
	UNIT_TEST(test_sha256_of_pieces), {0}};

int main(void)
{
	return unit_run((const struct unit_suite[]){{"encode", tests}, {0}});
}
