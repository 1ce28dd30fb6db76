/* The last steps to a program: limits, user, capabilities, execve. */
#ifndef KATASIM_PROGRAM_H
#define KATASIM_PROGRAM_H

#include "specs.h"

/* Only returns on failure: an errno, with words as runc has them in `text` (STEP_TEXT bytes). */
int program_become(const struct process_spec *spec, bool make_cwd, char *text);

#endif
