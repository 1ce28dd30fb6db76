/* Listens to NETLINK_KOBJECT_UEVENT: retries the waits for devices, and hands processors on. */
#define _GNU_SOURCE
#include "uevents.h"

#include <errno.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/netlink.h>

#include "log.h"
#include "processors.h"

static struct watch socket_watch = {.fd = -1};
static struct device_wait *waits;

static void unlink_wait(struct device_wait *wait)
{
	timer_stop(&wait->deadline);
	struct device_wait **at = &waits;
	while (*at && *at != wait)
		at = &(*at)->next;
	if (*at)
		*at = wait->next;
}

static void missed(struct timer *t)
{
	struct device_wait *wait = OWNER_OF(t, struct device_wait, deadline);
	unlink_wait(wait);
	wait->missed(wait);
}

static void uevent_ready(struct watch *w, uint32_t events)
{
	(void)events;
	char text[8192];
	static const char add[] = "add@";
	const size_t add_length = sizeof(add) - 1;
	bool added = false;
	ssize_t n;
	/* "add@/devices/…", then NUL-separated variables. An overrun (ENOBUFS) counts as news too. */
	while ((n = recv(w->fd, text, sizeof(text) - 1, MSG_DONTWAIT)) != 0) {
		if (n > 0) {
			text[n] = 0;
			if (strncmp(text, add, add_length) != 0)
				continue;
			added = true;
			processor_added(text + add_length);
			continue;
		}
		if (errno == ENOBUFS)
			added = true;
		else
			break;
	}
	struct device_wait *next;
	for (struct device_wait *wait = added ? waits : NULL; wait; wait = next) {
		next = wait->next;
		unlink_wait(wait);
		int64_t left = wait->deadline.due_ms - now_ms();
		device_wait_start(wait, left < 1 ? 1 : left);
	}
}

void uevents_open(void)
{
	struct sockaddr_nl address = {.nl_family = AF_NETLINK, .nl_groups = 1};
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_KOBJECT_UEVENT);
	if (fd < 0 || bind(fd, (struct sockaddr *)&address, sizeof(address)) < 0)
		die("uevents");
	watch_init(&socket_watch, fd, uevent_ready);
	watch_want(&socket_watch, EPOLLIN);
}

void device_wait_start(struct device_wait *wait, int64_t timeout_ms)
{
	if (wait->try(wait))
		return;
	wait->next = waits;
	waits = wait;
	timer_start(&wait->deadline, timeout_ms, missed);
}
