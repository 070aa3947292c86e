#include "fleet/ids.h"
#include "fleet/join_token.h"

#define PREFIX     "fleet-join."
#define DIGEST_LEN 43 /* base64url of SHA-256 */

/* A part of so many letters of base64url, and the dot behind it. */
static const char *part(const char *text, size_t len)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789-_";

	return strspn(text, letters) == len ? text + len : NULL;
}

static int broken(struct fleet_error *err)
{
	return fleet_error_set(err, -EINVAL,
		"is no join token: it must be copied whole, from '" PREFIX "' to its last letter, as "
		"`fleetctl tokens create` shows it");
}

int fleet_join_token_parse(const char *text, struct fleet_join_token *ret, struct fleet_error *err)
{
	struct fleet_join_token token = {.has_authority = true};
	_cleanup_free_ unsigned char *digest = NULL;
	const char *secret, *authority, *kid, *end;
	size_t len = 0;

	if (!str_starts(text, PREFIX))
		return broken(err);
	secret = text + strlen(PREFIX);
	end = part(secret, FLEET_JOIN_SECRET_LEN);
	if (!end || *end != '.')
		return broken(err);
	authority = end + 1;
	token.has_authority = !str_starts(authority, "-.");
	end = part(authority, token.has_authority ? DIGEST_LEN : 1);
	if (!end || *end != '.')
		return broken(err);
	kid = end + 1;
	end = part(kid, FLEET_KID_LEN);
	if (!end || *end)
		return broken(err);
	if (token.has_authority) {
		if (fleet_base64url_decode(authority, DIGEST_LEN, &digest, &len) < 0 ||
			len != sizeof(token.authority))
			return broken(err);
		memcpy(token.authority, digest, sizeof(token.authority));
	}
	memcpy(token.secret, secret, FLEET_JOIN_SECRET_LEN);
	memcpy(token.kid, kid, FLEET_KID_LEN);
	*ret = token;
	return 0;
}

void fleet_join_token_new(
	const unsigned char authority[FLEET_SHA256_LEN], const char *kid, struct fleet_join_token *ret)
{
	unsigned char secret[FLEET_JOIN_SECRET_BYTES];
	_cleanup_free_ char *text = NULL;

	fleet_random(secret, sizeof(secret));
	text = fleet_base64url_encode(secret, sizeof(secret));
	*ret = (struct fleet_join_token){.has_authority = authority != NULL};
	if (authority)
		memcpy(ret->authority, authority, sizeof(ret->authority));
	(void)snprintf(ret->secret, sizeof(ret->secret), "%s", text); /* these fit */
	(void)snprintf(ret->kid, sizeof(ret->kid), "%s", kid);
	explicit_bzero(secret, sizeof(secret));
	explicit_bzero(text, strlen(text));
}

char *fleet_join_token_text(const struct fleet_join_token *token)
{
	_cleanup_free_ char *authority =
		token->has_authority ? fleet_base64url_encode(token->authority, sizeof(token->authority))
				     : xstrdup("-");

	return xasprintf(PREFIX "%s.%s.%s", token->secret, authority, token->kid);
}
