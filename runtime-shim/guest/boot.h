/* What process 1 owes the machine before anything else can run. */
#ifndef KATASIM_BOOT_H
#define KATASIM_BOOT_H

/* Mounts, leaves the initramfs, loads modules, brings up loopback. Ends the machine on failure. */
void boot(void);

#endif
