/*
 * Builds a container's root: an overlay of read-only image disks and one writable layer, the
 * mounts of its spec, device nodes, masked and read-only paths. Everything is mounted in the
 * container's own mount namespace and so vanishes with its last process.
 */
#define _GNU_SOURCE
#include "mounts.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "disks.h"
#include "mount-options.h"
#include "network.h"
#include "paths.h"
#include "shared-files.h"

static int failed(char *text, const char *what, const char *which)
{
	int error = errno ? errno : EIO;
	snprintf(text, STEP_TEXT, "%s %.150s: %s", what, which, strerror(error));
	return error;
}

static void fd_path(char out[40], int fd)
{
	snprintf(out, 40, "/proc/self/fd/%d", fd);
}

/* The merged root has the attributes of the topmost folder: they are to be the image's. */
static int copy_root_attributes(const struct root_spec *spec, const char *upper)
{
	struct stat st;
	char path[64];
	if (spec->lower_serials.count == 0)
		return 0;
	snprintf(path, sizeof(path), DISKS_FOLDER "/%s", spec->lower_serials.items[0]);
	return stat(path, &st) < 0 || chown(upper, st.st_uid, st.st_gid) < 0 ||
			       chmod(upper, st.st_mode & 07777) < 0
		       ? -1
		       : 0;
}

static int mount_overlay(const struct root_spec *spec, const char *folder, char *text)
{
	/* mount(2) takes one page of options. */
	char data[4096], upper[300];
	int at = snprintf(data, sizeof(data), "lowerdir=");
	for (size_t i = 0; i < spec->lower_serials.count; i++)
		if (at < (int)sizeof(data))
			at += snprintf(data + at, sizeof(data) - (size_t)at, "%s" DISKS_FOLDER "/%s",
				       i ? ":" : "", spec->lower_serials.items[i]);
	/* A private tmpfs for the mount point, and for the writable layer where there is no disk. */
	if (mount("tmpfs", folder, "tmpfs", MS_NODEV, "mode=0755") < 0)
		return failed(text, "mounting", folder);
	/*
	 * A disk may have served another container before. Below one folder: ext4 spreads those at the top over
	 * all its groups, and has to read in each.
	 */
	if (spec->upper_serial) {
		snprintf(upper, sizeof(upper), DISKS_FOLDER "/%s/containers", spec->upper_serial);
		if (mkdir(upper, 0700) < 0 && errno != EEXIST)
			return failed(text, "making", upper);
		strncat(upper, strrchr(folder, '/'), sizeof(upper) - strlen(upper) - 1);
	} else {
		snprintf(upper, sizeof(upper), "%s", folder);
	}
	if (mkdir(upper, 0700) < 0 && errno != EEXIST)
		return failed(text, "making", upper);
	char path[320];
	const char *const parts[] = {"upper", "work"};
	for (int i = 0; i < 2; i++) {
		snprintf(path, sizeof(path), "%s/%s", upper, parts[i]);
		if (mkdir(path, 0755) < 0 && errno != EEXIST)
			return failed(text, "making", path);
		if (i == 0 && copy_root_attributes(spec, path) < 0)
			return failed(text, "setting the owner and mode of", path);
	}
	snprintf(path, sizeof(path), "%s/root", folder);
	if (mkdir(path, 0755) < 0)
		return failed(text, "making", path);
	if (at < (int)sizeof(data))
		at += snprintf(data + at, sizeof(data) - (size_t)at, ",upperdir=%s/upper,workdir=%s/work",
			       upper, upper);
	if (at >= (int)sizeof(data)) {
		errno = E2BIG;
		return failed(text, "too many image layers for", path);
	}
	if (mount("overlay", path, "overlay", 0, data) < 0)
		return failed(text, "mounting the root file system:", data);
	return chdir(path) < 0 ? failed(text, "entering", path) : 0;
}

/* The source of a bind: links in a shared volume may not lead out of the shared folder. */
static int open_source(const char *source)
{
	size_t length = strlen(SHARED_FOLDER "/");
	if (strncmp(source, SHARED_FOLDER "/", length) != 0)
		return open(source, O_PATH | O_CLOEXEC);
	int shared = open(SHARED_FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int fd = shared < 0 ? -1 : path_open(shared, source + length, PATH_BENEATH);
	int error = errno;
	close(shared);
	errno = error;
	return fd;
}

static int bind_mount(int root, const struct mount_entry *m, const struct mount_options *o, char *text)
{
	char from[40], to[40];
	struct stat st;
	int source = open_source(m->source);
	if (source < 0 || fstat(source, &st) < 0)
		return failed(text, "bind mount source", m->source);
	int target = S_ISDIR(st.st_mode) ? path_make_folder(root, m->destination, PATH_IN_ROOT)
					 : path_make_file(root, m->destination, PATH_IN_ROOT);
	if (target < 0)
		return failed(text, "mount point", m->destination);
	fd_path(from, source);
	fd_path(to, target);
	int result = 0;
	if (mount(from, to, NULL, MS_BIND | (o->flags & MS_REC), NULL) < 0)
		result = failed(text, "bind mounting on", m->destination);
	close(source);
	close(target);
	unsigned long flags = o->flags & ~(unsigned long)(MS_BIND | MS_REC);
	if (result || !flags)
		return result;
	/* mount(2) ignores flags for a new bind: they need a second call, on the mount now on top. */
	target = path_open(root, m->destination, PATH_IN_ROOT);
	fd_path(to, target);
	if (target < 0 || mount(NULL, to, NULL, MS_REMOUNT | MS_BIND | flags, NULL) < 0)
		result = failed(text, "setting the options of", m->destination);
	close(target);
	return result;
}

static int mount_one(int root, const struct mount_entry *m, char *text)
{
	struct mount_options o;
	char to[40];
	/* "cgroup" in specs written for version 1: this kernel's containers have version 2. */
	const char *type = strcmp(m->type, "cgroup") == 0 ? "cgroup2" : m->type;
	errno = EINVAL;
	if (!mount_options_parse(m->options, &o) || m->destination[0] != '/')
		return failed(text, "mount", m->destination);
	if (strcmp(type, "bind") == 0 || (o.flags & MS_BIND))
		return bind_mount(root, m, &o, text);
	int target = path_make_folder(root, m->destination, PATH_IN_ROOT);
	if (target < 0)
		return failed(text, "mount point", m->destination);
	fd_path(to, target);
	int result = 0;
	if (mount(m->source, to, type, o.flags, o.data) < 0)
		result = failed(text, "mounting", m->destination);
	close(target);
	return result;
}

static int make_devices(int root, char *text)
{
	static const struct {
		const char *name;
		unsigned major, minor;
	} nodes[] = {{"null", 1, 3}, {"zero", 1, 5},	{"full", 1, 7},
		     {"random", 1, 8}, {"urandom", 1, 9}, {"tty", 5, 0}};
	static const char *const links[][2] = {{"/proc/self/fd", "fd"},
					       {"/proc/self/fd/0", "stdin"},
					       {"/proc/self/fd/1", "stdout"},
					       {"/proc/self/fd/2", "stderr"},
					       {"pts/ptmx", "ptmx"}};
	int path = path_make_folder(root, "dev", PATH_IN_ROOT);
	if (path < 0)
		return failed(text, "making", "/dev");
	mode_t before = umask(0);
	int result = 0;
	for (size_t i = 0; i < sizeof(nodes) / sizeof(*nodes) && !result; i++)
		if (mknodat(path, nodes[i].name, S_IFCHR | 0666,
			    (dev_t)(nodes[i].major << 8 | nodes[i].minor)) < 0 &&
		    errno != EEXIST)
			result = failed(text, "making device", nodes[i].name);
	for (size_t i = 0; i < sizeof(links) / sizeof(*links) && !result; i++)
		if (symlinkat(links[i][0], path, links[i][1]) < 0 && errno != EEXIST)
			result = failed(text, "making /dev link", links[i][1]);
	umask(before);
	close(path);
	return result;
}

int mounts_prepare(const struct root_spec *spec, const char *folder, char *text)
{
	int result = mount_overlay(spec, folder, text);
	if (result)
		return result;
	int root = open(".", O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0)
		return failed(text, "opening", folder);
	for (size_t i = 0; i < spec->mount_count && !result; i++)
		result = mount_one(root, &spec->mounts[i], text);
	if (!result)
		result = make_devices(root, text);
	close(root);
	return result;
}

/* Everything else about the mount stays as it was: programs in a read-only folder still run. */
static int remount_read_only(const char *path)
{
	static const unsigned long flags[][2] = {
		{ST_NOSUID, MS_NOSUID},	  {ST_NODEV, MS_NODEV},		  {ST_NOEXEC, MS_NOEXEC},
		{ST_NOATIME, MS_NOATIME}, {ST_NODIRATIME, MS_NODIRATIME}, {ST_RELATIME, MS_RELATIME}};
	struct statvfs fs;
	unsigned long kept = MS_REMOUNT | MS_BIND | MS_RDONLY;
	if (statvfs(path, &fs) < 0)
		return -1;
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++)
		if (fs.f_flag & flags[i][0])
			kept |= flags[i][1];
	return mount(NULL, path, NULL, kept, NULL);
}

/* A path of the container's own /proc or /sys; missing ones are none of the container's business. */
static int mask(const char *path, bool hide, char *text)
{
	struct stat st;
	if (stat(path, &st) < 0)
		return errno == ENOENT || errno == ENOTDIR ? 0 : failed(text, "masking", path);
	int result;
	if (!hide)
		result = mount(path, path, NULL, MS_BIND | MS_REC, NULL) < 0 ? -1 : remount_read_only(path);
	else if (S_ISDIR(st.st_mode))
		result = mount("tmpfs", path, "tmpfs", MS_RDONLY, "size=0k");
	else
		result = mount("/dev/null", path, NULL, MS_BIND, NULL);
	return result < 0 ? failed(text, "masking", path) : 0;
}

int mounts_enter(const struct root_spec *spec, char *text)
{
	/* Both arguments the same: the old root lies on top of the new one and is then let go. */
	if (syscall(SYS_pivot_root, ".", ".") < 0 || umount2(".", MNT_DETACH) < 0 || chdir("/") < 0)
		return failed(text, "entering", "the root file system");
	int result = 0;
	for (size_t i = 0; i < spec->sysctls.count && !result; i++)
		if (sysctl_write(spec->sysctls.items[i]) < 0)
			result = failed(text, "sysctl", spec->sysctls.items[i]);
	for (size_t i = 0; i < spec->read_only_paths.count && !result; i++)
		result = mask(spec->read_only_paths.items[i], false, text);
	for (size_t i = 0; i < spec->masked.count && !result; i++)
		result = mask(spec->masked.items[i], true, text);
	if (!result && spec->read_only &&
	    mount(NULL, "/", NULL, MS_REMOUNT | MS_BIND | MS_RDONLY, NULL) < 0)
		result = failed(text, "making read-only", "/");
	return result;
}
