/*
 * Clones processes into containers, follows them to execve, connects their streams, reaps them and
 * tells the host how they ended: after the last byte of their output.
 */
#define _GNU_SOURCE
#include "processes.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <sys/signalfd.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "cgroups.h"
#include "child.h"
#include "clone.h"
#include "files.h"
#include "link.h"
#include "log.h"
#include "protocol.h"

static struct process *processes;
static struct watch children = {.fd = -1};

struct process *process_find(const struct container *c, const char *exec_id)
{
	struct process *p = processes;
	while (p && (p->container != c || strcmp(p->exec_id, exec_id) != 0))
		p = p->next;
	return p;
}

static void fail(struct process *p, int error, const char *text)
{
	if (p->state == PROCESS_PREPARING)
		container_discard(p->container, p->request, error, text);
	else if (p->request)
		link_error(p->request, error, "%s", text);
	p->request = 0;
	p->state = PROCESS_FAILED;
}

static void answer_done(struct process *p)
{
	struct bytes out = {0};
	field_put_u64(&out, 1, (uint64_t)p->pid);
	if (p->request)
		link_reply(p->request, &out);
	p->request = 0;
}

/* ---- the end ---- */

static void send_exited(const struct process *p, enum oom oom)
{
	struct bytes out = {0};
	int code = WIFEXITED(p->wait_status) ? WEXITSTATUS(p->wait_status)
					      : 128 + WTERMSIG(p->wait_status);
	field_put_text(&out, 1, p->container->id);
	if (p->exec_id[0])
		field_put_text(&out, 2, p->exec_id);
	field_put_u64(&out, 3, (uint64_t)code);
	field_put_u64(&out, 4, oom);
	link_event(EVENT_EXITED, &out);
}

/* Ends the record once the process is reaped and every byte it wrote is on its way. */
static void settle(struct process *p)
{
	if (p->busy || !p->reaped || p->status.fd >= 0 || p->out || p->err)
		return;
	struct container *c = p->container;
	bool killed = WIFSIGNALED(p->wait_status) && WTERMSIG(p->wait_status) == SIGKILL;
	bool out_of_memory = container_check_memory(c) > p->oom_kills_before && killed;
	/* A container removed before its start has nothing to tell; one killed then has. */
	if (p->state == PROCESS_RUNNING || (p->state == PROCESS_CREATED && !c->removing))
		send_exited(p, out_of_memory ? c->oom_kind : OOM_NONE);
	if (p->in) {
		p->in->ended = NULL;
		sink_close(p->in);
	}
	if (p->terminal >= 0)
		close(p->terminal);
	struct process **at = &processes;
	while (*at != p)
		at = &(*at)->next;
	*at = p->next;
	if (c->first == p)
		c->first = NULL;
	free(p);
	container_process_gone(c);
}

static void stdout_ended(void *owner)
{
	struct process *p = owner;
	p->out = NULL;
	settle(p);
}

static void stderr_ended(void *owner)
{
	struct process *p = owner;
	p->err = NULL;
	settle(p);
}

static void stdin_ended(void *owner)
{
	((struct process *)owner)->in = NULL;
}

static void process_reaped(struct process *p, int wait_status)
{
	p->reaped = true;
	p->wait_status = wait_status;
	if (p == p->container->first)
		container_first_exited(p->container);
	/* Draining may end a stream, whose callback must not free what is used here. */
	p->busy = true;
	if (p->out)
		source_drain(p->out);
	if (p->err)
		source_drain(p->err);
	p->busy = false;
	settle(p);
}

static void child_ready(struct watch *w, uint32_t events)
{
	(void)events;
	struct signalfd_siginfo info;
	int status;
	pid_t pid;
	while (read(w->fd, &info, sizeof(info)) > 0)
		;
	/* Orphans of containers and workers come here too: process 1 reaps all. */
	while ((pid = waitpid(-1, &status, WNOHANG)) > 0) {
		struct process *p = processes;
		while (p && (p->pid != pid || p->reaped))
			p = p->next;
		if (p)
			process_reaped(p, status);
	}
}

void processes_open(void)
{
	sigset_t set;
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	int fd = signalfd(-1, &set, SFD_NONBLOCK | SFD_CLOEXEC);
	if (fd < 0)
		die("signalfd");
	watch_init(&children, fd, child_ready);
	watch_want(&children, EPOLLIN);
}

/* ---- the way to execve ---- */

static void connect_terminal(struct process *p, int master)
{
	fcntl(master, F_SETFL, O_RDWR | O_NONBLOCK);
	p->terminal = fcntl(master, F_DUPFD_CLOEXEC, 0);
	if (p->stdin_stream)
		p->in = sink_open(p->stdin_stream, fcntl(master, F_DUPFD_CLOEXEC, 0), false, stdin_ended, p);
	p->out = source_open(p->stdout_stream, master, stdout_ended, p);
}

static void status_closed(struct process *p)
{
	watch_close(&p->status);
	if (p->state == PROCESS_STARTING) {
		p->state = PROCESS_RUNNING;
		answer_done(p);
	} else if (p->state == PROCESS_PREPARING) {
		fail(p, EIO, "the process died while it was made");
	}
	settle(p);
}

static void status_ready(struct watch *w, uint32_t events)
{
	(void)events;
	struct process *p = OWNER_OF(w, struct process, status);
	struct child_message m;
	struct iovec part = {&m, sizeof(m)};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control;
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = control.bytes,
				 .msg_controllen = sizeof(control.bytes)};
	ssize_t n = recvmsg(w->fd, &message, MSG_CMSG_CLOEXEC | MSG_DONTWAIT);
	if (n < 0 && (errno == EAGAIN || errno == EINTR))
		return;
	if (n != (ssize_t)sizeof(m)) {
		status_closed(p);
		return;
	}
	struct cmsghdr *c = CMSG_FIRSTHDR(&message);
	int fd = -1;
	if (c && c->cmsg_level == SOL_SOCKET && c->cmsg_type == SCM_RIGHTS)
		memcpy(&fd, CMSG_DATA(c), sizeof(fd));
	if (m.word == CHILD_TERMINAL && fd >= 0) {
		connect_terminal(p, fd);
	} else if (m.word == CHILD_READY) {
		p->state = PROCESS_CREATED;
		answer_done(p);
	} else if (m.word == CHILD_FAILED) {
		m.text[STEP_TEXT - 1] = '\0';
		fail(p, m.error, m.text);
	}
}

void process_start(struct process *p, uint32_t request)
{
	p->request = request;
	p->state = PROCESS_STARTING;
	/* A child that has died meanwhile shows at the other end of the same socket. */
	if (send(p->status.fd, "g", 1, MSG_NOSIGNAL) < 0)
		warn("starting a process");
}

/* ---- the beginning ---- */

struct pipes {
	int child[3];
	int agent[3];
};

static void close_all(int fds[3])
{
	for (int i = 0; i < 3; i++)
		if (fds[i] >= 0)
			close(fds[i]);
}

/* Ends for the program's stdin, stdout and stderr: pipes for streams, the null device otherwise. */
static int make_pipes(const struct process_spec *spec, struct pipes *pipes)
{
	const uint32_t streams[3] = {spec->stdin_stream, spec->stdout_stream, spec->stderr_stream};
	for (int i = 0; i < 3; i++)
		pipes->child[i] = pipes->agent[i] = -1;
	for (int i = 0; i < 3 && !spec->tty; i++) {
		int ends[2];
		if (streams[i] == 0) {
			pipes->child[i] = open("/dev/null", O_RDWR | O_CLOEXEC);
		} else if (pipe2(ends, O_CLOEXEC) == 0) {
			pipes->child[i] = ends[i == 0 ? 0 : 1];
			pipes->agent[i] = ends[i == 0 ? 1 : 0];
			fcntl(pipes->agent[i], F_SETFL, O_NONBLOCK);
		}
		if (pipes->child[i] < 0) {
			int error = errno;
			close_all(pipes->child);
			close_all(pipes->agent);
			errno = error;
			return -1;
		}
	}
	return 0;
}

static void set_oom_score(pid_t pid, int score)
{
	char path[64], text[16];
	snprintf(path, sizeof(path), "/proc/%d/oom_score_adj", pid);
	snprintf(text, sizeof(text), "%d", score);
	if (file_write(path, text) < 0)
		warn(path);
}

static struct process *refuse(uint32_t request, const char *what)
{
	link_error(request, errno, "%s: %s", what, strerror(errno));
	return NULL;
}

struct process *process_spawn(struct container *c, const char *exec_id,
			      const struct process_spec *spec, const struct root_spec *root,
			      uint32_t request)
{
	struct pipes pipes;
	int status[2];
	char folder[200];
	struct process *p = calloc(1, sizeof(*p));
	if (!p || make_pipes(spec, &pipes) < 0) {
		free(p);
		return refuse(request, "making pipes");
	}
	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, status) < 0) {
		close_all(pipes.child);
		close_all(pipes.agent);
		free(p);
		return refuse(request, "making a socket");
	}
	snprintf(folder, sizeof(folder), CONTAINERS_FOLDER "/%s", c->id);
	struct child_plan plan = {.spec = spec,
				  .root = root,
				  .folder = folder,
				  .container = root ? -1 : c->first_process,
				  .status = status[1],
				  .stdio = {pipes.child[0], pipes.child[1], pipes.child[2]}};
	p->oom_kills_before = cgroup_oom_counts(c->cgroup).kills;
	pid_t pid = clone_into(c, root != NULL);
	if (pid == 0)
		child_run(&plan);
	int error = errno;
	close(status[1]);
	close_all(pipes.child);
	if (pid < 0) {
		close(status[0]);
		close_all(pipes.agent);
		free(p);
		errno = error;
		return refuse(request, "cloning a process");
	}
	set_oom_score(pid, spec->oom_score_adj);
	p->container = c;
	snprintf(p->exec_id, sizeof(p->exec_id), "%s", exec_id);
	p->state = root ? PROCESS_PREPARING : PROCESS_STARTING;
	p->pid = pid;
	p->request = request;
	p->terminal = -1;
	p->stdin_stream = spec->stdin_stream;
	p->stdout_stream = spec->stdout_stream;
	if (pipes.agent[0] >= 0)
		p->in = sink_open(spec->stdin_stream, pipes.agent[0], false, stdin_ended, p);
	if (pipes.agent[1] >= 0)
		p->out = source_open(spec->stdout_stream, pipes.agent[1], stdout_ended, p);
	if (pipes.agent[2] >= 0)
		p->err = source_open(spec->stderr_stream, pipes.agent[2], stderr_ended, p);
	watch_init(&p->status, status[0], status_ready);
	watch_want(&p->status, EPOLLIN);
	p->next = processes;
	processes = p;
	c->process_count++;
	return p;
}
