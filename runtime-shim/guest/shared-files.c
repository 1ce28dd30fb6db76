/*
 * WRITE_FILE, REMOVE_PATH and READ_FILE. Containers write into some of these folders, so no step follows a
 * link they may have left there.
 */
#define _GNU_SOURCE
#include "shared-files.h"

#include <errno.h>
#include <fcntl.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "jobs.h"
#include "link.h"
#include "paths.h"

enum { READ_MAX = 64 * 1024 };

struct shared_file {
	const char *path;
	mode_t mode;
	uid_t uid;
	gid_t gid;
	off_t offset;
	const uint8_t *data;
	size_t length;
	bool last;
};

const char *shared_inner_path(const char *path)
{
	size_t length = strlen(SHARED_FOLDER "/");
	if (strncmp(path, SHARED_FOLDER "/", length) != 0 || !path[length] || path_has_dots(path))
		return NULL;
	return path + length;
}

/* Opens the folder that holds the last component; makes it and those above where `make`. */
static int open_parent(const char *path, const char **name, bool make)
{
	char folder[PATH_MAX];
	const char *slash = strrchr(path, '/');
	*name = slash ? slash + 1 : path;
	int root = open(SHARED_FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC);
	if (root < 0 || !slash)
		return root;
	snprintf(folder, sizeof(folder), "%.*s", (int)(slash - path), path);
	int fd = make ? path_make_folder(root, folder, PATH_NO_LINKS)
		      : path_open(root, folder, PATH_NO_LINKS);
	int error = errno;
	close(root);
	errno = error;
	return fd;
}

/* Short, whatever the real name's length, and the same for every piece of one file. */
static void part_name(char out[32], const char *name)
{
	uint32_t hash = 2166136261u;
	for (; *name; name++)
		hash = (hash ^ (uint8_t)*name) * 16777619u;
	snprintf(out, 32, ".katasim-part-%08x", hash);
}

static int write_folder(int parent, const char *name, const struct shared_file *file)
{
	if (mkdirat(parent, name, 0700) < 0 && errno != EEXIST)
		return -1;
	int fd = openat(parent, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int result = fchown(fd, file->uid, file->gid) < 0 || fchmod(fd, file->mode & 07777) < 0 ? -1 : 0;
	int error = errno;
	close(fd);
	errno = error;
	return result;
}

static int write_link(int parent, const char *name, const struct shared_file *file)
{
	char part[32], target[PATH_MAX];
	part_name(part, name);
	if (file->length == 0 || file->length >= sizeof(target)) {
		errno = EINVAL;
		return -1;
	}
	memcpy(target, file->data, file->length);
	target[file->length] = '\0';
	unlinkat(parent, part, 0);
	if (symlinkat(target, parent, part) < 0)
		return -1;
	/* Kubernetes' `..data` link must change in one step, or a reader sees half an update. */
	return fchownat(parent, part, file->uid, file->gid, AT_SYMLINK_NOFOLLOW) < 0 ||
			       renameat(parent, part, parent, name) < 0
		       ? -1
		       : 0;
}

static int write_regular(int parent, const char *name, const struct shared_file *file)
{
	char part[32];
	part_name(part, name);
	int flags = O_WRONLY | O_NOFOLLOW | O_CLOEXEC;
	if (file->offset == 0)
		flags |= O_CREAT | O_TRUNC;
	int fd = openat(parent, part, flags, 0600);
	if (fd < 0)
		return -1;
	size_t at = 0;
	ssize_t n = 0;
	while (at < file->length &&
	       (n = pwrite(fd, file->data + at, file->length - at, file->offset + (off_t)at)) > 0)
		at += (size_t)n;
	int result = n < 0 ? -1 : 0;
	if (result == 0 && file->last &&
	    (fchown(fd, file->uid, file->gid) < 0 || fchmod(fd, file->mode & 07777) < 0 ||
	     renameat(parent, part, parent, name) < 0))
		result = -1;
	int error = errno;
	close(fd);
	errno = error;
	return result;
}

static int write_shared(const struct shared_file *file)
{
	const char *name;
	int parent = open_parent(shared_inner_path(file->path), &name, true);
	if (parent < 0)
		return -1;
	int result;
	if (S_ISDIR(file->mode))
		result = write_folder(parent, name, file);
	else if (S_ISLNK(file->mode))
		result = write_link(parent, name, file);
	else
		result = write_regular(parent, name, file);
	int error = errno;
	close(parent);
	errno = error;
	return result;
}

void verb_write_file(struct request *r)
{
	struct shared_file file = {.path = ""};
	struct field f;
	while (request_field(r, &f)) {
		if (f.tag == 1)
			file.path = request_text(r, &f);
		else if (f.tag == 2)
			file.mode = (mode_t)request_u64(r, &f);
		else if (f.tag == 3)
			file.uid = (uid_t)request_u64(r, &f);
		else if (f.tag == 4)
			file.gid = (gid_t)request_u64(r, &f);
		else if (f.tag == 5)
			file.offset = (off_t)request_u64(r, &f);
		else if (f.tag == 6)
			file.data = f.bytes, file.length = f.length;
		else if (f.tag == 7)
			file.last = request_u64(r, &f) != 0;
		else
			request_unknown(r, &f);
	}
	if (request_failed(r))
		return;
	mode_t type = file.mode & S_IFMT;
	if (!shared_inner_path(file.path) || file.offset < 0 ||
	    (type != S_IFREG && type != S_IFDIR && type != S_IFLNK && type != 0))
		link_error(r->id, EINVAL, "WRITE_FILE needs a path under %s and a file type, got %s",
			   SHARED_FOLDER, file.path);
	else if (write_shared(&file) < 0)
		link_error(r->id, errno, "writing %s: %s", file.path, strerror(errno));
	else
		link_reply(r->id, NULL);
}

static int remove_work(void *argument, char *message)
{
	const char *name, *path = argument;
	int parent = open_parent(shared_inner_path(path), &name, false);
	if (parent < 0 ? errno == ENOENT : path_remove_tree(parent, name) == 0)
		return 0;
	int error = errno;
	snprintf(message, JOB_MESSAGE, "removing %.100s: %s", path, strerror(error));
	return error;
}

static void remove_done(void *owner, int error, const char *message)
{
	if (error)
		link_error((uint32_t)(uintptr_t)owner, error, "%s", message);
	else
		link_reply((uint32_t)(uintptr_t)owner, NULL);
}

void verb_remove_path(struct request *r)
{
	const char *path = "";
	struct field f;
	while (request_field(r, &f)) {
		if (f.tag == 1)
			path = request_text(r, &f);
		else
			request_unknown(r, &f);
	}
	if (request_failed(r))
		return;
	if (!shared_inner_path(path))
		link_error(r->id, EINVAL, "REMOVE_PATH needs a path under %s, got %s", SHARED_FOLDER, path);
	else
		job_run(remove_work, (void *)(uintptr_t)path, remove_done, (void *)(uintptr_t)r->id);
}

/* Answers with the end of a file; -1 with errno. A container may have put anything in its place. */
static int read_end(uint32_t request, const char *path, size_t most)
{
	static uint8_t data[READ_MAX];
	const char *name;
	struct stat st;
	int parent = open_parent(shared_inner_path(path), &name, false);
	if (parent < 0)
		return -1;
	int fd = openat(parent, name, O_RDONLY | O_NOFOLLOW | O_NONBLOCK | O_CLOEXEC);
	int error = errno;
	close(parent);
	errno = error;
	if (fd < 0)
		return -1;
	ssize_t n = -1;
	if (fstat(fd, &st) == 0 && !S_ISREG(st.st_mode))
		errno = EINVAL;
	else
		n = pread(fd, data, most, st.st_size > (off_t)most ? st.st_size - (off_t)most : 0);
	error = errno;
	close(fd);
	errno = error;
	if (n < 0)
		return -1;
	struct bytes fields = {0};
	field_put(&fields, 1, data, (size_t)n);
	link_reply(request, &fields);
	return 0;
}

void verb_read_file(struct request *r)
{
	const char *path = "";
	uint64_t most = READ_MAX;
	struct field f;
	while (request_field(r, &f)) {
		if (f.tag == 1)
			path = request_text(r, &f);
		else if (f.tag == 2)
			most = request_u64(r, &f);
		else
			request_unknown(r, &f);
	}
	if (request_failed(r))
		return;
	if (!shared_inner_path(path) || most > READ_MAX)
		link_error(r->id, EINVAL, "READ_FILE needs a path under %s and at most %d bytes",
			   SHARED_FOLDER, READ_MAX);
	else if (read_end(r->id, path, (size_t)most) < 0)
		link_error(r->id, errno, "reading %s: %s", path, strerror(errno));
}
