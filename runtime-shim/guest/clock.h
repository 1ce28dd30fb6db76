/* The guest's clock: CLOCK. */
#ifndef KATASIM_CLOCK_H
#define KATASIM_CLOCK_H

#include "requests.h"

void verb_clock(struct request *r);

#endif
