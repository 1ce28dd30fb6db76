/*
 * Runs in the new process: enters or builds the container, gets its terminal, then becomes the
 * program. Memory is a copy of the agent's, so the parsed request is still there to read.
 */
#define _GNU_SOURCE
#include "child.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "program.h"

/* Where the kept descriptors go, so that everything above can be closed in one call. */
enum { STATUS_FD = 3, CONTAINER_FD = 4, FIRST_FREE_FD = 5, OUT_OF_THE_WAY = 64 };

static void tell(enum child_word word, int error, const char *text, int fd)
{
	struct child_message m = {.word = word, .error = error};
	snprintf(m.text, sizeof(m.text), "%s", text);
	struct iovec part = {&m, sizeof(m)};
	union {
		struct cmsghdr align;
		char bytes[CMSG_SPACE(sizeof(int))];
	} control = {0};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1};
	if (fd >= 0) {
		message.msg_control = control.bytes;
		message.msg_controllen = sizeof(control.bytes);
		struct cmsghdr *c = CMSG_FIRSTHDR(&message);
		c->cmsg_level = SOL_SOCKET;
		c->cmsg_type = SCM_RIGHTS;
		c->cmsg_len = CMSG_LEN(sizeof(int));
		memcpy(CMSG_DATA(c), &fd, sizeof(fd));
	}
	if (sendmsg(STATUS_FD, &message, 0) < 0)
		_exit(1);
}

static _Noreturn void give_up(int error, const char *text)
{
	tell(CHILD_FAILED, error, text, -1);
	_exit(1);
}

static _Noreturn void give_up_errno(const char *what)
{
	char text[STEP_TEXT];
	int error = errno;
	snprintf(text, sizeof(text), "%s: %s", what, strerror(error));
	give_up(error, text);
}

/*
 * Leaves only what the program needs. Descriptors of other containers' pipes must not live on in a
 * process that waits for its start: their readers would never see an end.
 */
static void keep_descriptors(const struct child_plan *plan)
{
	int status = fcntl(plan->status, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
	int container = plan->container < 0 ? -1 : fcntl(plan->container, F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
	int stdio[3];
	for (int i = 0; i < 3; i++)
		stdio[i] = plan->stdio[i] < 0 ? -1 : fcntl(plan->stdio[i], F_DUPFD_CLOEXEC, OUT_OF_THE_WAY);
	for (int i = 0; i < 3; i++)
		if (stdio[i] >= 0)
			dup2(stdio[i], i);
	dup3(status, STATUS_FD, O_CLOEXEC);
	if (container >= 0)
		dup3(container, CONTAINER_FD, O_CLOEXEC);
	syscall(SYS_close_range, container < 0 ? CONTAINER_FD : FIRST_FREE_FD, ~0U, 0);
}

static void reset_signals(void)
{
	sigset_t none;
	sigemptyset(&none);
	signal(SIGPIPE, SIG_DFL);
	sigprocmask(SIG_SETMASK, &none, NULL);
}

/* /dev/console of a container with a terminal is that terminal. */
static void bind_console(int master)
{
	unsigned number;
	char path[40];
	if (ioctl(master, TIOCGPTN, &number) < 0)
		give_up_errno("asking for the terminal's number");
	snprintf(path, sizeof(path), "/dev/pts/%u", number);
	int fd = open("/dev/console", O_CREAT | O_WRONLY | O_NOCTTY | O_CLOEXEC | O_NOFOLLOW, 0600);
	if (fd >= 0)
		close(fd);
	if (mount(path, "/dev/console", NULL, MS_BIND, NULL) < 0)
		give_up_errno("mounting /dev/console");
}

static void make_terminal(const struct child_plan *plan)
{
	int unlocked = 0;
	struct winsize size = {.ws_row = plan->spec->rows, .ws_col = plan->spec->columns};
	int master = open("/dev/pts/ptmx", O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (master < 0)
		give_up_errno("opening a terminal in the container (/dev/pts/ptmx)");
	if (ioctl(master, TIOCSPTLCK, &unlocked) < 0)
		give_up_errno("unlocking the terminal");
	if (size.ws_row && size.ws_col)
		ioctl(master, TIOCSWINSZ, &size);
	int terminal = ioctl(master, TIOCGPTPEER, O_RDWR | O_NOCTTY | O_CLOEXEC);
	if (terminal < 0)
		give_up_errno("opening the terminal");
	if (plan->root)
		bind_console(master);
	tell(CHILD_TERMINAL, 0, "", master);
	close(master);
	if (ioctl(terminal, TIOCSCTTY, 0) < 0)
		give_up_errno("taking the terminal");
	for (int i = 0; i < 3; i++)
		dup2(terminal, i);
	close(terminal);
}

static void enter_container(void)
{
	if (setns(CONTAINER_FD, CLONE_NEWNS | CLONE_NEWCGROUP) < 0)
		give_up_errno("entering the container");
	close(CONTAINER_FD);
}

static void build_container(const struct child_plan *plan)
{
	char text[STEP_TEXT] = "";
	/* Only now: the namespace's root is the cgroup its maker is in. */
	if (unshare(CLONE_NEWCGROUP) < 0)
		give_up_errno("making a cgroup namespace");
	int error = mounts_prepare(plan->root, plan->folder, text);
	if (!error)
		error = mounts_enter(plan->root, text);
	if (error)
		give_up(error, text);
}

static void wait_for_start(void)
{
	char go;
	tell(CHILD_READY, 0, "", -1);
	if (recv(STATUS_FD, &go, 1, 0) != 1)
		_exit(1); /* removed before it was started */
}

_Noreturn void child_run(const struct child_plan *plan)
{
	char text[STEP_TEXT] = "";
	keep_descriptors(plan);
	reset_signals();
	umask(022);
	if (plan->root)
		build_container(plan);
	else
		enter_container();
	setsid();
	if (plan->spec->tty)
		make_terminal(plan);
	if (plan->root)
		wait_for_start();
	int error = program_become(plan->spec, plan->root != NULL, text);
	give_up(error, text);
}
