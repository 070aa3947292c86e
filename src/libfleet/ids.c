#include <pthread.h>
#include <sys/random.h>
#include "fleet/clock.h"
#include "fleet/ids.h"

void fleet_random(void *out, size_t len)
{
	unsigned char *bytes = out;

	while (len > 0) {
		size_t n = len < 256 ? len : 256; /* as much as one call gives */

		if (getentropy(bytes, n) < 0) {
			fprintf(stderr, "the kernel gives no random bytes: %s\n", strerror(errno));
			abort();
		}
		bytes += n;
		len -= n;
	}
}

/* The time, and a 12-bit counter that orders what is made within one millisecond (RFC 9562, 6.2, method 1).
 * A clock that steps back does not lead the ids back, however far: the last time stays until the clock has
 * caught up, for what is asked first is to be done first. */
static void next_tick(uint64_t *ret_ms, unsigned *ret_counter)
{
	static pthread_mutex_t lock = PTHREAD_MUTEX_INITIALIZER;
	static uint64_t last_ms;
	static unsigned counter;
	uint64_t now = (uint64_t)fleet_clock_wall_ms();

	pthread_mutex_lock(&lock);
	if (now > last_ms) {
		last_ms = now;
		fleet_random(&counter, sizeof(counter));
		counter &= 0x7FF; /* the upper half is room to count */
	} else if (++counter > 0xFFF) {
		last_ms++;
		counter = 0;
	}
	*ret_ms = last_ms;
	*ret_counter = counter;
	pthread_mutex_unlock(&lock);
}

struct fleet_uuid fleet_uuid_new(void)
{
	struct fleet_uuid uuid;
	unsigned char b[16];
	unsigned counter;
	uint64_t ms;
	char *out = uuid.text;

	fleet_random(b, sizeof(b));
	next_tick(&ms, &counter);
	for (int i = 0; i < 6; i++)
		b[i] = (unsigned char)(ms >> (40 - 8 * i));
	b[6] = (unsigned char)(0x70 | counter >> 8);
	b[7] = (unsigned char)counter;
	b[8] = (unsigned char)(0x80 | (b[8] & 0x3F));
	for (int i = 0; i < 16; i++) {
		if (i == 4 || i == 6 || i == 8 || i == 10)
			*out++ = '-';
		*out++ = "0123456789abcdef"[b[i] >> 4];
		*out++ = "0123456789abcdef"[b[i] & 15];
	}
	*out = '\0';
	return uuid;
}

bool fleet_uuid_is_valid(const char *text)
{
	if (!text || strlen(text) != FLEET_UUID_LEN)
		return false;
	for (int i = 0; i < FLEET_UUID_LEN; i++) {
		bool dash = i == 8 || i == 13 || i == 18 || i == 23;
		char c = text[i];

		if (dash ? c != '-' : !((c >= '0' && c <= '9') || (c >= 'a' && c <= 'f')))
			return false;
	}
	return true;
}

static bool is_alphanumeric(char c)
{
	return (c >= '0' && c <= '9') || (c >= 'a' && c <= 'z') || (c >= 'A' && c <= 'Z');
}

bool fleet_id_is_valid(const char *text)
{
	size_t len = text ? strlen(text) : 0;

	if (len == 0 || len > FLEET_ID_MAX || !is_alphanumeric(text[0]))
		return false;
	for (size_t i = 1; i < len; i++) {
		if (!is_alphanumeric(text[i]) && text[i] != '.' && text[i] != '_' && text[i] != '-')
			return false;
	}
	return true;
}
