/* One cgroup (version 2) per container, below /sys/fs/cgroup/katasim. */
#ifndef KATASIM_CGROUPS_H
#define KATASIM_CGROUPS_H

#include <stdbool.h>
#include <stdint.h>
#include <sys/types.h>

#define CGROUPS_FOLDER "/sys/fs/cgroup/katasim"

/* Limits as the OCI runtime spec counts them; 0 = not given. */
struct limits {
	uint64_t cpu_quota_us;
	uint64_t cpu_period_us;
	uint64_t cpu_shares;
	uint64_t memory_bytes;
	uint64_t pids;
};

/* Makes the container's cgroup; a descriptor of its folder, or -1 with errno. */
int cgroup_create(const char *id);
/* Sets the limits that are given; on failure -1 with errno and the file's name in `what`. */
int cgroup_limit(int cgroup, const struct limits *limits, const char **what);
int cgroup_kill(int cgroup);
int cgroup_freeze(int cgroup, bool frozen);
/* Whether any process is in it, and whether all are frozen. */
bool cgroup_populated(int cgroup);
bool cgroup_frozen(int cgroup);
/*
 * Counts so far: processes of it that an out-of-memory killer ended, and times that it was out of
 * memory because of a limit of its own. The whole machine's killer raises the first alone.
 */
struct oom_counts {
	uint64_t kills;
	uint64_t own;
};
struct oom_counts cgroup_oom_counts(int cgroup);
/* Removes it and cgroups that the container made below; 0, or -1 with errno. */
int cgroup_remove(const char *id);
/* Calls `each` with every process below, containers' own cgroups included. */
void cgroup_processes(int cgroup, void (*each)(pid_t pid, void *context), void *context);

#endif
