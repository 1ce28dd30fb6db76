/* What listens in the pod: LISTENERS. */
#ifndef KATASIM_LISTENERS_H
#define KATASIM_LISTENERS_H

#include "requests.h"

void verb_listeners(struct request *r);
/* A program starts, which may listen: looks often again. */
void listeners_expect(void);

#endif
