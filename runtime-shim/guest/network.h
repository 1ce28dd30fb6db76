/* The pod's network interface: NETWORK. */
#ifndef KATASIM_NETWORK_H
#define KATASIM_NETWORK_H

#include "requests.h"

void verb_network(struct request *r);

/* Writes "net.ipv4.ip_forward=1" to its file below /proc/sys; 0, or -1 with errno. */
int sysctl_write(const char *assignment);

#endif
