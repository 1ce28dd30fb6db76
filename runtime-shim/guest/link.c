/* Serves the host's connection: decodes what comes, queues what goes, survives malformed input. */
#define _GNU_SOURCE
#include "link.h"

#include <errno.h>
#include <poll.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "fields.h"
#include "frames.h"
#include "log.h"
#include "loop.h"
#include "requests.h"
#include "streams.h"
#include "transport.h"

enum {
	/* Above this, program output waits in its pipe: memory of a small VM is not ours to fill. */
	DATA_ROOM = 256 * 1024,
	/* A host that lets so many replies pile up has gone. */
	QUEUE_BOUND = 8 * 1024 * 1024,
};

/* The connection: the serial port itself, or an accepted socket. */
static struct watch port = {.fd = -1};
static struct watch listener = {.fd = -1};
static struct frame_decoder decoder;
static struct bytes queue;
/* After a malformed frame nothing more is read until the host connects anew. */
static bool broken;
static bool connected;

static void put(uint8_t kind, uint32_t id, const void *head, size_t head_length, const void *body,
		size_t body_length)
{
	if (!connected)
		return;
	uint8_t header[FRAME_HEADER];
	frame_header(header, kind, id, (uint32_t)(head_length + body_length));
	size_t total = sizeof(header) + head_length + body_length;
	if (!bytes_reserve(&queue, total, QUEUE_BOUND)) {
		note("the host does not read: output is dropped and the connection given up");
		broken = true;
		return;
	}
	bytes_append(&queue, header, sizeof(header), QUEUE_BOUND);
	bytes_append(&queue, head, head_length, QUEUE_BOUND);
	bytes_append(&queue, body, body_length, QUEUE_BOUND);
}

/* Written at once: edge-triggered epoll tells only about later room. */
static void flush(void)
{
	bool was_full = !link_has_room();
	while (bytes_length(&queue) > 0) {
		ssize_t n = write(port.fd, queue.data + queue.start, bytes_length(&queue));
		if (n <= 0)
			break;
		bytes_take(&queue, (size_t)n);
	}
	if (was_full && link_has_room())
		streams_resume();
}

void link_reply(uint32_t request, struct bytes *fields)
{
	static const uint8_t done[4];
	struct bytes none = {0};
	struct bytes *f = fields ? fields : &none;
	put(FRAME_REPLY, request, done, sizeof(done), f->data + f->start, bytes_length(f));
	bytes_free(f);
	flush();
}

void link_error(uint32_t request, int error, const char *format, ...)
{
	char text[400];
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	/* Status 0 would read as done. */
	uint8_t status[4];
	write_u32(status, error > 0 ? (uint32_t)error : EIO);
	struct bytes fields = {0};
	field_put_text(&fields, 1, text);
	put(FRAME_REPLY, request, status, sizeof(status), fields.data, bytes_length(&fields));
	bytes_free(&fields);
	flush();
}

void link_event(uint8_t event, struct bytes *fields)
{
	put(FRAME_EVENT, 0, &event, 1, fields->data + fields->start, bytes_length(fields));
	bytes_free(fields);
	flush();
}

void link_data(uint32_t stream, const void *data, size_t length)
{
	put(FRAME_DATA, stream, NULL, 0, data, length);
	flush();
}

void link_window(uint32_t stream, uint32_t credit)
{
	uint8_t body[4];
	write_u32(body, credit);
	put(FRAME_WINDOW, stream, body, sizeof(body), NULL, 0);
	flush();
}

void link_reset(uint32_t stream)
{
	put(FRAME_RESET, stream, NULL, 0, NULL, 0);
	flush();
}

bool link_has_room(void)
{
	return bytes_length(&queue) < DATA_ROOM;
}

void link_flush(void)
{
	for (int i = 0; i < 10 && bytes_length(&queue) > 0; i++) {
		struct pollfd p = {.fd = port.fd, .events = POLLOUT};
		poll(&p, 1, 100);
		flush();
	}
}

static void give_up(const char *why)
{
	struct bytes fields = {0};
	field_put_text(&fields, 1, why);
	link_event(EVENT_BROKEN, &fields);
	note("%s", why);
	broken = true;
}

static void handle_frames(void)
{
	struct frame f;
	int got;
	while (!broken && (got = frame_next(&decoder, &f)) != 0) {
		if (got < 0) {
			give_up("malformed frame");
			return;
		}
		if (f.kind == FRAME_REQUEST)
			request_handle(f.id, f.body[0], f.body + 1, f.length - 1);
		else if (f.kind == FRAME_DATA)
			stream_data(f.id, f.body, f.length);
		else if (f.kind == FRAME_WINDOW)
			stream_window(f.id, read_u32(f.body));
		else
			stream_reset(f.id);
	}
}

/*
 * Reads to the end of what is there: edge-triggered. Input of a broken connection is thrown away.
 * False at the end of file: the peer of a socket has gone.
 */
static bool drain_input(void)
{
	for (;;) {
		size_t room;
		uint8_t *space = frame_space(&decoder, &room);
		ssize_t n = read(port.fd, space, room);
		if (n <= 0)
			return n < 0 && (errno == EAGAIN || errno == EINTR);
		if (broken)
			continue;
		frame_filled(&decoder, (size_t)n);
		handle_frames();
	}
}

/* Every connection starts with clean state, and leaves none. */
static void set_connected(bool now)
{
	if (now && !connected) {
		decoder.start = decoder.end = 0;
		broken = false;
	}
	if (!now && connected) {
		bytes_free(&queue);
		streams_disconnected();
	}
	connected = now;
}

/* A serial port says HUP while no host is connected. */
static void port_ready(struct watch *w, uint32_t events)
{
	(void)w;
	set_connected(!(events & EPOLLHUP));
	if (!connected)
		return;
	if (events & EPOLLIN)
		drain_input();
	flush();
}

static void socket_ready(struct watch *w, uint32_t events)
{
	bool open = !(events & EPOLLIN) || drain_input();
	if (open && !(events & (EPOLLHUP | EPOLLERR))) {
		flush();
		return;
	}
	watch_close(w);
	set_connected(false);
	watch_want(&listener, EPOLLIN);
}

/* One host at a time: the next one waits until this one has gone. */
static void host_calls(struct watch *w, uint32_t events)
{
	(void)events;
	int fd = accept4(w->fd, NULL, NULL, SOCK_NONBLOCK | SOCK_CLOEXEC);
	if (fd < 0)
		return;
	watch_want(w, 0);
	set_connected(true);
	watch_init(&port, fd, socket_ready);
	watch_want(&port, EPOLLIN | EPOLLOUT | EPOLLET);
}

void link_open(void)
{
	int socket = transport_listen();
	if (socket >= 0) {
		watch_init(&listener, socket, host_calls);
		watch_want(&listener, EPOLLIN);
		return;
	}
	/* Ports are announced by control messages some milliseconds after the driver is loaded. */
	int fd = -1;
	for (int i = 0; i < 5000 && (fd = transport_open_port()) < 0; i++)
		usleep(1000);
	if (fd < 0) {
		errno = ENODEV;
		die("neither a vsock device nor a virtio-serial port named katasim.agent.0");
	}
	watch_init(&port, fd, port_ready);
	watch_want(&port, EPOLLIN | EPOLLOUT | EPOLLET);
}
