/* Clones processes: one system call puts the child into its cgroup and PID namespace at birth. */
#define _GNU_SOURCE
#include "clone.h"

#include <errno.h>
#include <fcntl.h>
#include <signal.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <linux/sched.h>

#include "files.h"

extern int setns(int fd, int type);

static char *program_name = (char[]){""};

void clone_set_name(char *name)
{
	program_name = name;
}

/* A pidfd of the process that holds the pod's shared PID namespace, or -1. */
static int pid_holder = -1;

static pid_t raw_clone(uint64_t flags, int cgroup, int *pidfd)
{
	struct clone_args args = {.flags = flags, .exit_signal = SIGCHLD};
	if (cgroup >= 0) {
		args.flags |= CLONE_INTO_CGROUP;
		args.cgroup = (uint64_t)cgroup;
	}
	if (pidfd) {
		args.flags |= CLONE_PIDFD;
		args.pidfd = (uint64_t)(uintptr_t)pidfd;
	}
	return (pid_t)syscall(SYS_clone3, &args, sizeof(args));
}

/* Process 1 of the shared namespace: adopts and reaps orphans, does nothing else, as pause. */
static _Noreturn void hold(void)
{
	sigset_t set;
	int signal_number;
	syscall(SYS_close_range, 0, ~0U, 0);
	prctl(PR_SET_NAME, "pause");
	/* What ps shows; "/init" and "pause" are of one length. */
	memcpy(program_name, "pause", strlen(program_name) < 5 ? strlen(program_name) : 5);
	sigemptyset(&set);
	sigaddset(&set, SIGCHLD);
	sigprocmask(SIG_BLOCK, &set, NULL);
	for (;;) {
		while (waitpid(-1, NULL, WNOHANG) > 0)
			;
		sigwait(&set, &signal_number);
	}
}

static int shared_pid_namespace(void)
{
	if (pid_holder >= 0)
		return pid_holder;
	pid_t pid = raw_clone(CLONE_NEWPID, -1, &pid_holder);
	if (pid == 0)
		hold();
	return pid < 0 ? -1 : pid_holder;
}

/*
 * A container may have moved its first process into a cgroup of its own below, after which the
 * kernel takes no process in the upper one: follow it there, as runc does.
 */
static int cgroup_of_first(const struct container *c)
{
	char path[64], text[512], folder[600];
	int info_pid = -1;
	snprintf(path, sizeof(path), "/proc/self/fdinfo/%d", c->first_process);
	uint64_t pid;
	if (file_read(path, text, sizeof(text)) > 0 && file_key_u64(text, "Pid", &pid))
		info_pid = (int)pid;
	snprintf(path, sizeof(path), "/proc/%d/cgroup", info_pid);
	if (file_read_line(path, text, sizeof(text)) < 0 || strncmp(text, "0::/", 4) != 0) {
		errno = EBUSY;
		return -1;
	}
	snprintf(folder, sizeof(folder), "/sys/fs/cgroup%s", text + 3);
	return open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
}

static pid_t clone_in_namespace(struct container *c, bool first, int cgroup)
{
	uint64_t flags = 0;
	int namespace = -1;
	if (first) {
		flags = CLONE_NEWNS | (c->share_pid ? 0 : CLONE_NEWPID);
		namespace = c->share_pid ? shared_pid_namespace() : -1;
	} else {
		namespace = c->first_process;
	}
	if (flags & CLONE_NEWPID)
		return raw_clone(flags, cgroup, &c->first_process);
	/* Only the agent's next children are meant; itself it stays where it is. */
	int own = open("/proc/self/ns/pid", O_RDONLY | O_CLOEXEC);
	if (own < 0 || namespace < 0 || setns(namespace, CLONE_NEWPID) < 0) {
		int error = errno;
		close(own);
		errno = error;
		return -1;
	}
	pid_t pid = raw_clone(flags, cgroup, first ? &c->first_process : NULL);
	int error = errno;
	if (pid != 0) {
		setns(own, CLONE_NEWPID);
		close(own);
	}
	errno = error;
	return pid;
}

pid_t clone_into(struct container *c, bool first)
{
	pid_t pid = clone_in_namespace(c, first, c->cgroup);
	if (pid >= 0 || first || errno != EBUSY)
		return pid;
	int cgroup = cgroup_of_first(c);
	if (cgroup < 0)
		return -1;
	pid = clone_in_namespace(c, first, cgroup);
	int error = errno;
	close(cgroup);
	errno = error;
	return pid;
}
