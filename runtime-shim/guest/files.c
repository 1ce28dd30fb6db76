/* Small whole-file reads and writes for /proc, /sys and cgroup files. */
#define _GNU_SOURCE
#include "files.h"

#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

ssize_t file_read_at(int dir, const char *path, char *out, size_t size)
{
	int fd = openat(dir, path, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return -1;
	size_t have = 0;
	ssize_t n = 0;
	while (have < size - 1 && (n = read(fd, out + have, size - 1 - have)) > 0)
		have += (size_t)n;
	int error = errno;
	close(fd);
	if (n < 0) {
		errno = error;
		return -1;
	}
	out[have] = '\0';
	return (ssize_t)have;
}

ssize_t file_read(const char *path, char *out, size_t size)
{
	return file_read_at(AT_FDCWD, path, out, size);
}

ssize_t file_read_line(const char *path, char *out, size_t size)
{
	ssize_t n = file_read(path, out, size);
	while (n > 0 && out[n - 1] == '\n')
		out[--n] = '\0';
	return n;
}

static int put(int fd, const char *text)
{
	if (fd < 0)
		return -1;
	ssize_t n = write(fd, text, strlen(text));
	int error = errno;
	close(fd);
	errno = error;
	return n < 0 ? -1 : 0;
}

int file_write_at(int dir, const char *path, const char *text)
{
	return put(openat(dir, path, O_WRONLY | O_CLOEXEC), text);
}

int file_create(const char *path, const char *text, unsigned mode)
{
	unlink(path);
	return put(open(path, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, mode), text);
}

int file_write(const char *path, const char *text)
{
	return file_write_at(AT_FDCWD, path, text);
}

bool file_key_u64(const char *text, const char *key, uint64_t *value)
{
	size_t length = strlen(key);
	for (const char *at = text; at && *at; at = strchr(at, '\n'), at += at != NULL) {
		if (strncmp(at, key, length) == 0 && (at[length] == ' ' || at[length] == ':')) {
			*value = strtoull(at + length + 1, NULL, 10);
			return true;
		}
	}
	return false;
}
