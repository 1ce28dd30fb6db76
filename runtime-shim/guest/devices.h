/* Which device nodes a container may use: the OCI runtime spec's device rules on cgroup version 2. */
#ifndef KATASIM_DEVICES_H
#define KATASIM_DEVICES_H

#include "requests.h"

/* Puts the rules on the cgroup, for good; on failure -1 with errno. */
int devices_restrict(int cgroup, const struct texts *rules);

#endif
