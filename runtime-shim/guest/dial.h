/* Port-forward: DIAL. */
#ifndef KATASIM_DIAL_H
#define KATASIM_DIAL_H

#include "requests.h"

void verb_dial(struct request *r);

#endif
