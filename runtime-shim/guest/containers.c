/* The table of containers: making, watching and removing them. */
#define _GNU_SOURCE
#include "containers.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/stat.h>
#include <unistd.h>

#include "clone.h"
#include "devices.h"
#include "link.h"
#include "log.h"
#include "processes.h"
#include "specs.h"

/* A killed process is gone in milliseconds, unless it hangs in the kernel. */
enum { REMOVE_TIMEOUT_MS = 10000 };

static struct container *containers;

struct container *containers_first(void)
{
	return containers;
}

struct container *container_find(const char *id)
{
	struct container *c = containers;
	while (c && strcmp(c->id, id) != 0)
		c = c->next;
	return c;
}

struct container *container_of_request(struct request *r, const char *id)
{
	if (request_failed(r))
		return NULL;
	struct container *c = container_find(id);
	if (!c)
		link_error(r->id, ESRCH, "no container %s", id);
	return c;
}

/* ---- what the kernel tells about it ---- */

/* Kernel files report each change once; reading them is what arms the next report. */
static void reread(struct watch *w)
{
	char text[512];
	if (pread(w->fd, text, sizeof(text), 0) < 0)
		warn("cgroup events");
}

uint64_t container_check_memory(struct container *c)
{
	struct oom_counts counts = cgroup_oom_counts(c->cgroup);
	if (counts.kills > c->oom.kills) {
		c->oom_kind = counts.own > c->oom.own ? OOM_CONTAINER : OOM_GUEST;
		struct bytes out = {0};
		field_put_text(&out, 1, c->id);
		field_put_u64(&out, 2, c->oom_kind);
		link_event(EVENT_OOM, &out);
		/* Kept from kill to kill: the limit is reported before the kill it leads to. */
		c->oom = counts;
	}
	return counts.kills;
}

static void memory_ready(struct watch *w, uint32_t events)
{
	(void)events;
	reread(w);
	container_check_memory(OWNER_OF(w, struct container, memory));
}

static void try_remove(struct container *c);

static void events_ready(struct watch *w, uint32_t events)
{
	(void)events;
	struct container *c = OWNER_OF(w, struct container, events);
	reread(w);
	if (c->pause_request && cgroup_frozen(c->cgroup)) {
		link_reply(c->pause_request, NULL);
		c->pause_request = 0;
	}
	try_remove(c);
}

static void watch_file(struct container *c, struct watch *w, const char *name,
		       void (*ready)(struct watch *, uint32_t))
{
	watch_init(w, openat(c->cgroup, name, O_RDONLY | O_CLOEXEC), ready);
	if (w->fd < 0)
		warn(name);
	else
		reread(w);
	watch_want(w, EPOLLPRI);
}

/* ---- removing ---- */

static void forget(struct container *c)
{
	timer_stop(&c->remove_deadline);
	watch_close(&c->events);
	watch_close(&c->memory);
	close(c->cgroup);
	if (c->first_process >= 0)
		close(c->first_process);
	char folder[200];
	snprintf(folder, sizeof(folder), CONTAINERS_FOLDER "/%s", c->id);
	rmdir(folder);
	if (cgroup_remove(c->id) < 0)
		warn("removing a cgroup");
	struct container **at = &containers;
	while (*at && *at != c)
		at = &(*at)->next;
	if (*at)
		*at = c->next;
	free(c);
}

static void try_remove(struct container *c)
{
	if (!c->removing || c->process_count > 0 || cgroup_populated(c->cgroup))
		return;
	uint32_t remove = c->remove_request;
	struct failed_create failed = c->failed;
	forget(c);
	if (remove)
		link_reply(remove, NULL);
	if (failed.request)
		link_error(failed.request, failed.error, "%s", failed.text);
}

static void remove_late(struct timer *t)
{
	struct container *c = OWNER_OF(t, struct container, remove_deadline);
	if (c->remove_request)
		link_error(c->remove_request, EBUSY, "processes of container %s do not end", c->id);
	c->remove_request = 0;
	c->removing = false;
}

void verb_remove_container(struct request *r)
{
	const char *id = "";
	struct field f;
	while (request_field(r, &f)) {
		if (f.tag == 1)
			id = request_text(r, &f);
		else
			request_unknown(r, &f);
	}
	if (request_failed(r))
		return;
	struct container *c = container_find(id);
	if (!c) {
		link_reply(r->id, NULL);
	} else if (c->removing) {
		link_error(r->id, EALREADY, "container %s is being removed", id);
	} else {
		c->removing = true;
		c->remove_request = r->id;
		timer_start(&c->remove_deadline, REMOVE_TIMEOUT_MS, remove_late);
		cgroup_kill(c->cgroup);
		try_remove(c);
	}
}

void container_process_gone(struct container *c)
{
	c->process_count--;
	try_remove(c);
}

void container_discard(struct container *c, uint32_t request, int error, const char *text)
{
	c->removing = true;
	c->failed.request = request;
	c->failed.error = error;
	snprintf(c->failed.text, sizeof(c->failed.text), "%s", text);
	cgroup_kill(c->cgroup);
}

void container_first_exited(struct container *c)
{
	/* With a PID namespace of its own the kernel has done this already. */
	if (c->share_pid)
		cgroup_kill(c->cgroup);
}

/* ---- making ---- */

/* The steps outside the container's own process; on failure -1 with errno and words in `what`. */
static int prepare(struct container *c, const struct container_spec *spec, const char **what)
{
	char folder[200];
	*what = "making the cgroup";
	c->cgroup = cgroup_create(c->id);
	if (c->cgroup < 0 || cgroup_limit(c->cgroup, &spec->limits, what) < 0)
		return -1;
	*what = "device rules";
	if (devices_restrict(c->cgroup, &spec->device_rules) < 0)
		return -1;
	*what = "making the folder";
	snprintf(folder, sizeof(folder), CONTAINERS_FOLDER "/%s", c->id);
	if (mkdir(folder, 0700) < 0 && errno != EEXIST)
		return -1;
	*what = "setting the hostname";
	return spec->hostname ? sethostname(spec->hostname, strlen(spec->hostname)) : 0;
}

void verb_create_container(struct request *r)
{
	/* Large, and only one is parsed at a time. */
	static struct container_spec spec;
	const char *what;
	if (!container_spec_parse(r, &spec))
		return;
	if (container_find(spec.id)) {
		link_error(r->id, EEXIST, "container %s exists", spec.id);
		return;
	}
	struct container *c = calloc(1, sizeof(*c));
	if (!c) {
		link_error(r->id, ENOMEM, "no memory");
		return;
	}
	snprintf(c->id, sizeof(c->id), "%s", spec.id);
	c->first_process = -1;
	c->share_pid = spec.share_pid;
	c->events.fd = c->memory.fd = -1;
	if (prepare(c, &spec, &what) < 0) {
		link_error(r->id, errno, "container %s: %s: %s", c->id, what, strerror(errno));
		forget(c);
		return;
	}
	watch_file(c, &c->events, "cgroup.events", events_ready);
	watch_file(c, &c->memory, "memory.events", memory_ready);
	c->first = process_spawn(c, "", &spec.process, &spec.root, r->id);
	if (!c->first) {
		forget(c);
		return;
	}
	c->next = containers;
	containers = c;
}
