/* SANDBOX: the pod's sysctls and the size of its /dev/shm, before its first container. */
#define _GNU_SOURCE
#include "sandbox.h"

#include <errno.h>
#include <inttypes.h>
#include <stdio.h>
#include <string.h>
#include <sys/mount.h>

#include "link.h"
#include "network.h"

#define SHM_FOLDER "/run/katasim/sandbox/shm"

static int resize_shm(uint64_t bytes)
{
	char data[64];
	snprintf(data, sizeof(data), "mode=1777,size=%" PRIu64, bytes);
	return mount(NULL, SHM_FOLDER, NULL, MS_REMOUNT | MS_NOSUID | MS_NODEV | MS_NOEXEC, data);
}

void verb_sandbox(struct request *r)
{
	struct texts sysctls = {0};
	uint64_t shm_bytes = 0;
	struct field f;
	while (request_field(r, &f)) {
		if (f.tag == 1)
			request_list(r, &sysctls, &f);
		else if (f.tag == 2)
			shm_bytes = request_u64(r, &f);
		else
			request_unknown(r, &f);
	}
	if (request_failed(r))
		return;
	for (size_t i = 0; i < sysctls.count; i++) {
		if (sysctl_write(sysctls.items[i]) < 0) {
			link_error(r->id, errno, "sysctl %.200s: %s", sysctls.items[i], strerror(errno));
			return;
		}
	}
	if (shm_bytes && resize_shm(shm_bytes) < 0)
		link_error(r->id, errno, "resizing /dev/shm: %s", strerror(errno));
	else
		link_reply(r->id, NULL);
}
