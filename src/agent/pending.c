#include "agent/pending.h"
#include "fleet/jws.h"

struct pending_command {
	struct pending_command *next;
	struct fleet_uuid hub_id, frame_id; /* frame_id "": not offered on this connection */
	struct fleet_uuid command_id;       /* "" where none can be read: the host will say so */
	size_t jws_len;
	char jws[];
};

struct fleet_uuid pending_command_id(const char *jws)
{
	_cleanup_json_ struct json_object *payload = NULL;
	struct fleet_uuid found = {""};
	const char *id;

	if (fleet_jws_peek(jws, strlen(jws), &payload, NULL) < 0)
		return found;
	id = fleet_json_string(payload, "commandId");
	if (id && fleet_uuid_is_valid(id))
		memcpy(found.text, id, sizeof(found.text));
	return found;
}

static void offer(struct pending *p, struct pending_command *c)
{
	if (p->offer(c->jws, &c->frame_id, p->arg) < 0)
		c->frame_id.text[0] = '\0';
}

int pending_add(struct pending *p, const char *hub_id, const char *jws, struct fleet_error *err)
{
	size_t len = strlen(jws);
	struct fleet_uuid command_id = pending_command_id(jws);
	struct pending_command *c, **end = &p->first;

	for (; *end; end = &(*end)->next) {
		c = *end;
		/* The same bytes, not only the same id: an impostor must not take the true command's place.
		 */
		if (c->jws_len == len && str_equal(c->command_id.text, command_id.text) &&
			memcmp(c->jws, jws, len) == 0) {
			(void)snprintf(c->hub_id.text, sizeof(c->hub_id.text), "%s", hub_id);
			return 0;
		}
	}
	if (p->count >= FLEET_COMMANDS_OPEN_PER_AGENT_MAX || len > PENDING_BYTES_MAX - p->bytes)
		return fleet_error_set(
			err, -ENOBUFS, "%zu commands already wait for the driver host", p->count);
	c = xmalloc(sizeof(*c) + len + 1);
	*c = (struct pending_command){.jws_len = len};
	(void)snprintf(c->hub_id.text, sizeof(c->hub_id.text), "%s", hub_id);
	c->command_id = command_id;
	memcpy(c->jws, jws, len + 1);
	*end = c;
	p->count++;
	p->bytes += len;
	offer(p, c);
	return 0;
}

void pending_offer_all(struct pending *p)
{
	for (struct pending_command *c = p->first; c; c = c->next) {
		if (!c->frame_id.text[0])
			offer(p, c);
	}
}

void pending_host_lost(struct pending *p)
{
	for (struct pending_command *c = p->first; c; c = c->next)
		c->frame_id.text[0] = '\0';
}

static void remove_at(struct pending *p, struct pending_command **at)
{
	struct pending_command *c = *at;

	*at = c->next;
	p->count--;
	p->bytes -= c->jws_len;
	free(c);
}

void pending_taken(struct pending *p, const char *command_id)
{
	struct pending_command **at = &p->first;

	while (*at) {
		/* Only what this host has seen: its word cannot be about a copy that is still here. */
		if ((*at)->frame_id.text[0] && str_equal((*at)->command_id.text, command_id))
			remove_at(p, at);
		else
			at = &(*at)->next;
	}
}

bool pending_refused(struct pending *p, const char *frame_id, struct fleet_uuid *ret_hub_id)
{
	for (struct pending_command **at = &p->first; *at && !str_empty(frame_id); at = &(*at)->next) {
		if (str_equal((*at)->frame_id.text, frame_id)) {
			*ret_hub_id = (*at)->hub_id;
			remove_at(p, at);
			return true;
		}
	}
	return false;
}

void pending_done(struct pending *p)
{
	while (p->first)
		remove_at(p, &p->first);
}
