/* Tells waiters that a device has come: the kernel's own announcements, no polling. */
#ifndef KATASIM_UEVENTS_H
#define KATASIM_UEVENTS_H

#include "loop.h"

/* A wait for a device. `try` is called at once and whenever a device was added. */
struct device_wait {
	struct timer deadline;
	struct device_wait *next;
	/* True when the device is there: the wait is over, and the owner may be freed by `try`. */
	bool (*try)(struct device_wait *wait);
	void (*missed)(struct device_wait *wait);
};

void uevents_open(void);
void device_wait_start(struct device_wait *wait, int64_t timeout_ms);

#endif
