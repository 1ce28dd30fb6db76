/* What containers and the sandbox use: STATS. */
#ifndef KATASIM_STATS_H
#define KATASIM_STATS_H

#include "requests.h"

void verb_stats(struct request *r);

#endif
