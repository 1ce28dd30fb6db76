/*
 * Version 2 has no device files: rules become a small BPF program on the container's cgroup
 * (linux/bpf.h, BPF_PROG_TYPE_CGROUP_DEVICE). As in the OCI runtime spec the last rule that matches
 * holds, and as in runc a fixed list of harmless devices comes after those of the spec.
 */
#define _GNU_SOURCE
#include "devices.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/bpf.h>

enum { RULES_MAX = 256, RULE_INSNS = 10, HEAD_INSNS = 6, ANY = -1, ACCESS_ALL = 7 };

struct rule {
	bool allow;
	char type; /* a, b, c */
	long major;
	long minor;
	int access;
};

/* runc libcontainer/specconv AllowedDevices: making any node, and using these. */
static const char *const always[] = {
	"allow c -1 -1 m",   "allow b -1 -1 m",	  "allow c 1 3 rwm",  "allow c 1 5 rwm",
	"allow c 1 7 rwm",   "allow c 1 8 rwm",	  "allow c 1 9 rwm",  "allow c 5 0 rwm",
	"allow c 5 2 rwm",   "allow c 136 -1 rwm", "allow c 10 200 rwm",
};

static bool parse_rule(const char *text, struct rule *rule)
{
	char verb[8], access[8];
	*rule = (struct rule){0};
	if (sscanf(text, "%7s %c %ld %ld %7s", verb, &rule->type, &rule->major, &rule->minor, access) != 5)
		return false;
	rule->allow = strcmp(verb, "allow") == 0;
	for (const char *at = access; *at; at++) {
		int bit = *at == 'm' ? BPF_DEVCG_ACC_MKNOD : *at == 'r' ? BPF_DEVCG_ACC_READ
						  : *at == 'w'		? BPF_DEVCG_ACC_WRITE
									: 0;
		if (!bit)
			return false;
		rule->access |= bit;
	}
	return (rule->allow || strcmp(verb, "deny") == 0) && strchr("abc", rule->type) &&
	       rule->access && rule->major >= ANY && rule->minor >= ANY;
}

struct program {
	struct bpf_insn insns[HEAD_INSNS + RULES_MAX * RULE_INSNS + 2];
	int length;
};

static void emit(struct program *p, uint8_t code, uint8_t to, uint8_t from, int16_t offset, int32_t number)
{
	p->insns[p->length++] = (struct bpf_insn){
		.code = code, .dst_reg = to, .src_reg = from, .off = offset, .imm = number};
}

/* Registers: 2 kind of node, 3 what is wanted of it, 4 major, 5 minor (struct bpf_cgroup_dev_ctx). */
static void emit_head(struct program *p)
{
	emit(p, BPF_LDX | BPF_MEM | BPF_W, 2, 1, 0, 0);
	emit(p, BPF_ALU64 | BPF_MOV | BPF_X, 3, 2, 0, 0);
	emit(p, BPF_ALU64 | BPF_AND | BPF_K, 2, 0, 0, 0xffff);
	emit(p, BPF_ALU64 | BPF_RSH | BPF_K, 3, 0, 0, 16);
	emit(p, BPF_LDX | BPF_MEM | BPF_W, 4, 1, 4, 0);
	emit(p, BPF_LDX | BPF_MEM | BPF_W, 5, 1, 8, 0);
}

static void emit_end(struct program *p, bool allow)
{
	emit(p, BPF_ALU64 | BPF_MOV | BPF_K, 0, 0, 0, allow);
	emit(p, BPF_JMP | BPF_EXIT, 0, 0, 0, 0);
}

/* False when nothing can come behind it: the kernel refuses code that is never reached. */
static bool emit_rule(struct program *p, const struct rule *rule)
{
	int first = p->length;
	if (rule->type != 'a')
		emit(p, BPF_JMP | BPF_JNE | BPF_K, 2, 0, 0,
		     rule->type == 'b' ? BPF_DEVCG_DEV_BLOCK : BPF_DEVCG_DEV_CHAR);
	if (rule->access != ACCESS_ALL) {
		emit(p, BPF_ALU64 | BPF_MOV | BPF_X, 0, 3, 0, 0);
		/* Allowed is what lies within the rule; denied, what touches it. */
		emit(p, BPF_ALU64 | BPF_AND | BPF_K, 0, 0, 0,
		     rule->allow ? ACCESS_ALL & ~rule->access : rule->access);
		emit(p, BPF_JMP | (rule->allow ? BPF_JNE : BPF_JEQ) | BPF_K, 0, 0, 0, 0);
	}
	if (rule->type != 'a' && rule->major != ANY)
		emit(p, BPF_JMP | BPF_JNE | BPF_K, 4, 0, 0, (int32_t)rule->major);
	if (rule->type != 'a' && rule->minor != ANY)
		emit(p, BPF_JMP | BPF_JNE | BPF_K, 5, 0, 0, (int32_t)rule->minor);
	bool conditional = p->length > first;
	emit_end(p, rule->allow);
	/* What does not match goes on behind this rule. */
	for (int i = first; i < p->length; i++)
		if (BPF_CLASS(p->insns[i].code) == BPF_JMP && BPF_OP(p->insns[i].code) != BPF_EXIT)
			p->insns[i].off = (int16_t)(p->length - i - 1);
	return conditional;
}

static bool allows_all(const struct texts *rules)
{
	struct rule last;
	return rules->count > 0 && parse_rule(rules->items[rules->count - 1], &last) && last.allow &&
	       last.type == 'a' && last.access == ACCESS_ALL;
}

static int attach(int cgroup, const struct program *p)
{
	union bpf_attr load = {.prog_type = BPF_PROG_TYPE_CGROUP_DEVICE,
			       .insn_cnt = (uint32_t)p->length,
			       .insns = (uint64_t)(uintptr_t)p->insns,
			       .license = (uint64_t)(uintptr_t)"GPL"};
	int fd = (int)syscall(SYS_bpf, BPF_PROG_LOAD, &load, sizeof(load));
	if (fd < 0)
		return -1;
	/* A container may put stricter rules on cgroups of its own below. */
	union bpf_attr at = {.target_fd = (uint32_t)cgroup,
			     .attach_bpf_fd = (uint32_t)fd,
			     .attach_type = BPF_CGROUP_DEVICE,
			     .attach_flags = BPF_F_ALLOW_MULTI};
	int result = (int)syscall(SYS_bpf, BPF_PROG_ATTACH, &at, sizeof(at));
	int error = errno;
	close(fd);
	errno = error;
	return result;
}

int devices_restrict(int cgroup, const struct texts *rules)
{
	static struct program p;
	const size_t own = sizeof(always) / sizeof(*always);
	if (allows_all(rules))
		return 0;
	errno = E2BIG;
	if (rules->count + own > RULES_MAX)
		return -1;
	p.length = 0;
	emit_head(&p);
	bool open = true;
	for (size_t left = rules->count + own; left > 0 && open; left--) {
		size_t i = left - 1;
		struct rule rule;
		errno = EINVAL;
		if (!parse_rule(i < rules->count ? rules->items[i] : always[i - rules->count], &rule))
			return -1;
		open = emit_rule(&p, &rule);
	}
	if (open)
		emit_end(&p, false);
	return attach(cgroup, &p);
}
