/*
 * Preloaded into QEMU: opens the file of KATASIM_READ_ONLY for reading, although it is asked for more.
 * QEMU up to 8.1 opens the file of a memory-backend-file for writing even where it maps it privately
 * (system/physmem.c file_ram_open); a guest that took QEMU over could then write to the memory of every
 * clone to come. A private mapping needs no more than reading.
 */
#define _GNU_SOURCE
#include <dlfcn.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/types.h>

int open64(const char *path, int flags, ...)
{
	static int (*next)(const char *, int, ...);
	const char *read_only = getenv("KATASIM_READ_ONLY");
	va_list rest;
	va_start(rest, flags);
	mode_t mode = va_arg(rest, mode_t);
	va_end(rest);
	if (!next)
		next = (int (*)(const char *, int, ...))dlsym(RTLD_NEXT, "open64");
	if (read_only && strcmp(read_only, path) == 0)
		flags = (flags & ~O_ACCMODE) | O_RDONLY;
	return next(path, flags, mode);
}

/* What open64 becomes with _FORTIFY_SOURCE where the compiler cannot see the flags. */
int __open64_2(const char *path, int flags)
{
	return open64(path, flags, 0);
}
