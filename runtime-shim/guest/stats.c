/* STATS from cgroup files, /proc/meminfo and /proc/net/dev. */
#define _GNU_SOURCE
#include "stats.h"

#include <inttypes.h>
#include <stdio.h>
#include <stdlib.h>
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

/* Keys of one cgroup file into fields. `scale` turns the file's unit into the field's. */
struct keys {
	const char *file;
	uint64_t scale;
	struct {
		uint8_t tag;
		const char *name;
	} keys[16];
};

static const struct keys key_files[] = {
	{"cpu.stat",
	 1000,
	 {{2, "usage_usec"}, {8, "user_usec"}, {9, "system_usec"}, {12, "throttled_usec"}}},
	{"cpu.stat", 1, {{10, "nr_periods"}, {11, "nr_throttled"}}},
	{"memory.stat",
	 1,
	 {{14, "anon"},
	  {15, "file"},
	  {16, "inactive_file"},
	  {17, "active_file"},
	  {18, "pgfault"},
	  {19, "pgmajfault"},
	  {25, "inactive_anon"},
	  {26, "active_anon"},
	  {27, "unevictable"},
	  {28, "shmem"},
	  {29, "file_mapped"},
	  {30, "file_dirty"},
	  {31, "slab"},
	  {32, "kernel_stack"}}},
	{"memory.events", 1, {{33, "low"}, {34, "high"}, {35, "max"}, {36, "oom"}, {6, "oom_kill"}}},
};

/* memory.stat alone has some 1.5 KiB. */
static uint64_t put_keys(struct bytes *out, int cgroup, const struct keys *k)
{
	char text[8192];
	uint64_t inactive_file = 0;
	if (file_read_at(cgroup, k->file, text, sizeof(text)) <= 0)
		return 0;
	for (size_t i = 0; i < sizeof(k->keys) / sizeof(*k->keys) && k->keys[i].name; i++) {
		uint64_t value;
		if (!file_key_u64(text, k->keys[i].name, &value))
			continue;
		field_put_u64(out, k->keys[i].tag, value * k->scale);
		if (k->keys[i].tag == 16)
			inactive_file = value;
	}
	return inactive_file;
}

/* "8:0 rbytes=1 wbytes=2 rios=3 wios=4 dbytes=5 dios=6", a line for each disk: their sums. */
static void put_io(struct bytes *out, int cgroup)
{
	static const char *const names[] = {" rbytes=", " wbytes=", " rios=", " wios="};
	char text[8192];
	if (file_read_at(cgroup, "io.stat", text, sizeof(text)) < 0)
		return;
	for (uint8_t i = 0; i < 4; i++) {
		uint64_t sum = 0;
		for (const char *at = text; (at = strstr(at, names[i]));) {
			at += strlen(names[i]);
			sum += strtoull(at, NULL, 10);
		}
		field_put_u64(out, 37 + i, sum);
	}
}

static void put_container(struct bytes *out, const struct container *c)
{
	uint64_t current = number(c->cgroup, "memory.current"), inactive = 0;
	field_put_text(out, 1, c->id);
	for (size_t i = 0; i < sizeof(key_files) / sizeof(*key_files); i++)
		inactive += put_keys(out, c->cgroup, &key_files[i]);
	field_put_u64(out, 3, current);
	/* kubelet's (cAdvisor's) definition of the working set. */
	field_put_u64(out, 4, current > inactive ? current - inactive : 0);
	field_put_u64(out, 5, number(c->cgroup, "pids.current"));
	field_put_u64(out, 7, number(c->cgroup, "memory.max"));
	field_put_u64(out, 13, number(c->cgroup, "pids.max"));
	put_io(out, c->cgroup);
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
