/* clone3(2) into a container's cgroup and PID namespace. */
#ifndef KATASIM_CLONE_H
#define KATASIM_CLONE_H

#include <sys/types.h>

#include "containers.h"

#define CONTAINERS_FOLDER "/run/katasim/containers"

/*
 * As fork(2). `first`: into new mount and (unless shared) PID namespaces, keeping a pidfd in the
 * container; otherwise into the first process's PID namespace.
 */
pid_t clone_into(struct container *c, bool first);

/* The agent's argv[0], for the process that holds a shared PID namespace to call itself "pause". */
void clone_set_name(char *name);

#endif
