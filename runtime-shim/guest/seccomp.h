/* The system call filter of a program. */
#ifndef KATASIM_SECCOMP_H
#define KATASIM_SECCOMP_H

#include <stddef.h>
#include <stdint.h>

/* Whether the bytes can be a filter at all: whole instructions, and no more than the kernel takes. */
int seccomp_is_legal(size_t length);
/* Filters the calling process from here on; 0, or -1 with errno. */
int seccomp_install(const uint8_t *filter, size_t length, uint64_t flags);

#endif
