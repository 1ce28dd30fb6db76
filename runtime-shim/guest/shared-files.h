/* Files the host copies in: WRITE_FILE and REMOVE_PATH, confined to one folder. */
#ifndef KATASIM_SHARED_FILES_H
#define KATASIM_SHARED_FILES_H

#include "requests.h"

#define SHARED_FOLDER "/run/katasim/shared"

void verb_write_file(struct request *r);
void verb_remove_path(struct request *r);

#endif
