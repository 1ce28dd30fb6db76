/* Parses the fields of CREATE_CONTAINER and EXEC. */
#include "specs.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "disks.h"
#include "link.h"
#include "seccomp.h"
#include "streams.h"

static struct mount_entry mount_entries[MOUNTS_MAX];

static void problem(struct request *r, const char *text)
{
	if (!r->problem[0])
		snprintf(r->problem, sizeof(r->problem), "%s", text);
}

bool id_is_legal(const char *id)
{
	size_t length = strlen(id);
	return length > 0 && length <= ID_MAX && id[0] != '.' &&
	       strspn(id, "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-") == length;
}

static void put_number(struct request *r, const struct field *f, struct process_spec *spec)
{
	uint64_t value = request_u64(r, f);
	uint32_t *const streams[] = {&spec->stdin_stream, &spec->stdout_stream, &spec->stderr_stream};
	uint64_t *const capabilities[] = {&spec->bounding, &spec->effective, &spec->permitted,
					  &spec->inheritable, &spec->ambient};
	if (f->tag == 33)
		spec->uid = (uid_t)value;
	else if (f->tag == 34)
		spec->gid = (gid_t)value;
	else if (f->tag == 36)
		spec->tty = value != 0;
	else if (f->tag == 37)
		spec->columns = (uint16_t)value;
	else if (f->tag == 38)
		spec->rows = (uint16_t)value;
	else if (f->tag >= 39 && f->tag <= 41)
		*streams[f->tag - 39] = (uint32_t)value;
	else if (f->tag >= 42 && f->tag <= 46)
		*capabilities[f->tag - 42] = value;
	else if (f->tag == 47)
		spec->no_new_privs = value != 0;
	else if (f->tag == 49)
		spec->oom_score_adj = (int)(int64_t)value;
	else if (f->tag == 50)
		spec->has_umask = true, spec->umask = (mode_t)(value & 07777);
	else if (f->tag == 52)
		spec->seccomp_flags = value;
	else
		request_unknown(r, f);
}

static void process_field(struct request *r, const struct field *f, struct process_spec *spec)
{
	if (f->tag == 30) {
		request_list(r, &spec->args, f);
	} else if (f->tag == 31) {
		request_list(r, &spec->env, f);
	} else if (f->tag == 32) {
		spec->cwd = request_text(r, f);
	} else if (f->tag == 48) {
		request_list(r, &spec->rlimits, f);
	} else if (f->tag == 35) {
		if (spec->group_count == GROUPS_MAX)
			problem(r, "too many supplementary groups");
		else
			spec->groups[spec->group_count++] = (gid_t)request_u64(r, f);
	} else if (f->tag == 51) {
		if (!seccomp_is_legal(f->length))
			problem(r, "the system call filter is no filter");
		spec->seccomp = f->bytes;
		spec->seccomp_length = f->length;
	} else {
		put_number(r, f, spec);
	}
}

static bool streams_are_free(const struct process_spec *spec)
{
	const uint32_t ids[] = {spec->stdin_stream, spec->stdout_stream, spec->stderr_stream};
	for (int i = 0; i < 3; i++) {
		if (ids[i] && !stream_id_is_free(ids[i]))
			return false;
		for (int j = 0; j < i; j++)
			if (ids[i] && ids[i] == ids[j])
				return false;
	}
	return true;
}

static void check_process(struct request *r, const struct process_spec *spec)
{
	if (spec->args.count == 0)
		problem(r, "the process has no arguments");
	else if (!streams_are_free(spec))
		problem(r, "a stream id is in use");
	else if (spec->tty && (spec->stderr_stream || !spec->stdout_stream))
		problem(r, "a terminal has one output stream");
	else if (spec->cwd[0] != '/')
		problem(r, "the working directory is not absolute");
}

static void add_mount(struct request *r, const struct field *f, struct root_spec *root)
{
	const char *text = request_bytes(r, f);
	const char *end = text + f->length;
	const char *part[4];
	int parts = 0;
	for (const char *at = text; parts < 4 && at <= end; at += strlen(at) + 1)
		part[parts++] = at;
	if (parts != 4 || part[3] + strlen(part[3]) != end)
		problem(r, "a mount is not source, destination, type, options");
	else if (root->mount_count == MOUNTS_MAX)
		problem(r, "too many mounts");
	else
		root->mounts[root->mount_count++] =
			(struct mount_entry){part[0], part[1], part[2], part[3]};
}

static void container_field(struct request *r, const struct field *f, struct container_spec *spec)
{
	uint64_t *const limits[] = {&spec->limits.cpu_quota_us, &spec->limits.cpu_period_us,
				    &spec->limits.cpu_shares, &spec->limits.memory_bytes};
	switch (f->tag) {
	case 1:
		spec->id = request_text(r, f);
		break;
	case 2:
		request_list(r, &spec->root.lower_serials, f);
		break;
	case 3:
		spec->root.upper_serial = request_text(r, f);
		break;
	case 4:
		spec->root.read_only = request_u64(r, f) != 0;
		break;
	case 5:
		add_mount(r, f, &spec->root);
		break;
	case 6:
		spec->hostname = request_text(r, f);
		break;
	case 7:
		spec->share_pid = request_u64(r, f) != 0;
		break;
	case 8:
	case 9:
	case 10:
	case 11:
		*limits[f->tag - 8] = request_u64(r, f);
		break;
	case 12:
		request_list(r, &spec->root.sysctls, f);
		break;
	case 13:
		request_list(r, &spec->root.masked, f);
		break;
	case 14:
		request_list(r, &spec->root.read_only_paths, f);
		break;
	case 15:
		request_list(r, &spec->device_rules, f);
		break;
	case 16:
		spec->limits.pids = request_u64(r, f);
		break;
	default:
		process_field(r, f, &spec->process);
	}
}

bool container_spec_parse(struct request *r, struct container_spec *spec)
{
	struct field f;
	*spec = (struct container_spec){.id = "", .root.mounts = mount_entries, .process.cwd = "/"};
	while (request_field(r, &f))
		container_field(r, &f, spec);
	if (!id_is_legal(spec->id))
		problem(r, "CREATE_CONTAINER needs an id of letters, digits, _ . -");
	if (spec->root.lower_serials.count == 0)
		problem(r, "the container has no image disk");
	for (size_t i = 0; i < spec->root.lower_serials.count; i++)
		if (!serial_is_legal(spec->root.lower_serials.items[i]))
			problem(r, "illegal disk serial");
	if (spec->root.upper_serial && !serial_is_legal(spec->root.upper_serial))
		problem(r, "illegal disk serial");
	check_process(r, &spec->process);
	return !request_failed(r);
}

bool exec_spec_parse(struct request *r, const char **id, const char **exec_id,
		     struct process_spec *spec)
{
	struct field f;
	*spec = (struct process_spec){.cwd = "/"};
	*id = *exec_id = "";
	while (request_field(r, &f)) {
		if (f.tag == 1)
			*id = request_text(r, &f);
		else if (f.tag == 2)
			*exec_id = request_text(r, &f);
		else
			process_field(r, &f, spec);
	}
	if (!id_is_legal(*exec_id))
		problem(r, "EXEC needs an exec id of letters, digits, _ . -");
	check_process(r, spec);
	return !request_failed(r);
}
