/* Sets rlimits, working directory, user, groups and capabilities in the order runc does; execs. */
#define _GNU_SOURCE
#include "program.h"

#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <inttypes.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/capability.h>

#include "paths.h"
#include "seccomp.h"

#define DEFAULT_PATH "/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin:/sbin:/bin"

static int failed(char *text, const char *what)
{
	int error = errno;
	snprintf(text, STEP_TEXT, "%s: %s", what, strerror(error));
	return error;
}

static int set_rlimits(const struct texts *rlimits, char *text)
{
	static const struct {
		const char *name;
		int resource;
	} known[] = {{"as", RLIMIT_AS},		      {"core", RLIMIT_CORE},
		     {"cpu", RLIMIT_CPU},	      {"data", RLIMIT_DATA},
		     {"fsize", RLIMIT_FSIZE},	      {"locks", RLIMIT_LOCKS},
		     {"memlock", RLIMIT_MEMLOCK},     {"msgqueue", RLIMIT_MSGQUEUE},
		     {"nice", RLIMIT_NICE},	      {"nofile", RLIMIT_NOFILE},
		     {"nproc", RLIMIT_NPROC},	      {"rss", RLIMIT_RSS},
		     {"rtprio", RLIMIT_RTPRIO},	      {"rttime", RLIMIT_RTTIME},
		     {"sigpending", RLIMIT_SIGPENDING}, {"stack", RLIMIT_STACK}};
	for (size_t i = 0; i < rlimits->count; i++) {
		char name[32];
		uint64_t soft, hard;
		size_t k = 0;
		errno = EINVAL;
		if (sscanf(rlimits->items[i], "%31s %" SCNu64 " %" SCNu64, name, &soft, &hard) != 3)
			return failed(text, rlimits->items[i]);
		while (k < sizeof(known) / sizeof(*known) && strcmp(known[k].name, name) != 0)
			k++;
		struct rlimit limit = {.rlim_cur = soft, .rlim_max = hard};
		if (k == sizeof(known) / sizeof(*known) || setrlimit(known[k].resource, &limit) < 0)
			return failed(text, rlimits->items[i]);
	}
	return 0;
}

static int enter_cwd(const char *cwd, bool make, char *text)
{
	/* As runc: a container's own working directory is made, an exec's must be there. */
	if (make) {
		int fd = path_make_folder(AT_FDCWD, cwd, PATH_IN_ROOT);
		if (fd >= 0)
			close(fd);
	}
	if (chdir(cwd) == 0)
		return 0;
	int error = errno;
	snprintf(text, STEP_TEXT, "chdir to cwd (\"%.100s\") set in config.json failed: %s", cwd,
		 strerror(error));
	return error;
}

/* The user must be able to reopen /dev/stdout and the like. The null device is everybody's. */
static void own_stdio(uid_t uid)
{
	struct stat null, st;
	if (stat("/dev/null", &null) < 0)
		null.st_rdev = 0;
	for (int fd = 0; fd < 3; fd++)
		if (fstat(fd, &st) == 0 && st.st_uid != uid &&
		    !(S_ISCHR(st.st_mode) && st.st_rdev == null.st_rdev) && fchown(fd, uid, (gid_t)-1) < 0)
			continue;
}

static int drop_bounding(uint64_t keep)
{
	for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		if (!(keep >> cap & 1) && prctl(PR_CAPBSET_DROP, cap) < 0)
			return -1;
	return 0;
}

static int set_capabilities(const struct process_spec *spec)
{
	/* What the kernel does not know it cannot give: asking for it would be EPERM. */
	uint64_t known = 0;
	for (int cap = 0; cap < 64 && prctl(PR_CAPBSET_READ, cap) >= 0; cap++)
		known |= 1ULL << cap;
	struct __user_cap_header_struct header = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct data[2];
	for (int half = 0; half < 2; half++) {
		data[half].effective = (uint32_t)((spec->effective & known) >> (32 * half));
		data[half].permitted = (uint32_t)((spec->permitted & known) >> (32 * half));
		data[half].inheritable = (uint32_t)((spec->inheritable & known) >> (32 * half));
	}
	if (syscall(SYS_capset, &header, data) < 0)
		return -1;
	for (int cap = 0; cap < 64; cap++)
		if ((spec->ambient & known) >> cap & 1 &&
		    prctl(PR_CAP_AMBIENT, PR_CAP_AMBIENT_RAISE, cap, 0, 0) < 0)
			return -1;
	return 0;
}

static int become_user(const struct process_spec *spec, char *text)
{
	own_stdio(spec->uid);
	if (drop_bounding(spec->bounding) < 0)
		return failed(text, "dropping capabilities from the bounding set");
	if (prctl(PR_SET_KEEPCAPS, 1) < 0 || setgroups(spec->group_count, spec->groups) < 0 ||
	    setresgid(spec->gid, spec->gid, spec->gid) < 0 ||
	    setresuid(spec->uid, spec->uid, spec->uid) < 0)
		return failed(text, "becoming the user");
	if (set_capabilities(spec) < 0)
		return failed(text, "setting capabilities");
	if (spec->no_new_privs && prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		return failed(text, "setting no_new_privs");
	return 0;
}

static int filter_system_calls(const struct process_spec *spec, char *text)
{
	if (!spec->seccomp || seccomp_install(spec->seccomp, spec->seccomp_length, spec->seccomp_flags) == 0)
		return 0;
	return failed(text, "installing the system call filter");
}

static const char *variable(const struct texts *env, const char *name)
{
	size_t length = strlen(name);
	for (size_t i = 0; i < env->count; i++)
		if (strncmp(env->items[i], name, length) == 0 && env->items[i][length] == '=')
			return env->items[i] + length + 1;
	return NULL;
}

/* runc gives HOME from the container's own /etc/passwd when the image sets none. */
static void find_home(uid_t uid, char *out, size_t size)
{
	char line[1024], home[512];
	unsigned long found;
	snprintf(out, size, "HOME=/");
	FILE *file = fopen("/etc/passwd", "re");
	while (file && fgets(line, sizeof(line), file)) {
		if (sscanf(line, "%*[^:]:%*[^:]:%lu:%*[^:]:%*[^:]:%511[^:\n]", &found, home) == 2 &&
		    found == uid) {
			snprintf(out, size, "HOME=%s", home);
			break;
		}
	}
	if (file)
		fclose(file);
}

/* As exec.LookPath of Go, whose words users of containers know. */
static int find_program(const struct process_spec *spec, char *out, size_t size, char *text)
{
	const char *name = spec->args.items[0];
	struct stat st;
	int error = ENOENT;
	if (strchr(name, '/')) {
		snprintf(out, size, "%s", name);
		error = stat(name, &st) < 0 ? errno
			: S_ISDIR(st.st_mode) ? EISDIR
			: access(name, X_OK) < 0 ? EACCES
						 : 0;
		if (error == EACCES || error == EISDIR)
			snprintf(text, STEP_TEXT, "exec: \"%.150s\": %s", name,
				 error == EISDIR ? "is a directory" : "permission denied");
		else if (error)
			snprintf(text, STEP_TEXT, "exec: \"%.80s\": stat %.80s: %s", name, name,
				 error == ENOENT ? "no such file or directory" : strerror(error));
		return error;
	}
	const char *path = variable(&spec->env, "PATH");
	for (const char *at = path ? path : DEFAULT_PATH; name[0] && at; at = strchr(at, ':'), at += at != NULL) {
		size_t length = strcspn(at, ":");
		snprintf(out, size, "%.*s/%s", length ? (int)length : 1, length ? at : ".", name);
		if (stat(out, &st) < 0 || !S_ISREG(st.st_mode))
			continue;
		if (access(out, X_OK) == 0)
			return 0;
		error = EACCES;
	}
	snprintf(text, STEP_TEXT, "exec: \"%.150s\": %s", name,
		 error == EACCES ? "permission denied" : "executable file not found in $PATH");
	return error;
}

int program_become(const struct process_spec *spec, bool make_cwd, char *text)
{
	char program[PATH_MAX], home[600];
	int error = set_rlimits(&spec->rlimits, text);
	if (!error)
		error = enter_cwd(spec->cwd, make_cwd, text);
	/* Without no_new_privs the kernel wants CAP_SYS_ADMIN for it, which soon is gone. */
	if (!error && !spec->no_new_privs)
		error = filter_system_calls(spec, text);
	if (!error)
		error = become_user(spec, text);
	if (!error)
		error = find_program(spec, program, sizeof(program), text);
	if (error)
		return error;
	const char **env = calloc(spec->env.count + 2, sizeof(*env));
	if (!env)
		return failed(text, "environment");
	for (size_t i = 0; i < spec->env.count; i++)
		env[i] = spec->env.items[i];
	if (!variable(&spec->env, "HOME")) {
		find_home(spec->uid, home, sizeof(home));
		env[spec->env.count] = home;
	}
	if (spec->has_umask)
		umask(spec->umask);
	if (spec->no_new_privs && (error = filter_system_calls(spec, text)))
		return error;
	execve(program, (char **)(uintptr_t)spec->args.items, (char **)(uintptr_t)env);
	error = errno;
	snprintf(text, STEP_TEXT, "exec %.150s: %s", program,
		 error == ENOEXEC ? "exec format error" : strerror(error));
	return error;
}
