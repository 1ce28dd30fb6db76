/* Who this machine is: HELLO tells, IDENTITY sets. */
#ifndef KATASIM_IDENTITY_H
#define KATASIM_IDENTITY_H

#include "requests.h"

void verb_hello(struct request *r);
void verb_identity(struct request *r);

#endif
