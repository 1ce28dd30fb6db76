/* START, EXEC, SIGNAL, RESIZE, UPDATE, PAUSE, RESUME, PROCESSES. */
#define _GNU_SOURCE
#include "container-verbs.h"

#include <errno.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>

#include "cgroups.h"
#include "containers.h"
#include "link.h"
#include "listeners.h"
#include "processes.h"
#include "specs.h"

/* ID, and at most one EXEC_ID and some numbers by tag. */
struct target {
	const char *id;
	const char *exec_id;
	uint64_t numbers[17];
};

/* `numbers` is a bit mask of the tags that are numbers. NULL when the request was answered. */
static struct container *parse_target(struct request *r, struct target *t, bool exec_id,
				      uint32_t numbers)
{
	struct field f;
	*t = (struct target){.id = "", .exec_id = ""};
	while (request_field(r, &f)) {
		if (f.tag == 1)
			t->id = request_text(r, &f);
		else if (f.tag == 2 && exec_id)
			t->exec_id = request_text(r, &f);
		else if (f.tag < 17 && numbers >> f.tag & 1)
			t->numbers[f.tag] = request_u64(r, &f);
		else
			request_unknown(r, &f);
	}
	return container_of_request(r, t->id);
}

static struct process *find_process(struct request *r, struct container *c, const char *exec_id)
{
	struct process *p = process_find(c, exec_id);
	if (p && !p->reaped)
		return p;
	link_error(r->id, ESRCH, "%s%s%s has ended", c->id, *exec_id ? " exec " : "", exec_id);
	return NULL;
}

void verb_start(struct request *r)
{
	struct target t;
	struct container *c = parse_target(r, &t, false, 0);
	struct process *p = c ? find_process(r, c, "") : NULL;
	if (!p)
		return;
	listeners_expect();
	if (p->state != PROCESS_CREATED)
		link_error(r->id, EALREADY, "container %s was started before", c->id);
	else
		process_start(p, r->id);
}

void verb_exec(struct request *r)
{
	static struct process_spec spec;
	const char *id, *exec_id;
	if (!exec_spec_parse(r, &id, &exec_id, &spec))
		return;
	listeners_expect();
	struct container *c = container_of_request(r, id);
	struct process *first = c ? find_process(r, c, "") : NULL;
	if (!first)
		return;
	if (first->state != PROCESS_RUNNING)
		link_error(r->id, EINVAL, "cannot exec in a container that is not running");
	else if (c->paused)
		link_error(r->id, EINVAL, "cannot exec in a paused container");
	else if (process_find(c, exec_id))
		link_error(r->id, EEXIST, "exec %s exists", exec_id);
	else
		process_spawn(c, exec_id, &spec, NULL, r->id);
}

static void signal_one(pid_t pid, void *context)
{
	kill(pid, *(int *)context);
}

void verb_signal(struct request *r)
{
	struct target t;
	struct container *c = parse_target(r, &t, true, 1 << 3 | 1 << 4);
	if (!c)
		return;
	int number = (int)t.numbers[3];
	if (number < 1 || number > 64) {
		link_error(r->id, EINVAL, "no signal %d", number);
		return;
	}
	if (t.numbers[4]) {
		if (number == SIGKILL)
			cgroup_kill(c->cgroup);
		else
			cgroup_processes(c->cgroup, signal_one, &number);
		link_reply(r->id, NULL);
		return;
	}
	struct process *p = find_process(r, c, t.exec_id);
	if (!p)
		return;
	if (kill(p->pid, number) < 0)
		link_error(r->id, errno, "signal %d: %s", number, strerror(errno));
	else
		link_reply(r->id, NULL);
}

void verb_resize(struct request *r)
{
	struct target t;
	struct container *c = parse_target(r, &t, true, 1 << 3 | 1 << 4);
	struct process *p = c ? find_process(r, c, t.exec_id) : NULL;
	if (!p)
		return;
	struct winsize size = {.ws_col = (unsigned short)t.numbers[3],
			       .ws_row = (unsigned short)t.numbers[4]};
	if (p->terminal < 0)
		link_error(r->id, ENOTTY, "the process has no terminal");
	else if (ioctl(p->terminal, TIOCSWINSZ, &size) < 0)
		link_error(r->id, errno, "resize: %s", strerror(errno));
	else
		link_reply(r->id, NULL);
}

void verb_update(struct request *r)
{
	struct target t;
	const char *what = "";
	struct container *c = parse_target(r, &t, false, 1 << 8 | 1 << 9 | 1 << 10 | 1 << 11 | 1 << 16);
	if (!c)
		return;
	struct limits limits = {t.numbers[8], t.numbers[9], t.numbers[10], t.numbers[11],
				t.numbers[16]};
	if (cgroup_limit(c->cgroup, &limits, &what) < 0)
		link_error(r->id, errno, "%s: %s", what, strerror(errno));
	else
		link_reply(r->id, NULL);
}

void verb_pause(struct request *r)
{
	struct target t;
	struct container *c = parse_target(r, &t, false, 0);
	if (!c)
		return;
	if (c->paused || c->pause_request) {
		link_error(r->id, EALREADY, "container %s is paused", c->id);
	} else if (cgroup_freeze(c->cgroup, true) < 0) {
		link_error(r->id, errno, "freezing: %s", strerror(errno));
	} else {
		/* Answered when the kernel says that all processes stand still. */
		c->paused = true;
		if (cgroup_frozen(c->cgroup))
			link_reply(r->id, NULL);
		else
			c->pause_request = r->id;
	}
}

void verb_resume(struct request *r)
{
	struct target t;
	struct container *c = parse_target(r, &t, false, 0);
	if (!c)
		return;
	if (cgroup_freeze(c->cgroup, false) < 0) {
		link_error(r->id, errno, "thawing: %s", strerror(errno));
		return;
	}
	if (c->pause_request)
		link_error(c->pause_request, ECANCELED, "resumed before it was paused");
	c->pause_request = 0;
	c->paused = false;
	link_reply(r->id, NULL);
}

static void put_pid(pid_t pid, void *context)
{
	field_put_u64(context, 1, (uint64_t)pid);
}

void verb_processes(struct request *r)
{
	struct target t;
	struct container *c = parse_target(r, &t, false, 0);
	if (!c)
		return;
	struct bytes out = {0};
	cgroup_processes(c->cgroup, put_pid, &out);
	link_reply(r->id, &out);
}
