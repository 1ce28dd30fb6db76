/* A container's root file system and mounts, made inside its own mount namespace. */
#ifndef KATASIM_MOUNTS_H
#define KATASIM_MOUNTS_H

#include "requests.h"

/* One MOUNT field; texts point into the field's own NUL-separated bytes. */
struct mount_entry {
	const char *source;
	const char *destination;
	const char *type;
	const char *options;
};

struct root_spec {
	struct texts lower_serials;
	const char *upper_serial; /* NULL: a tmpfs */
	bool read_only;
	struct mount_entry *mounts;
	size_t mount_count;
	struct texts masked;
	struct texts read_only_paths;
	struct texts sysctls;
};

enum { STEP_TEXT = 256 };

/* All of these run in the container's process: 0, or an errno with words in `text` (STEP_TEXT). */

/* Mounts the overlay at `<folder>/root` and everything of the spec into it. */
int mounts_prepare(const struct root_spec *spec, const char *folder, char *text);
/* Makes that the process's root, for good. */
int mounts_enter(const struct root_spec *spec, char *text);

#endif
