/* Path walks that a container's links cannot lead astray (openat2). */
#ifndef KATASIM_PATHS_H
#define KATASIM_PATHS_H

#include <stdbool.h>

enum path_rule {
	/* Links are followed as if the folder were "/": for mount points in a container's root. */
	PATH_IN_ROOT,
	/* Links that stay below the folder are followed: for sources in a volume. */
	PATH_BENEATH,
	/* No links at all: for writing into a volume. */
	PATH_NO_LINKS,
};

/* True when a component is "." or "..". */
bool path_has_dots(const char *path);
/* An O_PATH descriptor of what `path` names from the folder `root`, or -1 with errno. */
int path_open(int root, const char *path, enum path_rule rule);
/* As path_open, and makes missing folders (0755) on the way. */
int path_make_folder(int root, const char *path, enum path_rule rule);
/* As path_open, and makes the folders before it and an empty file. */
int path_make_file(int root, const char *path, enum path_rule rule);
/* Removes name and all below it, never through links; success when it is gone already. */
int path_remove_tree(int parent, const char *name);

#endif
