/* What a cloned process does on its way to execve(2), and what it tells the agent meanwhile. */
#ifndef KATASIM_CHILD_H
#define KATASIM_CHILD_H

#include "specs.h"

enum child_word {
	CHILD_READY = 1, /* a container's root stands; it waits for one byte before it goes on */
	CHILD_TERMINAL,  /* the terminal's master comes with this message */
	CHILD_FAILED,    /* it ends; `error` and `text` say why */
};

/* Sent over a SOCK_SEQPACKET socket that execve closes: its end without FAILED means success. */
struct child_message {
	int32_t word;
	int32_t error;
	char text[STEP_TEXT];
};

struct child_plan {
	const struct process_spec *spec;
	/* For a container's first process; NULL for an exec. */
	const struct root_spec *root;
	const char *folder;
	/* For an exec: a pidfd of the container's first process. */
	int container;
	int status;
	/* Ends for the program; -1 with a terminal. */
	int stdio[3];
};

_Noreturn void child_run(const struct child_plan *plan);

#endif
