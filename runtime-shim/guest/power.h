/* The end of the machine: SHUTDOWN. */
#ifndef KATASIM_POWER_H
#define KATASIM_POWER_H

#include "requests.h"

void verb_shutdown(struct request *r);

#endif
