/* Mount options in words, as the OCI runtime spec lists them, into flags and data. */
#ifndef KATASIM_MOUNT_OPTIONS_H
#define KATASIM_MOUNT_OPTIONS_H

#include <stdbool.h>
#include <stddef.h>

struct mount_options {
	unsigned long flags;
	char data[512];
};

/* False when the options that are data do not fit. */
bool mount_options_parse(const char *text, struct mount_options *out);

#endif
