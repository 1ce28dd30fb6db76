/*
 * Tells all of a folder that a copy of it could lose, one line for each entry, in the order of names.
 * Static, so that the same program looks at a root file system on the host and inside a guest.
 *
 *   tree list FOLDER             everything in it and itself
 *   tree xattr PATH NAME HEX     sets an extended attribute, not following links
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>
#include <sys/xattr.h>
#include <unistd.h>

static struct seen {
	dev_t dev;
	ino_t ino;
	char *path;
	struct seen *next;
} *linked;

static void die(const char *what)
{
	fprintf(stderr, "%s: %s\n", what, strerror(errno));
	exit(1);
}

static void print_bytes(const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++) {
		unsigned char c = (unsigned char)bytes[i];
		if (c <= ' ' || c >= 127 || c == '\\')
			printf("\\%02x", c);
		else
			putchar(c);
	}
}

static uint64_t hash(uint64_t h, const char *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		h = (h ^ (unsigned char)bytes[i]) * 1099511628211u;
	return h;
}

/* Of large files the first, the middle and the last bytes: a guest in software emulation is slow. */
static void print_content(const char *path, off_t size)
{
	enum { PIECE = 1 << 16 };
	static char buffer[PIECE];
	uint64_t h = 14695981039346656037u;
	int fd = open(path, O_RDONLY);
	if (fd < 0)
		die(path);
	off_t step = size > (64 << 20) ? (size - PIECE) / 64 : PIECE;
	for (off_t at = 0; at < size; at += step) {
		ssize_t got = pread(fd, buffer, PIECE, at);
		if (got < 0)
			die(path);
		h = hash(h, buffer, (size_t)got);
	}
	close(fd);
	printf(" content=%016llx", (unsigned long long)h);
}

static int by_text(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

static void print_xattrs(const char *path)
{
	static char names[65536], value[65536];
	char *list[512];
	size_t count = 0;
	ssize_t length = llistxattr(path, names, sizeof(names));
	for (ssize_t at = 0; at < length && count < 512; at += (ssize_t)strlen(names + at) + 1)
		list[count++] = names + at;
	qsort(list, count, sizeof(*list), by_text);
	for (size_t i = 0; i < count; i++) {
		ssize_t got = lgetxattr(path, list[i], value, sizeof(value));
		printf(" %s=", list[i]);
		print_bytes(value, got < 0 ? 0 : (size_t)got);
	}
}

/* Names of one inode, by the first of them: numbers of links and inodes differ between file systems. */
static void print_link(const char *path, const struct stat *st)
{
	if (S_ISDIR(st->st_mode) || st->st_nlink < 2)
		return;
	for (struct seen *s = linked; s; s = s->next) {
		if (s->dev == st->st_dev && s->ino == st->st_ino) {
			printf(" same-as=");
			print_bytes(s->path, strlen(s->path));
			return;
		}
	}
	struct seen *s = malloc(sizeof(*s));
	*s = (struct seen){st->st_dev, st->st_ino, strdup(path), linked};
	linked = s;
}

static void list(const char *path)
{
	struct stat st;
	char target[5000];
	if (lstat(path, &st) < 0)
		die(path);
	print_bytes(path, strlen(path));
	printf(" mode=%o owner=%u:%u mtime=%lld.%09ld", st.st_mode, st.st_uid, st.st_gid,
	       (long long)st.st_mtim.tv_sec, st.st_mtim.tv_nsec);
	if (S_ISCHR(st.st_mode) || S_ISBLK(st.st_mode))
		printf(" device=%u:%u", major(st.st_rdev), minor(st.st_rdev));
	if (S_ISLNK(st.st_mode)) {
		ssize_t got = readlink(path, target, sizeof(target));
		printf(" target=");
		print_bytes(target, got < 0 ? 0 : (size_t)got);
	}
	print_link(path, &st);
	print_xattrs(path);
	if (S_ISREG(st.st_mode)) {
		printf(" size=%lld", (long long)st.st_size);
		print_content(path, st.st_size);
	}
	putchar('\n');
	if (!S_ISDIR(st.st_mode))
		return;
	struct dirent **entries;
	int count = scandir(path, &entries, NULL, NULL);
	if (count < 0)
		die(path);
	char **names = calloc((size_t)count + 1, sizeof(*names));
	for (int i = 0; i < count; i++)
		names[i] = entries[i]->d_name;
	qsort(names, (size_t)count, sizeof(*names), by_text);
	for (int i = 0; i < count; i++) {
		char *child;
		if (strcmp(names[i], ".") == 0 || strcmp(names[i], "..") == 0)
			continue;
		if (asprintf(&child, "%s/%s", path, names[i]) < 0)
			die(path);
		list(child);
	}
}

static void set_xattr(const char *path, const char *name, const char *hex)
{
	static char value[65536];
	size_t length = strlen(hex) / 2;
	for (size_t i = 0; i < length && i < sizeof(value); i++) {
		unsigned byte;
		sscanf(hex + 2 * i, "%2x", &byte);
		value[i] = (char)byte;
	}
	if (lsetxattr(path, name, value, length, 0) < 0)
		die(name);
}

int main(int argc, char **argv)
{
	if (argc == 3 && strcmp(argv[1], "list") == 0 && chdir(argv[2]) == 0)
		list(".");
	else if (argc == 5 && strcmp(argv[1], "xattr") == 0)
		set_xattr(argv[2], argv[3], argv[4]);
	else
		return 2;
	return 0;
}
