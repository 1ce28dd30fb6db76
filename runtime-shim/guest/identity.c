/*
 * HELLO and IDENTITY. A clone of a template starts with the random state, clock and names of all
 * its siblings; IDENTITY makes it one of its own before any program runs.
 */
#define _GNU_SOURCE
#include "identity.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/sysinfo.h>
#include <sys/utsname.h>
#include <time.h>
#include <unistd.h>

#include <linux/random.h>

#include "files.h"
#include "link.h"
#include "protocol.h"

#ifndef AGENT_VERSION
#define AGENT_VERSION "unversioned"
#endif

enum { SEED_LENGTH = 64 };

static bool seeded;

/* The kernel makes it up at the first read: never read it before the seed is in. */
static void put_boot_id(struct bytes *out, uint8_t tag)
{
	char id[64];
	if (file_read_line("/proc/sys/kernel/random/boot_id", id, sizeof(id)) > 0)
		field_put_text(out, tag, id);
}

void verb_hello(struct request *r)
{
	struct bytes out = {0};
	struct utsname name;
	struct sysinfo memory = {0};
	uname(&name);
	/* Not /proc/meminfo: to print it takes a hundred times as long. */
	sysinfo(&memory);
	field_put_u64(&out, 1, PROTOCOL_VERSION);
	field_put_text(&out, 2, name.release);
	if (seeded)
		put_boot_id(&out, 3);
	field_put_u64(&out, 4, (uint64_t)sysconf(_SC_NPROCESSORS_ONLN));
	field_put_u64(&out, 5, (uint64_t)memory.totalram * memory.mem_unit / 1024);
	field_put_text(&out, 6, AGENT_VERSION);
	link_reply(r->id, &out);
}

static int mix_seed(const uint8_t *seed)
{
	struct {
		struct rand_pool_info head;
		uint8_t bytes[SEED_LENGTH];
	} pool = {.head = {.entropy_count = SEED_LENGTH * 8, .buf_size = SEED_LENGTH}};
	memcpy(pool.bytes, seed, SEED_LENGTH);
	int fd = open("/dev/urandom", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		return -1;
	int result = ioctl(fd, RNDADDENTROPY, &pool) < 0 || ioctl(fd, RNDRESEEDCRNG) < 0 ? -1 : 0;
	int error = errno;
	close(fd);
	errno = error;
	return result;
}

void verb_identity(struct request *r)
{
	const uint8_t *seed = NULL;
	uint64_t time_ns = 0;
	const char *hostname = NULL, *machine_id = NULL;
	struct field f;
	while (request_field(r, &f)) {
		if (f.tag == 1 && f.length == SEED_LENGTH)
			seed = f.bytes;
		else if (f.tag == 2)
			time_ns = request_u64(r, &f);
		else if (f.tag == 3)
			hostname = request_text(r, &f);
		else if (f.tag == 4)
			machine_id = request_text(r, &f);
		else
			request_unknown(r, &f);
	}
	if (request_failed(r))
		return;
	if (!seed || !time_ns || !hostname || !*hostname) {
		link_error(r->id, EINVAL, "IDENTITY needs a seed of 64 bytes, a time and a hostname");
		return;
	}
	struct timespec now = {.tv_sec = (time_t)(time_ns / 1000000000),
			       .tv_nsec = (long)(time_ns % 1000000000)};
	const char *step = mix_seed(seed) < 0			      ? "mixing the seed"
			   : clock_settime(CLOCK_REALTIME, &now) < 0	      ? "setting the clock"
			   : sethostname(hostname, strlen(hostname)) < 0	      ? "setting the hostname"
								      : NULL;
	if (step) {
		link_error(r->id, errno, "%s: %s", step, strerror(errno));
		return;
	}
	if (machine_id)
		file_create("/run/katasim/machine-id", machine_id, 0444);
	seeded = true;
	struct bytes out = {0};
	put_boot_id(&out, 1);
	link_reply(r->id, &out);
}
