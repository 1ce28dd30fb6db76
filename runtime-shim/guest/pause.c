/*
 * The sandbox process of a trusted (runc) pod: holds the pod's namespaces, reaps orphans when it is
 * process 1 of a shared PID namespace, and ends at once on SIGTERM. As registry.k8s.io/pause.
 */
#include <signal.h>
#include <stddef.h>
#include <sys/wait.h>
#include <unistd.h>

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

int main(void)
{
	struct sigaction on_child = {.sa_handler = reap, .sa_flags = SA_NOCLDSTOP | SA_RESTART};
	struct sigaction on_end = {.sa_handler = end};
	if (sigaction(SIGCHLD, &on_child, NULL) < 0 || sigaction(SIGTERM, &on_end, NULL) < 0 ||
	    sigaction(SIGINT, &on_end, NULL) < 0)
		return 1;
	for (;;)
		pause();
}
