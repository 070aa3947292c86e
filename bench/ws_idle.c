/* What an idle agent's connection costs the server in memory of its own, beside the least that a socket on an
 *event loop can cost: one read event and nothing else. Both are measured in one run, with the same number of
 *sockets; each WebSocket has carried a message both ways before it falls idle.
 *
 *	ws_idle [CONNECTIONS]        "NAME VALUE UNIT" a line
 *
 * The same is measured under TLS. */
#include <arpa/inet.h>
#include <event2/event.h>
#include <malloc.h>
#include <signal.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <openssl/ssl.h>
#include "fleet/http_server.h"
#include "fleet/tls.h"
#include "fleet/ws.h"
#include "test_net_certs.h"

#define MESSAGE_LEN 2000

static struct event_base *base;
static size_t wanted, count, echoed;
static struct fleet_ws **sockets;

struct usage {
	double heap, resident;
};

static struct usage usage_now(void)
{
	struct usage u = {0, 0};
	long pages = 0, size = 0;
	FILE *f = fopen("/proc/self/statm", "re");

	if (!f || fscanf(f, "%ld %ld", &size, &pages) != 2)
		abort();
	(void)fclose(f);
	u.resident = (double)pages * (double)sysconf(_SC_PAGESIZE);
	u.heap = (double)mallinfo2().uordblks;
	return u;
}

static struct usage per_connection(struct usage before)
{
	const struct usage now = usage_now();

	return (struct usage){
		(now.heap - before.heap) / (double)wanted, (now.resident - before.resident) / (double)wanted};
}

/* ---- the clients: a process of their own ---- */

static void must(bool condition, const char *what)
{
	if (condition)
		return;
	fprintf(stderr, "ws_idle: %s: %s\n", what, strerror(errno));
	exit(1);
}

struct order {
	uint16_t port;
	bool upgrade, tls;
};

/* A client of either kind. */
struct client {
	int fd;
	SSL *ssl; /* NULL: in plain */
};

static int client_connect(uint16_t port)
{
	struct sockaddr_in a = {.sin_family = AF_INET, .sin_port = htons(port)};
	int fd = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(fd >= 0 && connect(fd, (struct sockaddr *)&a, sizeof(a)) == 0, "connect");
	return fd;
}

static ssize_t client_read(const struct client *c, char *data, size_t len)
{
	return c->ssl ? SSL_read(c->ssl, data, (int)len) : recv(c->fd, data, len, 0);
}

static bool client_write(const struct client *c, const void *data, size_t len)
{
	return (c->ssl ? SSL_write(c->ssl, data, (int)len) : send(c->fd, data, len, 0)) == (ssize_t)len;
}

static void client_receive(const struct client *c, size_t len, const char *until)
{
	char buf[8192];
	size_t have = 0;

	while (have < len && !(until && have > 4 && memmem(buf, have, until, strlen(until)))) {
		const ssize_t n = client_read(c, buf + have, sizeof(buf) - have);

		must(n > 0, "receive");
		have += (size_t)n;
	}
}

static void client_upgrade(const struct client *c)
{
	static const char request[] =
		"GET /hub HTTP/1.1\r\nHost: x\r\nUpgrade: websocket\r\nConnection: Upgrade\r\n"
		"Sec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\nSec-WebSocket-Version: 13\r\n\r\n";
	unsigned char frame[8 + MESSAGE_LEN] = {0x81, 0x80 | 126, MESSAGE_LEN >> 8, MESSAGE_LEN & 0xff};

	memset(frame + 8, 'x', MESSAGE_LEN);
	must(client_write(c, request, strlen(request)), "send");
	client_receive(c, SIZE_MAX, "\r\n\r\n");
	must(client_write(c, frame, sizeof(frame)), "send");
	client_receive(c, MESSAGE_LEN + 4, NULL);
}

/* Connects to each port that it is told, holds the connections until the next byte, then drops them. */
static void run_clients(int in)
{
	struct client *clients = xcalloc(wanted, sizeof(*clients));
	SSL_CTX *context = SSL_CTX_new(TLS_client_method());
	struct order order;
	size_t i;
	char byte;

	while (read(in, &order, sizeof(order)) == (ssize_t)sizeof(order)) {
		for (i = 0; i < wanted; i++) {
			clients[i] = (struct client){.fd = client_connect(order.port)};
			if (order.tls) {
				clients[i].ssl = SSL_new(context);
				must(clients[i].ssl && SSL_set_fd(clients[i].ssl, clients[i].fd) == 1 &&
						SSL_connect(clients[i].ssl) == 1,
					"handshake");
			}
			if (order.upgrade)
				client_upgrade(&clients[i]);
		}
		if (read(in, &byte, 1) != 1)
			break;
		for (i = 0; i < wanted; i++) {
			SSL_free(clients[i].ssl);
			(void)close(clients[i].fd);
		}
	}
	exit(0);
}

static void order_clients(int out, uint16_t port, bool upgrade, bool tls)
{
	struct order order;

	memset(&order, 0, sizeof(order));
	order.port = port;
	order.upgrade = upgrade;
	order.tls = tls;
	must(write(out, &order, sizeof(order)) == (ssize_t)sizeof(order), "write");
}

/* ---- one read event a socket ---- */

static void on_nothing(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg FLEET_UNUSED) {}

static struct usage measure_raw(int out)
{
	struct event **events = xcalloc(wanted, sizeof(struct event *));
	int listening = socket(AF_INET, SOCK_STREAM | SOCK_CLOEXEC, 0);
	struct sockaddr_in a = {.sin_family = AF_INET};
	socklen_t len = sizeof(a);
	struct usage before, result;
	size_t i;

	a.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	must(bind(listening, (struct sockaddr *)&a, sizeof(a)) == 0 && listen(listening, SOMAXCONN) == 0 &&
			getsockname(listening, (struct sockaddr *)&a, &len) == 0,
		"listen");
	before = usage_now();
	order_clients(out, ntohs(a.sin_port), false, false);
	for (i = 0; i < wanted; i++) {
		int fd = accept4(listening, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);

		must(fd >= 0, "accept");
		events[i] = event_new(base, fd, EV_READ | EV_PERSIST, on_nothing, NULL);
		must(events[i] && event_add(events[i], NULL) == 0, "event");
	}
	result = per_connection(before);
	must(write(out, "", 1) == 1, "write");
	for (i = 0; i < wanted; i++) {
		const int fd = event_get_fd(events[i]);

		event_free(events[i]);
		(void)close(fd);
	}
	(void)close(listening);
	free(events);
	return result;
}

/* ---- WebSockets ---- */

static void on_message(struct fleet_ws *ws, const char *text, size_t len, void *arg FLEET_UNUSED)
{
	must(fleet_ws_send(ws, text, len) == 0, "echo");
	if (++echoed == wanted)
		(void)event_base_loopexit(base, NULL);
}

static void handle_hub(struct fleet_http_request *req, void *arg FLEET_UNUSED)
{
	static const struct fleet_ws_events events = {.message = on_message};

	must(count < wanted && fleet_ws_accept(req, NULL, &events, NULL, &sockets[count], NULL) == 0,
		"accept");
	count++;
}

static struct usage measure_ws(int out, struct fleet_tls_server *tls)
{
	static const struct fleet_http_route routes[] = {{"GET", "/hub", handle_hub, 0}, {0}};
	const struct fleet_http_options options = {.address = "127.0.0.1", .routes = routes, .tls = tls};
	const struct timeval settle = {0, 200000};
	struct fleet_http_server *server;
	struct usage before, result;
	size_t i;

	sockets = xcalloc(wanted, sizeof(struct fleet_ws *));
	count = echoed = 0;
	must(fleet_http_server_new(base, &options, &server, NULL) == 0, "server");
	(void)malloc_trim(0);
	before = usage_now();
	order_clients(out, fleet_http_server_port(server), true, tls != NULL);
	(void)event_base_dispatch(base);
	/* what is deferred, and the last echo's way out */
	(void)event_base_loopexit(base, &settle);
	(void)event_base_dispatch(base);
	result = per_connection(before);
	must(write(out, "", 1) == 1, "write");
	for (i = 0; i < wanted; i++)
		fleet_ws_free(sockets[i]);
	free(sockets);
	fleet_http_server_free(server);
	return result;
}

/* A context on files that live for as long as it takes to read them. */
static struct fleet_tls_server *make_tls(void)
{
	struct cert c = cert_new(NULL, "localhost", "DNS:localhost", -3600, 3600);
	char cert_file[] = "/tmp/ws_idle.XXXXXX", key_file[] = "/tmp/ws_idle.XXXXXX";
	const struct fleet_tls_server_options options = {.cert_file = cert_file, .key_file = key_file};
	const int fds[] = {mkstemp(cert_file), mkstemp(key_file)};
	struct fleet_tls_server *tls = NULL;
	struct fleet_error err = FLEET_ERROR_INIT;

	must(fds[0] >= 0 && fds[1] >= 0, "temporary files");
	cert_write(&c, cert_file, key_file, NULL);
	cert_done(&c);
	if (fleet_tls_server_new(&options, &tls, &err) < 0)
		fprintf(stderr, "ws_idle: %s\n", err.message);
	for (size_t i = 0; i < FLEET_ARRAY_LEN(fds); i++)
		(void)close(fds[i]);
	(void)unlink(cert_file);
	(void)unlink(key_file);
	must(tls != NULL, "certificate");
	return tls;
}

int main(int argc, char **argv)
{
	struct usage raw, ws, encrypted;
	struct fleet_tls_server *tls;
	int pipes[2];
	pid_t clients;

	wanted = argc > 1 ? strtoul(argv[1], NULL, 10) : 5000;
	must(wanted > 0 && pipe(pipes) == 0, "usage");
	clients = fork();
	must(clients >= 0, "fork");
	if (clients == 0) {
		(void)close(pipes[1]);
		run_clients(pipes[0]);
	}
	(void)close(pipes[0]);
	base = event_base_new();
	raw = measure_raw(pipes[1]);
	ws = measure_ws(pipes[1], NULL);
	tls = make_tls();
	encrypted = measure_ws(pipes[1], tls);
	fleet_tls_server_free(tls);
	printf("ws_idle_connections %zu\n", wanted);
	printf("ws_idle_raw_event %.0f bytes of heap\n", raw.heap);
	printf("ws_idle_plain %.0f bytes of heap\n", ws.heap);
	printf("ws_idle_plain_resident %.0f bytes\n", ws.resident);
	printf("ws_idle_ratio %.1f times the raw event\n", ws.heap / raw.heap);
	printf("ws_idle_tls %.0f bytes of heap\n", encrypted.heap);
	printf("ws_idle_tls_resident %.0f bytes\n", encrypted.resident);
	event_base_free(base);
	(void)close(pipes[1]);
	(void)waitpid(clients, NULL, 0);
	return 0;
}
