/* How many connections one address may open in a time. A TLS handshake costs a millisecond before anybody can
 * be asked who he is, so that a few thousand of them a second would be all that the server does.
 *
 * A fixed table of buckets, found by a hash that strangers cannot foresee. Two addresses that meet in one
 * share it: nobody is forgotten because others come, and a table that is full of enemies lets them in as if
 * they were one. */
#include <netinet/in.h>
#include "fleet/clock.h"
#include "fleet/ids.h"
#include "http_server_internal.h"

#define BUCKETS 4096

struct bucket {
	int64_t at_ms; /* monotonic: when `left` was reckoned; 0 never */
	double left;
};

static uint64_t mix(uint64_t x)
{
	x ^= x >> 33;
	x *= UINT64_C(0xff51afd7ed558ccd);
	x ^= x >> 33;
	x *= UINT64_C(0xc4ceb9fe1a85ec53);
	return x ^ x >> 33;
}

bool fleet_http_may_connect(const struct in6_addr *address)
{
	static _Thread_local struct bucket *buckets; /* for the life of the process */
	static _Thread_local uint64_t secret;
	const int64_t now_ms = fleet_clock_monotonic_ms();
	struct bucket *b;
	uint64_t first_half;

	if (!buckets) {
		buckets = xcalloc(BUCKETS, sizeof(*buckets));
		fleet_random(&secret, sizeof(secret));
	}
	memcpy(&first_half, address, sizeof(first_half)); /* the rest is one network's, or nothing */
	b = &buckets[mix(first_half ^ secret) % BUCKETS];
	if (!b->at_ms)
		b->left = FLEET_CONNECTIONS_BURST;
	b->left += (double)(now_ms - b->at_ms) * FLEET_CONNECTIONS_PER_S / 1000.0;
	if (b->left > FLEET_CONNECTIONS_BURST)
		b->left = FLEET_CONNECTIONS_BURST;
	b->at_ms = now_ms;
	if (b->left < 1)
		return false;
	b->left--;
	return true;
}
