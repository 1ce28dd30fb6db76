/*
 * Streams between the host and programs or sockets. Each side may send only what the other has
 * room for (its window), so one that does not read never holds up another.
 */
#include "streams.h"

#include <errno.h>
#include <stdlib.h>
#include <sys/epoll.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"
#include "protocol.h"

enum {
	/* How long a descriptor of an ended program may be silent before it counts as finished. */
	QUIET_MS = 250,
	/* How long its background processes may talk on, as with containerd-shim-runc-v2. */
	TALK_MS = 2000,
	/* How long a host may take nothing before its end is told all the same. */
	HELD_UP_MS = 5000,
};

static struct source *sources;
static struct sink *sinks;

static struct source *find_source(uint32_t id)
{
	struct source *s = sources;
	while (s && s->id != id)
		s = s->next;
	return s;
}

static struct sink *find_sink(uint32_t id)
{
	struct sink *s = sinks;
	while (s && s->id != id)
		s = s->next;
	return s;
}

bool stream_id_is_free(uint32_t id)
{
	return id != 0 && !find_source(id) && !find_sink(id);
}

/* ---- guest to host ---- */

static void source_unlink(struct source *s)
{
	struct source **at = &sources;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	timer_stop(&s->quiet);
	watch_close(&s->watch);
}

static void source_finish(struct source *s)
{
	uint32_t id = s->id;
	void (*ended)(void *) = s->ended;
	void *owner = s->owner;
	source_unlink(s);
	free(s);
	if (id != 0)
		link_data(id, NULL, 0);
	if (ended)
		ended(owner);
}

/* A source without an id has lost its host: it reads on, so that the program is not held up. */
static bool may_read(const struct source *s)
{
	return s->id == 0 || (s->window > 0 && link_has_room());
}

static void source_rearm(struct source *s)
{
	watch_want(&s->watch, may_read(s) ? EPOLLIN : 0);
}

enum read_result { READ_SOME, READ_NOTHING, READ_HELD_UP, READ_ENDED /* and freed */ };

static enum read_result source_read(struct source *s)
{
	static uint8_t buffer[DATA_MAX];
	if (!may_read(s)) {
		source_rearm(s);
		return READ_HELD_UP;
	}
	size_t most = s->id == 0 || s->window > DATA_MAX ? DATA_MAX : (size_t)s->window;
	ssize_t n = read(s->watch.fd, buffer, most);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return READ_NOTHING;
	/* EIO is how a terminal says that its last user has closed it. */
	if (n <= 0) {
		source_finish(s);
		return READ_ENDED;
	}
	s->owed -= (uint64_t)n < s->owed ? (uint64_t)n : s->owed;
	if (s->id != 0) {
		s->window -= (uint64_t)n;
		link_data(s->id, buffer, (size_t)n);
	}
	source_rearm(s);
	return READ_SOME;
}

static void source_quiet(struct timer *t);

/* After a read from an ended program's descriptor: on to the next one, unless it was the last. */
static void source_linger(struct source *s, enum read_result result)
{
	int64_t now = now_ms();
	if (result == READ_SOME)
		s->progress_ms = now;
	bool talked_on = result == READ_SOME && s->owed == 0 && now >= s->give_up_ms;
	bool held_up = result == READ_HELD_UP && now - s->progress_ms >= HELD_UP_MS;
	if (talked_on || held_up)
		source_finish(s);
	else /* a busy moment, or it is the host that is silent */
		timer_start(&s->quiet, QUIET_MS, source_quiet);
}

static void source_ready(struct watch *w, uint32_t events)
{
	(void)events;
	struct source *s = OWNER_OF(w, struct source, watch);
	/* A timer that is set means an ended program; a read may free the source. */
	bool lingers = s->quiet.set;
	enum read_result result = source_read(s);
	if (result == READ_SOME && lingers)
		source_linger(s, result);
}

static void source_quiet(struct timer *t)
{
	struct source *s = OWNER_OF(t, struct source, quiet);
	enum read_result result = source_read(s);
	if (result == READ_NOTHING)
		source_finish(s);
	else if (result != READ_ENDED)
		source_linger(s, result);
}

struct source *source_open(uint32_t id, int fd, void (*ended)(void *), void *owner)
{
	struct source *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	watch_init(&s->watch, fd, source_ready);
	s->id = id;
	s->window = STREAM_WINDOW;
	s->ended = ended;
	s->owner = owner;
	s->next = sources;
	sources = s;
	source_rearm(s);
	return s;
}

void source_drain(struct source *s)
{
	int left = 0;
	if (ioctl(s->watch.fd, FIONREAD, &left) == 0 && left > 0)
		s->owed = (uint64_t)left;
	s->progress_ms = now_ms();
	s->give_up_ms = s->progress_ms + TALK_MS;
	if (source_read(s) != READ_ENDED)
		timer_start(&s->quiet, QUIET_MS, source_quiet);
}

void source_close(struct source *s)
{
	source_unlink(s);
	free(s);
}

/* ---- host to guest ---- */

void sink_close(struct sink *s)
{
	struct sink **at = &sinks;
	while (*at != s)
		at = &(*at)->next;
	*at = s->next;
	if (s->is_socket && s->watch.fd >= 0)
		shutdown(s->watch.fd, SHUT_WR);
	watch_close(&s->watch);
	bytes_free(&s->pending);
	void (*ended)(void *) = s->ended;
	void *owner = s->owner;
	free(s);
	if (ended)
		ended(owner);
}

/* False when the sink has ended and is freed. */
static bool sink_write(struct sink *s)
{
	while (bytes_length(&s->pending) > 0) {
		ssize_t n = write(s->watch.fd, s->pending.data + s->pending.start,
				  bytes_length(&s->pending));
		if (n < 0 && (errno == EAGAIN || errno == EINTR))
			break;
		if (n < 0) { /* nobody reads any more: the host must know, or it would wait for room */
			uint32_t id = s->id;
			link_reset(id);
			stream_reset(id);
			return false;
		}
		bytes_take(&s->pending, (size_t)n);
		s->uncredited += (uint32_t)n;
	}
	bool empty = bytes_length(&s->pending) == 0;
	if (empty && s->closing) {
		sink_close(s);
		return false;
	}
	/* Credit goes back in larger pieces: a frame for each small write would double the traffic. */
	if (s->uncredited >= STREAM_WINDOW / 4 || (empty && s->uncredited > 0)) {
		link_window(s->id, s->uncredited);
		s->uncredited = 0;
	}
	watch_want(&s->watch, empty ? 0 : EPOLLOUT);
	return true;
}

static void sink_ready(struct watch *w, uint32_t events)
{
	(void)events;
	sink_write(OWNER_OF(w, struct sink, watch));
}

struct sink *sink_open(uint32_t id, int fd, bool is_socket, void (*ended)(void *), void *owner)
{
	struct sink *s = calloc(1, sizeof(*s));
	if (!s)
		return NULL;
	watch_init(&s->watch, fd, sink_ready);
	s->id = id;
	s->is_socket = is_socket;
	s->ended = ended;
	s->owner = owner;
	s->next = sinks;
	sinks = s;
	return s;
}

/* ---- frames ---- */

void stream_data(uint32_t id, const uint8_t *data, uint32_t length)
{
	struct sink *s = find_sink(id);
	if (!s || s->closing)
		return;
	if (length == 0) {
		s->closing = true;
	} else if (bytes_length(&s->pending) + s->uncredited + length > STREAM_WINDOW ||
		   !bytes_append(&s->pending, data, length, STREAM_WINDOW)) {
		/* More than its window: the peer cannot be trusted with this stream. */
		link_reset(id);
		stream_reset(id);
		return;
	}
	sink_write(s);
}

void stream_window(uint32_t id, uint32_t credit)
{
	struct source *s = find_source(id);
	if (!s)
		return;
	s->window += credit;
	source_rearm(s);
}

void stream_reset(uint32_t id)
{
	struct source *from = find_source(id);
	if (from) {
		from->id = 0; /* no end is sent for a stream that is dead */
		source_finish(from);
	}
	struct sink *to = find_sink(id);
	if (to)
		sink_close(to);
}

void streams_resume(void)
{
	for (struct source *s = sources; s; s = s->next)
		source_rearm(s);
}

void streams_disconnected(void)
{
	for (struct source *s = sources; s; s = s->next) {
		s->id = 0;
		source_rearm(s);
	}
	while (sinks)
		sink_close(sinks);
}
