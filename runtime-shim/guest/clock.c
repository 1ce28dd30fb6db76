/*
 * CLOCK: tells the time and corrects it by a difference. A difference stays right however long the
 * request is under way; only the host can tell how much to trust the answer.
 */
#define _GNU_SOURCE
#include "clock.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/timex.h>
#include <time.h>

#include "link.h"

enum {
	MILLION = 1000000,
	/* Below it the clock is made faster or slower: programs never see time go back. */
	STEP_US = MILLION / 2,
};

static int64_t now_us(void)
{
	struct timespec now;
	clock_gettime(CLOCK_REALTIME, &now);
	return (int64_t)now.tv_sec * MILLION + now.tv_nsec / 1000;
}

static int adjust(int64_t difference_us)
{
	if (llabs(difference_us) < STEP_US) {
		struct timex slew = {.modes = ADJ_OFFSET_SINGLESHOT, .offset = (long)difference_us};
		return adjtimex(&slew) < 0 ? -1 : 0;
	}
	int64_t then = now_us() + difference_us;
	struct timespec to = {.tv_sec = (time_t)(then / MILLION), .tv_nsec = (long)(then % MILLION) * 1000};
	return clock_settime(CLOCK_REALTIME, &to);
}

void verb_clock(struct request *r)
{
	int64_t difference_us = 0;
	struct field f;
	while (request_field(r, &f)) {
		if (f.tag == 1)
			difference_us = (int64_t)request_u64(r, &f);
		else
			request_unknown(r, &f);
	}
	if (request_failed(r))
		return;
	/* A century: beyond it is no clock's error, and sums would run over. */
	if (llabs(difference_us / MILLION) > 100LL * 366 * 86400) {
		link_error(r->id, EINVAL, "no clock is wrong by so much");
		return;
	}
	if (difference_us && adjust(difference_us) < 0) {
		link_error(r->id, errno, "adjusting the clock: %s", strerror(errno));
		return;
	}
	struct bytes out = {0};
	field_put_u64(&out, 1, (uint64_t)now_us());
	link_reply(r->id, &out);
}
