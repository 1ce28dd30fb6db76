/* Takes processors into use that were plugged into the running VM. */
#ifndef KATASIM_PROCESSORS_H
#define KATASIM_PROCESSORS_H

/* `device` as a uevent names it: "/devices/system/cpu/cpu2". Nothing happens for other devices. */
void processor_added(const char *device);

#endif
