/* Small whole-file reads and writes for /proc, /sys and cgroup files. */
#ifndef KATASIM_FILES_H
#define KATASIM_FILES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

/* Reads at most size - 1 bytes and ends them with NUL; the length, or -1 with errno. */
ssize_t file_read_at(int dir, const char *path, char *out, size_t size);
ssize_t file_read(const char *path, char *out, size_t size);
/* As file_read, without the line end. */
ssize_t file_read_line(const char *path, char *out, size_t size);
/* Writes in one write(2), as kernel files want it; 0, or -1 with errno. */
int file_write_at(int dir, const char *path, const char *text);
int file_write(const char *path, const char *text);
/* Creates or replaces a file; 0, or -1 with errno. */
int file_create(const char *path, const char *text, unsigned mode);
/* The number behind `key` in "key value" lines; false when it is not there. */
bool file_key_u64(const char *text, const char *key, uint64_t *value);

#endif
