/* What carries a connection that was taken over from another bufferevent. For a while both hold the SSL, and
 * the one that is on its way out would close whatever descriptor the SSL's BIO tells it. So this BIO tells
 * none, and closes its own when the last of them is gone. */
#include <sys/socket.h>
#include "tls_internal.h"

static int fd_of(BIO *bio)
{
	return (int)(intptr_t)BIO_get_data(bio);
}

static bool is_for_later(int code)
{
	return code == EAGAIN || code == EINTR;
}

static int on_read(BIO *bio, char *data, int len)
{
	ssize_t n = recv(fd_of(bio), data, (size_t)len, 0);

	BIO_clear_retry_flags(bio);
	if (n < 0 && is_for_later(errno))
		BIO_set_retry_read(bio);
	else if (n == 0)
		BIO_set_flags(bio, BIO_FLAGS_IN_EOF);
	return (int)n;
}

static int on_write(BIO *bio, const char *data, int len)
{
	ssize_t n = send(fd_of(bio), data, (size_t)len, MSG_NOSIGNAL);

	BIO_clear_retry_flags(bio);
	if (n < 0 && is_for_later(errno))
		BIO_set_retry_write(bio);
	return (int)n;
}

static long on_control(BIO *bio, int command, long number FLEET_UNUSED, void *pointer FLEET_UNUSED)
{
	switch (command) {
	case BIO_C_GET_FD:
		return -1;
	case BIO_CTRL_EOF:
		return BIO_test_flags(bio, BIO_FLAGS_IN_EOF) != 0;
	case BIO_CTRL_FLUSH:
		return 1;
	default:
		return 0;
	}
}

static int on_destroy(BIO *bio)
{
	if (bio && BIO_get_init(bio))
		(void)close(fd_of(bio)); /* what was written is the kernel's */
	return 1;
}

BIO *tls_socket_new(int takes_fd)
{
	static BIO_METHOD *method; /* made once, for the process */
	BIO *bio;

	if (!method) {
		method = BIO_meth_new(BIO_get_new_index() | BIO_TYPE_SOURCE_SINK, "fleet socket");
		if (!method || !BIO_meth_set_read(method, on_read) || !BIO_meth_set_write(method, on_write) ||
			!BIO_meth_set_ctrl(method, on_control) || !BIO_meth_set_destroy(method, on_destroy))
			abort(); /* out of memory, as in xmalloc */
	}
	bio = BIO_new(method);
	if (!bio)
		abort(); /* likewise */
	BIO_set_data(bio, (void *)(intptr_t)takes_fd);
	BIO_set_init(bio, 1);
	return bio;
}
