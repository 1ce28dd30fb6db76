/*
 * The sandbox process of a trusted pod: holds the pod's namespaces, reaps orphans when it is
 * process 1 of a shared PID namespace, and ends at once on SIGTERM. As registry.k8s.io/pause.
 *
 * With arguments, one of two errands inside the pod, for an engine whose API has no such verb:
 *   pause connect PORT   joins standard input and output to 127.0.0.1:PORT (or [::1]:PORT); says
 *                        "connected" or why not on standard error before it passes any byte on
 *   pause kill PID       sends SIGKILL
 */
#include <arpa/inet.h>
#include <errno.h>
#include <netinet/in.h>
#include <poll.h>
#include <signal.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

/* A half-closed connection may still bring an answer, but not for ever (as socat -t). */
enum { half_close_ms = 30 * 1000, buffer_bytes = 64 * 1024 };

static void reap(int signal)
{
	(void)signal;
	while (waitpid(-1, NULL, WNOHANG) > 0)
		;
}

static void end(int signal)
{
	(void)signal;
	_exit(0);
}

static int hold(void)
{
	struct sigaction on_child = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP | SA_RESTART};
	struct sigaction on_end = {.sa_handler = end};
	if (sigaction(SIGCHLD, &on_child, NULL) < 0 || sigaction(SIGTERM, &on_end, NULL) < 0 ||
	    sigaction(SIGINT, &on_end, NULL) < 0)
		return 1;
	for (;;)
		pause();
}

/* Answers the socket, or -1 with errno. */
static int dial(int family, uint16_t port)
{
	struct sockaddr_in v4 = {.sin_family = AF_INET,
				 .sin_port = htons(port),
				 .sin_addr.s_addr = htonl(INADDR_LOOPBACK)};
	struct sockaddr_in6 v6 = {.sin6_family = AF_INET6,
				  .sin6_port = htons(port),
				  .sin6_addr = IN6ADDR_LOOPBACK_INIT};
	int is_v4 = family == AF_INET;
	int fd = socket(family, SOCK_STREAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return -1;
	if (connect(fd, is_v4 ? (void *)&v4 : (void *)&v6, is_v4 ? sizeof v4 : sizeof v6) == 0)
		return fd;
	int why = errno;
	close(fd);
	errno = why;
	return -1;
}

/* Answers bytes passed on, 0 at the end of `from`, -1 when either side is broken. */
static ssize_t copy(int from, int to)
{
	static char buffer[buffer_bytes];
	ssize_t got;
	while ((got = read(from, buffer, sizeof buffer)) < 0 && errno == EINTR)
		;
	for (ssize_t done = 0; done < got;) {
		ssize_t put = write(to, buffer + done, (size_t)(got - done));
		if (put < 0 && errno != EINTR)
			return -1;
		if (put > 0)
			done += put;
	}
	return got;
}

static int relay(int server)
{
	/* poll skips a negative descriptor: the input, once it has ended. */
	struct pollfd ends[] = {{.fd = STDIN_FILENO, .events = POLLIN},
				{.fd = server, .events = POLLIN}};
	for (;;) {
		int ready = poll(ends, 2, ends[0].fd < 0 ? half_close_ms : -1);
		if (ready == 0)
			return 0;
		if (ready < 0) {
			if (errno == EINTR)
				continue;
			return 1;
		}
		if (ends[0].fd >= 0 && ends[0].revents != 0) {
			ssize_t passed = copy(STDIN_FILENO, server);
			if (passed < 0)
				return 1;
			if (passed == 0) {
				shutdown(server, SHUT_WR);
				ends[0].fd = -1;
			}
		}
		if (ends[1].revents != 0) {
			ssize_t passed = copy(server, STDOUT_FILENO);
			if (passed <= 0)
				return passed < 0;
		}
	}
}

static int connect_to(const char *text)
{
	char *rest;
	long port = strtol(text, &rest, 10);
	if (*text == '\0' || *rest != '\0' || port < 1 || port > 65535) {
		fprintf(stderr, "no port: %s\n", text);
		return 2;
	}
	signal(SIGPIPE, SIG_IGN);
	int server = dial(AF_INET, (uint16_t)port);
	if (server < 0) {
		int first = errno;
		server = dial(AF_INET6, (uint16_t)port);
		if (server < 0) {
			/* Go's words, which the runtimes of a real node give: lower case. */
			const char *why = first == ECONNREFUSED ? "connection refused" : strerror(first);
			fprintf(stderr, "dial tcp4 127.0.0.1:%ld: connect: %s\n", port, why);
			return 1;
		}
	}
	fputs("connected\n", stderr);
	return relay(server);
}

static int kill_process(const char *text)
{
	char *rest;
	long pid = strtol(text, &rest, 10);
	/* Neither everybody nor a process group. */
	if (*text == '\0' || *rest != '\0' || pid < 1 || pid > 4194304) {
		fprintf(stderr, "no process: %s\n", text);
		return 2;
	}
	return kill((pid_t)pid, SIGKILL) < 0 && errno != ESRCH;
}

int main(int argc, char **argv)
{
	if (argc == 1)
		return hold();
	if (argc == 3 && strcmp(argv[1], "connect") == 0)
		return connect_to(argv[2]);
	if (argc == 3 && strcmp(argv[1], "kill") == 0)
		return kill_process(argv[2]);
	fputs("usage: pause [connect PORT | kill PID]\n", stderr);
	return 2;
}
