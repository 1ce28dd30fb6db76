/* What all containers of the pod share, beside the network: SANDBOX. */
#ifndef KATASIM_SANDBOX_H
#define KATASIM_SANDBOX_H

#include "requests.h"

void verb_sandbox(struct request *r);

#endif
