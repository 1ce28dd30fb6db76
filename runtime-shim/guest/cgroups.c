/* Reads and writes the cgroup files of containers. */
#define _GNU_SOURCE
#include "cgroups.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"

int cgroup_create(const char *id)
{
	char path[300];
	snprintf(path, sizeof(path), CGROUPS_FOLDER "/%s", id);
	if (mkdir(path, 0755) < 0)
		return -1;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	/* A container out of memory ends as a whole, as Kubernetes wants it on cgroup version 2. */
	if (fd >= 0 && file_write_at(fd, "memory.oom.group", "1") < 0) {
		int error = errno;
		close(fd);
		rmdir(path);
		errno = error;
		return -1;
	}
	return fd;
}

int cgroup_limit(int cgroup, const struct limits *limits, const char **what)
{
	char text[64];
	if (limits->memory_bytes) {
		*what = "memory.max";
		snprintf(text, sizeof(text), "%" PRIu64, limits->memory_bytes);
		if (file_write_at(cgroup, *what, text) < 0)
			return -1;
	}
	if (limits->cpu_quota_us) {
		*what = "cpu.max";
		/* A negative quota is the OCI spec's word for no limit. */
		uint64_t period = limits->cpu_period_us ? limits->cpu_period_us : 100000;
		if ((int64_t)limits->cpu_quota_us < 0)
			snprintf(text, sizeof(text), "max %" PRIu64, period);
		else
			snprintf(text, sizeof(text), "%" PRIu64 " %" PRIu64, limits->cpu_quota_us, period);
		if (file_write_at(cgroup, *what, text) < 0)
			return -1;
	}
	if (limits->cpu_shares) {
		*what = "cpu.weight";
		/* runc's ConvertCPUSharesToCgroupV2Value: 2..262144 onto 1..10000. */
		uint64_t shares = limits->cpu_shares < 2 ? 2 : limits->cpu_shares;
		shares = shares > 262144 ? 262144 : shares;
		snprintf(text, sizeof(text), "%" PRIu64, 1 + (shares - 2) * 9999 / 262142);
		if (file_write_at(cgroup, *what, text) < 0)
			return -1;
	}
	if (limits->pids) {
		*what = "pids.max";
		/* Not above zero is the OCI spec's word for no limit. */
		if ((int64_t)limits->pids < 0)
			snprintf(text, sizeof(text), "max");
		else
			snprintf(text, sizeof(text), "%" PRIu64, limits->pids);
		if (file_write_at(cgroup, *what, text) < 0)
			return -1;
	}
	return 0;
}

int cgroup_kill(int cgroup)
{
	return file_write_at(cgroup, "cgroup.kill", "1");
}

int cgroup_freeze(int cgroup, bool frozen)
{
	return file_write_at(cgroup, "cgroup.freeze", frozen ? "1" : "0");
}

static uint64_t read_key(int cgroup, const char *file, const char *key)
{
	char text[1024];
	uint64_t value = 0;
	if (file_read_at(cgroup, file, text, sizeof(text)) > 0)
		file_key_u64(text, key, &value);
	return value;
}

bool cgroup_populated(int cgroup)
{
	return read_key(cgroup, "cgroup.events", "populated") != 0;
}

bool cgroup_frozen(int cgroup)
{
	return read_key(cgroup, "cgroup.events", "frozen") != 0;
}

struct oom_counts cgroup_oom_counts(int cgroup)
{
	char text[1024];
	struct oom_counts counts = {0};
	/* One reading, or a kill could fall between the two. */
	if (file_read_at(cgroup, "memory.events", text, sizeof(text)) > 0) {
		file_key_u64(text, "oom_kill", &counts.kills);
		file_key_u64(text, "oom", &counts.own);
	}
	return counts;
}

/* Calls `each` for every cgroup right below. */
static void each_child(int cgroup, void (*each)(int parent, const char *name, void *context),
		       void *context)
{
	int fd = openat(cgroup, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	struct dirent *entry;
	while (dir && (entry = readdir(dir)))
		if (entry->d_type == DT_DIR && entry->d_name[0] != '.')
			each(fd, entry->d_name, context);
	if (dir)
		closedir(dir);
}

static void remove_below(int parent, const char *name, void *context)
{
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		each_child(fd, remove_below, context);
		close(fd);
	}
	unlinkat(parent, name, AT_REMOVEDIR);
}

int cgroup_remove(const char *id)
{
	char path[300];
	snprintf(path, sizeof(path), CGROUPS_FOLDER "/%s", id);
	if (rmdir(path) == 0 || errno == ENOENT)
		return 0;
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd >= 0) {
		each_child(fd, remove_below, NULL);
		close(fd);
	}
	return rmdir(path);
}

struct visit {
	void (*each)(pid_t pid, void *context);
	void *context;
};

static void visit_child(int parent, const char *name, void *context)
{
	struct visit *visit = context;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (fd < 0)
		return;
	cgroup_processes(fd, visit->each, visit->context);
	close(fd);
}

void cgroup_processes(int cgroup, void (*each)(pid_t pid, void *context), void *context)
{
	int fd = openat(cgroup, "cgroup.procs", O_RDONLY | O_CLOEXEC);
	FILE *file = fd < 0 ? NULL : fdopen(fd, "r");
	long pid;
	while (file && fscanf(file, "%ld", &pid) == 1)
		each((pid_t)pid, context);
	if (file)
		fclose(file);
	struct visit visit = {each, context};
	each_child(cgroup, visit_child, &visit);
}
