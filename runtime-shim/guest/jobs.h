/* Work that may block (mounts, unmounts, removing trees) in a child process of its own. */
#ifndef KATASIM_JOBS_H
#define KATASIM_JOBS_H

#include <stddef.h>

enum { JOB_MESSAGE = 200 };

/* Runs in the child: 0, or an errno with words in `message` (JOB_MESSAGE bytes). */
typedef int job_work(void *argument, char *message);
/* Runs in the agent. */
typedef void job_done(void *owner, int error, const char *message);

/* The child sees `argument` as it is now. `done` is called exactly once, perhaps before return. */
void job_run(job_work *work, void *argument, job_done *done, void *owner);

#endif
