/* What CREATE_CONTAINER and EXEC ask for, parsed. Good only until the request's handler returns. */
#ifndef KATASIM_SPECS_H
#define KATASIM_SPECS_H

#include <sys/types.h>

#include "cgroups.h"
#include "mounts.h"
#include "requests.h"

enum { ID_MAX = 127, GROUPS_MAX = 256, MOUNTS_MAX = 256 };

struct process_spec {
	struct texts args;
	struct texts env;
	const char *cwd;
	uid_t uid;
	gid_t gid;
	gid_t groups[GROUPS_MAX];
	size_t group_count;
	bool tty;
	uint16_t columns;
	uint16_t rows;
	/* 0 = none. */
	uint32_t stdin_stream;
	uint32_t stdout_stream;
	uint32_t stderr_stream;
	uint64_t bounding;
	uint64_t effective;
	uint64_t permitted;
	uint64_t inheritable;
	uint64_t ambient;
	bool no_new_privs;
	/* Compiled by the shim; NULL = none. */
	const uint8_t *seccomp;
	size_t seccomp_length;
	uint64_t seccomp_flags;
	struct texts rlimits;
	int oom_score_adj;
	bool has_umask;
	mode_t umask;
};

struct container_spec {
	const char *id;
	const char *hostname;
	bool share_pid;
	struct limits limits;
	struct texts device_rules;
	struct root_spec root;
	struct process_spec process;
};

/* Both: false when the request was answered with what is wrong. */
bool container_spec_parse(struct request *r, struct container_spec *spec);
bool exec_spec_parse(struct request *r, const char **id, const char **exec_id,
		     struct process_spec *spec);

/* A container or exec id: one path component of letters, digits, and "_.-". */
bool id_is_legal(const char *id);

#endif
