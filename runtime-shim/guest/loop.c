/* epoll and a short list of timers. One event per turn, so that a callback may free any watch. */
#include "loop.h"

#include <errno.h>
#include <sys/epoll.h>
#include <time.h>
#include <unistd.h>

#include "log.h"

static int epoll_fd = -1;
static struct timer *timers;

void loop_init(void)
{
	epoll_fd = epoll_create1(EPOLL_CLOEXEC);
	if (epoll_fd < 0)
		die("epoll_create1");
}

int64_t now_ms(void)
{
	struct timespec t;
	clock_gettime(CLOCK_MONOTONIC, &t);
	return (int64_t)t.tv_sec * 1000 + t.tv_nsec / 1000000;
}

void watch_init(struct watch *w, int fd, void (*ready)(struct watch *, uint32_t))
{
	*w = (struct watch){.fd = fd, .ready = ready};
}

void watch_want(struct watch *w, uint32_t events)
{
	if (w->fd < 0 || (w->added ? w->events : 0) == events)
		return;
	struct epoll_event e = {.events = events, .data.ptr = w};
	int op = !w->added ? EPOLL_CTL_ADD : events ? EPOLL_CTL_MOD : EPOLL_CTL_DEL;
	if (epoll_ctl(epoll_fd, op, w->fd, &e) < 0)
		warn("epoll_ctl");
	w->added = events != 0;
	w->events = events;
}

void watch_close(struct watch *w)
{
	if (w->fd < 0)
		return;
	/* Closing is not enough: a duplicate of the descriptor in a child would keep it in the loop. */
	watch_want(w, 0);
	close(w->fd);
	w->fd = -1;
}

void timer_stop(struct timer *t)
{
	if (!t->set)
		return;
	for (struct timer **at = &timers; *at; at = &(*at)->next) {
		if (*at == t) {
			*at = t->next;
			break;
		}
	}
	t->set = false;
}

void timer_start(struct timer *t, int64_t delay_ms, void (*fired)(struct timer *))
{
	timer_stop(t);
	t->due_ms = now_ms() + delay_ms;
	t->fired = fired;
	t->set = true;
	struct timer **at = &timers;
	while (*at && (*at)->due_ms <= t->due_ms)
		at = &(*at)->next;
	t->next = *at;
	*at = t;
}

static int until_next_timer(void)
{
	if (!timers)
		return -1;
	int64_t left = timers->due_ms - now_ms();
	return left < 0 ? 0 : left > 60000 ? 60000 : (int)left;
}

_Noreturn void loop_run(void)
{
	for (;;) {
		struct epoll_event e;
		int n = epoll_wait(epoll_fd, &e, 1, until_next_timer());
		if (n < 0 && errno != EINTR)
			die("epoll_wait");
		if (n == 1) {
			struct watch *w = e.data.ptr;
			w->ready(w, e.events);
		}
		while (timers && timers->due_ms <= now_ms()) {
			struct timer *t = timers;
			timer_stop(t);
			t->fired(t);
		}
	}
}
