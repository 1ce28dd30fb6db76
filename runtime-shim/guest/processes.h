/* Programs in containers: from clone to the EXITED event. */
#ifndef KATASIM_PROCESSES_H
#define KATASIM_PROCESSES_H

#include "containers.h"
#include "loop.h"
#include "specs.h"
#include "streams.h"

enum process_state {
	PROCESS_PREPARING, /* cloned; building or entering the container */
	PROCESS_CREATED,   /* a container's first process, waiting for START */
	PROCESS_STARTING,  /* on its way to execve */
	PROCESS_RUNNING,
	PROCESS_FAILED, /* never became its program: there will be no EXITED */
};

struct process {
	struct process *next;
	struct container *container;
	char exec_id[ID_MAX + 1]; /* empty for a container's first process */
	enum process_state state;
	pid_t pid;
	/* The child's end of it closes with execve or with its death. */
	struct watch status;
	/* The request to answer when the next step is done; 0 = none. */
	uint32_t request;
	/* Terminal master for RESIZE, or -1. */
	int terminal;
	uint32_t stdin_stream;
	uint32_t stdout_stream;
	struct source *out;
	struct source *err;
	struct sink *in;
	bool reaped;
	int wait_status;
	uint64_t oom_kills_before;
	bool busy;
};

/*
 * Clones a process: with `root`, a container's first one. `request` is answered when the container
 * stands or the program runs; on failure here it is answered at once and NULL returned.
 */
struct process *process_spawn(struct container *c, const char *exec_id,
			      const struct process_spec *spec, const struct root_spec *root,
			      uint32_t request);
/* Lets a created process go on to its program; answers `request`. */
void process_start(struct process *p, uint32_t request);
struct process *process_find(const struct container *c, const char *exec_id);

/* Starts reaping children by SIGCHLD. */
void processes_open(void);

#endif
