/* Parses mount options. Pure, so that it is also tested on the host. */
#include "mount-options.h"

#include <string.h>
#include <sys/mount.h>

static const struct {
	const char *name;
	unsigned long set;
	unsigned long clear;
} flags[] = {
	{"ro", MS_RDONLY, 0},
	{"rw", 0, MS_RDONLY},
	{"nosuid", MS_NOSUID, 0},
	{"suid", 0, MS_NOSUID},
	{"nodev", MS_NODEV, 0},
	{"dev", 0, MS_NODEV},
	{"noexec", MS_NOEXEC, 0},
	{"exec", 0, MS_NOEXEC},
	{"sync", MS_SYNCHRONOUS, 0},
	{"async", 0, MS_SYNCHRONOUS},
	{"dirsync", MS_DIRSYNC, 0},
	{"noatime", MS_NOATIME, 0},
	{"atime", 0, MS_NOATIME},
	{"nodiratime", MS_NODIRATIME, 0},
	{"diratime", 0, MS_NODIRATIME},
	{"relatime", MS_RELATIME, 0},
	{"norelatime", 0, MS_RELATIME},
	{"strictatime", MS_STRICTATIME, 0},
	{"nostrictatime", 0, MS_STRICTATIME},
	{"bind", MS_BIND, 0},
	{"rbind", MS_BIND | MS_REC, 0},
	{"defaults", 0, 0},
};

/* Nothing else shares a container's mounts in this machine: propagation has no one to reach. */
static const char *const propagations[] = {"private", "rprivate", "slave",      "rslave",
					   "shared",  "rshared",  "unbindable", "runbindable"};

static bool is(const char *word, size_t length, const char *name)
{
	return strlen(name) == length && memcmp(word, name, length) == 0;
}

static bool known(const char *word, size_t length, struct mount_options *out)
{
	for (size_t i = 0; i < sizeof(flags) / sizeof(*flags); i++) {
		if (is(word, length, flags[i].name)) {
			out->flags = (out->flags & ~flags[i].clear) | flags[i].set;
			return true;
		}
	}
	for (size_t i = 0; i < sizeof(propagations) / sizeof(*propagations); i++)
		if (is(word, length, propagations[i]))
			return true;
	return false;
}

bool mount_options_parse(const char *text, struct mount_options *out)
{
	size_t used = 0;
	*out = (struct mount_options){0};
	while (*text) {
		size_t length = strcspn(text, ",");
		if (length > 0 && !known(text, length, out)) {
			if (used + length + 2 > sizeof(out->data))
				return false;
			if (used > 0)
				out->data[used++] = ',';
			memcpy(out->data + used, text, length);
			used += length;
		}
		text += length + (text[length] == ',');
	}
	out->data[used] = '\0';
	return true;
}
