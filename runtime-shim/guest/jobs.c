/* Runs blocking work in a forked child and reports its result through a pipe. */
#define _GNU_SOURCE
#include "jobs.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/epoll.h>
#include <unistd.h>

#include "loop.h"

struct result {
	int error;
	char message[JOB_MESSAGE];
};

struct job {
	struct watch pipe;
	job_done *done;
	void *owner;
};

static void job_ready(struct watch *w, uint32_t events)
{
	(void)events;
	struct job *job = OWNER_OF(w, struct job, pipe);
	struct result result;
	if (read(w->fd, &result, sizeof(result)) != (ssize_t)sizeof(result))
		result = (struct result){.error = EIO, .message = "the agent's worker died"};
	job_done *done = job->done;
	void *owner = job->owner;
	watch_close(w);
	free(job);
	done(owner, result.error, result.message);
}

void job_run(job_work *work, void *argument, job_done *done, void *owner)
{
	int ends[2];
	struct job *job = calloc(1, sizeof(*job));
	if (!job || pipe2(ends, O_CLOEXEC) < 0) {
		free(job);
		done(owner, errno, "starting a worker");
		return;
	}
	pid_t pid = fork();
	if (pid == 0) {
		struct result result = {0};
		result.error = work(argument, result.message);
		_exit(write(ends[1], &result, sizeof(result)) == (ssize_t)sizeof(result) ? 0 : 1);
	}
	int error = errno;
	close(ends[1]);
	if (pid < 0) {
		close(ends[0]);
		free(job);
		done(owner, error, "starting a worker");
		return;
	}
	job->done = done;
	job->owner = owner;
	watch_init(&job->pipe, ends[0], job_ready);
	watch_want(&job->pipe, EPOLLIN);
}
