/* The agent's one loop: file descriptors and deadlines. Single-threaded; callbacks never block. */
#ifndef KATASIM_LOOP_H
#define KATASIM_LOOP_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

/* The owner of an embedded watch or timer. */
#define OWNER_OF(pointer, type, member) ((type *)(void *)((char *)(pointer)-offsetof(type, member)))

struct watch {
	int fd;
	bool added;
	uint32_t events;
	void (*ready)(struct watch *watch, uint32_t events);
};

struct timer {
	int64_t due_ms; /* CLOCK_MONOTONIC */
	bool set;
	struct timer *next;
	void (*fired)(struct timer *timer);
};

void loop_init(void);
/* Never returns. */
_Noreturn void loop_run(void);
int64_t now_ms(void);

void watch_init(struct watch *w, int fd, void (*ready)(struct watch *, uint32_t));
/* Sets the wanted events. 0 takes it out of the loop: epoll reports HUP even for no events. */
void watch_want(struct watch *w, uint32_t events);
/* Leaves the loop and closes the descriptor; safe to repeat. */
void watch_close(struct watch *w);

void timer_start(struct timer *t, int64_t delay_ms, void (*fired)(struct timer *));
void timer_stop(struct timer *t);

#endif
