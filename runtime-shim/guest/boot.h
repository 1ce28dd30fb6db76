/* What process 1 owes the machine before anything else can run. */
#ifndef KATASIM_BOOT_H
#define KATASIM_BOOT_H

#include <stdbool.h>

/* Mounts, leaves the initramfs, loads modules, brings up loopback. Ends the machine on failure. */
void boot(void);
/* Whether the machine has a virtio device of this type (linux/virtio_ids.h). */
bool boot_has_virtio(unsigned long type);
/* What a shared folder needs, at its first use: most sandboxes have none. */
void boot_load_folder_modules(void);

#endif
