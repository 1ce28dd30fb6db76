/* The few rtnetlink messages the guest needs. Synchronous: the kernel answers at once. */
#ifndef KATASIM_NETLINK_H
#define KATASIM_NETLINK_H

#include <stdint.h>

/* Each: 0, or -1 with errno from the kernel. */
int netlink_link_up(const char *name);
/* Sets MAC (6 bytes) and name where not NULL, MTU where not 0; the link must be down for these. */
int netlink_link_set(const char *name, const uint8_t *mac, const char *new_name, uint32_t mtu);
/* "10.244.0.5/24" or "fd00::5/64". */
int netlink_address_add(const char *name, const char *address);
/* "0.0.0.0/0 via 10.244.0.1" or "10.244.0.0/24 link". */
int netlink_route_add(const char *name, const char *route);

#endif
