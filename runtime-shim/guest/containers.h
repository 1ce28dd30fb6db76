/* Containers: their cgroup, their processes, and what happens to them. */
#ifndef KATASIM_CONTAINERS_H
#define KATASIM_CONTAINERS_H

#include "cgroups.h"
#include "loop.h"
#include "protocol.h"
#include "requests.h"

enum { CONTAINER_ID_MAX = 127 };

struct process;

/* A CREATE_CONTAINER to be answered with its error once what it left is cleared away. */
struct failed_create {
	uint32_t request;
	int error;
	char text[256];
};

struct container {
	struct container *next;
	char id[CONTAINER_ID_MAX + 1];
	int cgroup;
	/* cgroup.events (emptied, frozen) and memory.events (out of memory). */
	struct watch events;
	struct watch memory;
	struct oom_counts oom;
	/* The last of its out-of-memory kills. */
	enum oom oom_kind;
	/* A pidfd of the first process, or -1. */
	int first_process;
	struct process *first;
	int process_count;
	bool share_pid;
	bool paused;
	uint32_t pause_request;
	uint32_t remove_request;
	bool removing;
	struct timer remove_deadline;
	struct failed_create failed;
};

struct container *container_find(const char *id);
struct container *containers_first(void);
/* The container, or NULL when parsing failed or there is none; then the request was answered. */
struct container *container_of_request(struct request *r, const char *id);

/* Called by processes: one is gone for good. */
void container_process_gone(struct container *c);
/* Called by processes: the first process was reaped. */
void container_first_exited(struct container *c);
/* Called by processes: the container could not be made. It goes with its process, then is answered. */
void container_discard(struct container *c, uint32_t request, int error, const char *text);
/* Sends OOM events for kills not yet told; the number of kills so far. */
uint64_t container_check_memory(struct container *c);

void verb_create_container(struct request *r);
void verb_remove_container(struct request *r);

#endif
