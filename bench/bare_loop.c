/* The least that a daemon on libevent can be: a loop and a listening unix socket. What memory.bench measures
 * the agent and its host against. bare_loop PATH listens there, says "ready" and waits for the end of its
 * input. */
#include <event2/bufferevent.h>
#include <event2/event.h>
#include <event2/listener.h>
#include <stdio.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/un.h>
#include <unistd.h>
#include "fleet/base.h"

static void on_accept(struct evconnlistener *listener FLEET_UNUSED, evutil_socket_t fd,
	struct sockaddr *address FLEET_UNUSED, int len FLEET_UNUSED, void *arg FLEET_UNUSED)
{
	(void)close(fd);
}

static void on_input(evutil_socket_t fd FLEET_UNUSED, short what FLEET_UNUSED, void *arg)
{
	(void)event_base_loopbreak(arg); /* fails for no base only */
}

int main(int argc, char *argv[])
{
	struct sockaddr_un address = {.sun_family = AF_UNIX};
	struct event_base *base = event_base_new();
	struct event *input;

	if (argc != 2 || strlen(argv[1]) >= sizeof(address.sun_path) || !base)
		return 2;
	memcpy(address.sun_path, argv[1], strlen(argv[1]));
	if (!evconnlistener_new_bind(base, on_accept, NULL, LEV_OPT_CLOSE_ON_EXEC | LEV_OPT_CLOSE_ON_FREE, 8,
		    (struct sockaddr *)&address, sizeof(address)))
		return 1;
	input = event_new(base, STDIN_FILENO, EV_READ, on_input, base);
	if (!input || event_add(input, NULL) < 0 || puts("ready") < 0 || fflush(stdout) != 0)
		return 1;
	return event_base_dispatch(base) < 0;
}
