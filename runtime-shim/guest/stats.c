/* STATS from cgroup files, /proc/meminfo and /proc/net/dev. */
#define _GNU_SOURCE
#include "stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "cgroups.h"
#include "containers.h"
#include "files.h"
#include "link.h"

static uint64_t number(int cgroup, const char *file)
{
	char text[64];
	uint64_t value = 0;
	/* "max" reads as 0: no limit. */
	if (file_read_at(cgroup, file, text, sizeof(text)) > 0)
		sscanf(text, "%" SCNu64, &value);
	return value;
}

static uint64_t key(int cgroup, const char *file, const char *name)
{
	char text[8192];
	uint64_t value = 0;
	if (file_read_at(cgroup, file, text, sizeof(text)) > 0)
		file_key_u64(text, name, &value);
	return value;
}

static void put_container(struct bytes *out, const struct container *c)
{
	uint64_t current = number(c->cgroup, "memory.current");
	uint64_t inactive = key(c->cgroup, "memory.stat", "inactive_file");
	field_put_text(out, 1, c->id);
	field_put_u64(out, 2, key(c->cgroup, "cpu.stat", "usage_usec") * 1000);
	field_put_u64(out, 3, current);
	/* kubelet's (cAdvisor's) definition of the working set. */
	field_put_u64(out, 4, current > inactive ? current - inactive : 0);
	field_put_u64(out, 5, number(c->cgroup, "pids.current"));
	field_put_u64(out, 6, cgroup_oom_kills(c->cgroup));
	field_put_u64(out, 7, number(c->cgroup, "memory.max"));
}

static void put_network(struct bytes *out)
{
	char line[512];
	uint64_t received = 0, sent = 0;
	FILE *file = fopen("/proc/net/dev", "re");
	while (file && fgets(line, sizeof(line), file)) {
		char name[32];
		uint64_t rx, tx;
		if (sscanf(line, " %31[^:]: %" SCNu64 " %*s %*s %*s %*s %*s %*s %*s %" SCNu64, name, &rx,
			   &tx) == 3 &&
		    strcmp(name, "lo") != 0)
			received += rx, sent += tx;
	}
	if (file)
		fclose(file);
	field_put_u64(out, 23, received);
	field_put_u64(out, 24, sent);
}

static void put_sandbox(struct bytes *out)
{
	char text[4096];
	uint64_t total = 0, available = 0, cpu = 0;
	if (file_read("/proc/meminfo", text, sizeof(text)) > 0) {
		file_key_u64(text, "MemTotal", &total);
		file_key_u64(text, "MemAvailable", &available);
	}
	if (file_read("/sys/fs/cgroup/cpu.stat", text, sizeof(text)) > 0)
		file_key_u64(text, "usage_usec", &cpu);
	field_put_u64(out, 20, cpu * 1000);
	field_put_u64(out, 21, (total - available) * 1024);
	field_put_u64(out, 22, total * 1024);
	put_network(out);
}

void verb_stats(struct request *r)
{
	const char *id = NULL;
	struct field f;
	while (request_field(r, &f)) {
		if (f.tag == 1)
			id = request_text(r, &f);
		else
			request_unknown(r, &f);
	}
	if (id && !container_of_request(r, id))
		return;
	if (!id && request_failed(r))
		return;
	struct bytes out = {0};
	for (const struct container *c = containers_first(); c; c = c->next)
		if (!id || strcmp(c->id, id) == 0)
			put_container(&out, c);
	put_sandbox(&out);
	link_reply(r->id, &out);
}
