/* DIAL: connects to a port of the pod on 127.0.0.1, else [::1], and makes a two-way stream of it. */
#define _GNU_SOURCE
#include "dial.h"

#include <errno.h>
#include <fcntl.h>
#include <netinet/in.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include "link.h"
#include "loop.h"
#include "streams.h"

struct dial {
	struct watch watch;
	uint32_t request;
	uint32_t stream;
	uint16_t port;
	bool tried_v6;
	/* What IPv4 said: it is the better answer when both fail. */
	int first_error;
};

static void dial_v6(struct dial *d);

static void dial_end(struct dial *d, int error)
{
	if (error == 0) {
		int fd = d->watch.fd;
		watch_want(&d->watch, 0);
		int out = fcntl(fd, F_DUPFD_CLOEXEC, 0);
		if (out < 0 || !stream_id_is_free(d->stream)) {
			link_error(d->request, out < 0 ? errno : EEXIST, "stream %u", d->stream);
			close(fd);
			if (out >= 0)
				close(out);
		} else {
			/* Answered first: the stream's bytes follow. */
			link_reply(d->request, NULL);
			struct source *from = source_open(d->stream, fd, NULL, NULL);
			struct sink *to = sink_open(d->stream, out, true, NULL, NULL);
			if (!from || !to)
				stream_reset(d->stream);
		}
	} else {
		watch_close(&d->watch);
		if (!d->tried_v6) {
			d->first_error = error;
			dial_v6(d);
			return;
		}
		link_error(d->request, d->first_error, "connecting to port %u: %s", d->port,
			   strerror(d->first_error));
	}
	free(d);
}

static void dial_ready(struct watch *w, uint32_t events)
{
	(void)events;
	int error = 0;
	socklen_t length = sizeof(error);
	getsockopt(w->fd, SOL_SOCKET, SO_ERROR, &error, &length);
	dial_end(OWNER_OF(w, struct dial, watch), error);
}

static void dial_start(struct dial *d, int family, const void *address, socklen_t length)
{
	int fd = socket(family, SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	watch_init(&d->watch, fd, dial_ready);
	if (fd < 0 || (connect(fd, address, length) < 0 && errno != EINPROGRESS)) {
		dial_end(d, errno);
		return;
	}
	watch_want(&d->watch, EPOLLOUT);
}

static void dial_v6(struct dial *d)
{
	struct sockaddr_in6 to = {.sin6_family = AF_INET6, .sin6_port = htons(d->port)};
	to.sin6_addr = in6addr_loopback;
	d->tried_v6 = true;
	dial_start(d, AF_INET6, &to, sizeof(to));
}

void verb_dial(struct request *r)
{
	uint64_t stream = 0, port = 0;
	struct field f;
	while (request_field(r, &f)) {
		if (f.tag == 1)
			stream = request_u64(r, &f);
		else if (f.tag == 2)
			port = request_u64(r, &f);
		else
			request_unknown(r, &f);
	}
	if (request_failed(r))
		return;
	struct dial *d = calloc(1, sizeof(*d));
	if (!d || port == 0 || port > 65535 || stream > UINT32_MAX || !stream_id_is_free((uint32_t)stream)) {
		link_error(r->id, d ? EINVAL : ENOMEM, "DIAL needs a free stream id and a port");
		free(d);
		return;
	}
	*d = (struct dial){.request = r->id, .stream = (uint32_t)stream, .port = (uint16_t)port};
	struct sockaddr_in to = {.sin_family = AF_INET, .sin_port = htons(d->port)};
	to.sin_addr.s_addr = htonl(INADDR_LOOPBACK);
	dial_start(d, AF_INET, &to, sizeof(to));
}
