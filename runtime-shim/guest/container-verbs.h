/* What can be done with a container that is there. */
#ifndef KATASIM_CONTAINER_VERBS_H
#define KATASIM_CONTAINER_VERBS_H

#include "requests.h"

void verb_start(struct request *r);
void verb_exec(struct request *r);
void verb_signal(struct request *r);
void verb_resize(struct request *r);
void verb_update(struct request *r);
void verb_pause(struct request *r);
void verb_resume(struct request *r);
void verb_processes(struct request *r);

#endif
