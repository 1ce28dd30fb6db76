/*
 * LISTENERS: tells the host which TCP ports of the pod are listened on, by looking: the kernel has no
 * event for it. /proc/net/tcp lists sockets that listen first, so a look is short whatever else is open.
 */
#define _GNU_SOURCE
#include "listeners.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "link.h"
#include "loop.h"
#include "protocol.h"

enum {
	/* Doubled while nothing changes: a guest that does nothing is to sleep. */
	FIRST_LOOK_MS = 250,
	LAST_LOOK_MS = 2000,
	PORTS_MAX = 64,
	STATE_LISTEN = 0x0a,
};

struct ports {
	size_t count;
	uint16_t port[PORTS_MAX];
};

static struct ports told;
static struct timer timer;
static int64_t look_ms;

/* Whether 127.0.0.1 or [::1] leads to a socket bound to this address, as /proc prints it. */
static bool reaches_loopback(const char *address)
{
	size_t length = strlen(address);
	if (strspn(address, "0") == length)
		return true;
	if (length == 8)
		return strcmp(address + 6, "7F") == 0;
	return strcmp(address, "00000000000000000000000001000000") == 0;
}

static void add(struct ports *ports, uint16_t port)
{
	for (size_t i = 0; i < ports->count; i++)
		if (ports->port[i] == port)
			return;
	if (ports->count < PORTS_MAX)
		ports->port[ports->count++] = port;
}

/* The file stays open: to close one costs the kernel a grace period, and so ticks. */
static void read_ports(struct ports *ports, FILE **kept, const char *path)
{
	if (!*kept)
		*kept = fopen(path, "re");
	FILE *file = *kept;
	if (!file)
		return;
	rewind(file);
	char line[512];
	while (fgets(line, sizeof(line), file)) {
		char address[33];
		unsigned port, state;
		int got = sscanf(line, " %*d: %32[0-9A-F]:%4x %*[0-9A-F]:%*x %2x", address, &port, &state);
		/* The head line has no numbers. */
		if (got != 3)
			continue;
		if (state != STATE_LISTEN)
			break;
		if (reaches_loopback(address))
			add(ports, (uint16_t)port);
	}
}

static int by_number(const void *a, const void *b)
{
	return *(const uint16_t *)a - *(const uint16_t *)b;
}

static void look(struct timer *t)
{
	static FILE *tcp, *tcp6;
	struct ports now = {0};
	read_ports(&now, &tcp, "/proc/net/tcp");
	read_ports(&now, &tcp6, "/proc/net/tcp6");
	look_ms = look_ms * 2 < LAST_LOOK_MS ? look_ms * 2 : LAST_LOOK_MS;
	qsort(now.port, now.count, sizeof(*now.port), by_number);
	if (now.count != told.count || memcmp(now.port, told.port, now.count * sizeof(*now.port)) != 0) {
		struct bytes out = {0};
		for (size_t i = 0; i < now.count; i++)
			field_put_u64(&out, 1, now.port[i]);
		link_event(EVENT_LISTENING, &out);
		told = now;
		look_ms = FIRST_LOOK_MS;
	}
	timer_start(t, look_ms, look);
}

void listeners_expect(void)
{
	if (!timer.set)
		return;
	look_ms = FIRST_LOOK_MS;
	timer_start(&timer, look_ms, look);
}

void verb_listeners(struct request *r)
{
	struct field f;
	while (request_field(r, &f))
		request_unknown(r, &f);
	if (request_failed(r))
		return;
	link_reply(r->id, NULL);
	/* Whoever asks knows of none. */
	told.count = 0;
	look_ms = FIRST_LOOK_MS;
	timer_start(&timer, 0, look);
}
