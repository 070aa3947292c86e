/* Releases' signatures, as they come with an update. No text that was not made by the key is taken. */
#include "agent/host/signature.h"
#include "fuzz.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct signature_key key = {
		.id = {1, 2, 3, 4, 5, 6, 7, 8}, .bytes = "no point of the curve", .name = (char[]){"k"}};
	const struct signature_keys keys = {&key, 1};
	unsigned char blake2b[HASH_BLAKE2B_LEN] = {0};
	_cleanup_free_ char *text = xstrndup(size > 0 ? (const char *)data : "", size), *comment = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;
	int r = signature_verify(&keys, text, blake2b, &comment, &err);

	FUZZ_CHECK(r == -EBADMSG || r == -ENOKEY || r == -EKEYREJECTED, "%d: %s", r, err.message);
	FUZZ_CHECK(*err.message && !comment, "refused without a sentence, or with a comment");
	return 0;
}
