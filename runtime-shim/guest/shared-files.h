/* Files the host copies in and reads: WRITE_FILE, REMOVE_PATH, READ_FILE, confined to one folder. */
#ifndef KATASIM_SHARED_FILES_H
#define KATASIM_SHARED_FILES_H

#include "requests.h"

#define SHARED_FOLDER "/run/katasim/shared"

void verb_write_file(struct request *r);
void verb_remove_path(struct request *r);
void verb_read_file(struct request *r);
/* The part behind the shared folder; NULL when the path leads out of it. */
const char *shared_inner_path(const char *path);

#endif
