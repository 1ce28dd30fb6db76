/* openat2(2) walks and tree removal. */
#define _GNU_SOURCE
#include "paths.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/openat2.h>

bool path_has_dots(const char *path)
{
	for (const char *at = path; at; at = strchr(at, '/'), at += at != NULL) {
		size_t length = strcspn(at, "/");
		if ((length == 1 && at[0] == '.') || (length == 2 && at[0] == '.' && at[1] == '.'))
			return true;
	}
	return false;
}

int path_open(int root, const char *path, enum path_rule rule)
{
	struct open_how how = {.flags = O_PATH | O_CLOEXEC};
	if (rule == PATH_IN_ROOT)
		how.resolve = RESOLVE_IN_ROOT | RESOLVE_NO_MAGICLINKS;
	else if (rule == PATH_BENEATH)
		how.resolve = RESOLVE_BENEATH | RESOLVE_NO_MAGICLINKS;
	else
		how.resolve = RESOLVE_BENEATH | RESOLVE_NO_SYMLINKS;
	while (*path == '/')
		path++;
	return (int)syscall(SYS_openat2, root, *path ? path : ".", &how, sizeof(how));
}

int path_make_folder(int root, const char *path, enum path_rule rule)
{
	int fd = path_open(root, path, rule);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	char prefix[PATH_MAX];
	if (snprintf(prefix, sizeof(prefix), "%s", path) >= (int)sizeof(prefix)) {
		errno = ENAMETOOLONG;
		return -1;
	}
	/* Each component is made in the folder its predecessors were resolved to. */
	int parent = path_open(root, "", rule);
	for (char *name = prefix; parent >= 0; name++) {
		name += strspn(name, "/");
		size_t length = strcspn(name, "/");
		if (length == 0)
			break;
		char after = name[length];
		name[length] = '\0';
		fd = path_open(root, prefix, rule);
		if (fd < 0 && errno == ENOENT && (mkdirat(parent, name, 0755) == 0 || errno == EEXIST))
			fd = path_open(root, prefix, rule);
		int error = errno;
		close(parent);
		errno = error;
		parent = fd;
		name += length;
		*name = after;
		if (!after)
			break;
	}
	return parent;
}

int path_make_file(int root, const char *path, enum path_rule rule)
{
	int fd = path_open(root, path, rule);
	if (fd >= 0 || errno != ENOENT)
		return fd;
	const char *slash = strrchr(path, '/');
	char folder[PATH_MAX];
	snprintf(folder, sizeof(folder), "%.*s", slash ? (int)(slash - path) : 0, path);
	int parent = path_make_folder(root, folder, rule);
	if (parent < 0)
		return -1;
	fd = openat(parent, slash ? slash + 1 : path, O_CREAT | O_WRONLY | O_NOFOLLOW | O_CLOEXEC, 0644);
	int error = errno;
	close(parent);
	if (fd < 0) {
		errno = error;
		return -1;
	}
	close(fd);
	return path_open(root, path, rule);
}

int path_remove_tree(int parent, const char *name)
{
	if (unlinkat(parent, name, 0) == 0 || errno == ENOENT)
		return 0;
	if (errno != EISDIR && errno != EPERM)
		return -1;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	DIR *dir = fd < 0 ? NULL : fdopendir(fd);
	if (!dir)
		return -1;
	struct dirent *entry;
	int result = 0;
	while (result == 0 && (entry = readdir(dir))) {
		if (strcmp(entry->d_name, ".") != 0 && strcmp(entry->d_name, "..") != 0)
			result = path_remove_tree(fd, entry->d_name);
	}
	int error = errno;
	closedir(dir);
	errno = error;
	return result < 0 ? -1 : unlinkat(parent, name, AT_REMOVEDIR);
}
