/* Block devices by serial number: MOUNT_DISK and UNMOUNT_DISK. */
#ifndef KATASIM_DISKS_H
#define KATASIM_DISKS_H

#include "requests.h"

#define DISKS_FOLDER "/run/katasim/disks"

void verb_mount_disk(struct request *r);
void verb_unmount_disk(struct request *r);
/* True for a name that can be a virtio-blk serial and one path component. */
bool serial_is_legal(const char *serial);

#endif
