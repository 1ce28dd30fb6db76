/* Installs filters (classic BPF, seccomp(2)) that the shim compiled from the OCI spec's linux.seccomp. */
#define _GNU_SOURCE
#include "seccomp.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/syscall.h>
#include <unistd.h>

#include <linux/filter.h>
#include <linux/seccomp.h>

int seccomp_is_legal(size_t length)
{
	return length > 0 && length % sizeof(struct sock_filter) == 0 &&
	       length / sizeof(struct sock_filter) <= BPF_MAXINSNS;
}

int seccomp_install(const uint8_t *filter, size_t length, uint64_t flags)
{
	/* In the frame it lies at any address. */
	struct sock_filter *aligned = malloc(length);
	if (!aligned)
		return -1;
	memcpy(aligned, filter, length);
	struct sock_fprog program = {.len = (unsigned short)(length / sizeof(*aligned)), .filter = aligned};
	long result = syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, (unsigned)flags, &program);
	int error = errno;
	free(aligned);
	errno = error;
	return result < 0 ? -1 : 0;
}
