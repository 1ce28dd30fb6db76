/* Builds and sends rtnetlink messages: link, address, route. */
#define _GNU_SOURCE
#include "netlink.h"

#include <arpa/inet.h>
#include <errno.h>
#include <net/if.h>
#include <stdbool.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <unistd.h>

#include <linux/if_addr.h>
#include <linux/netlink.h>
#include <linux/rtnetlink.h>

struct message {
	struct nlmsghdr header;
	char body[512];
};

static void *start(struct message *m, uint16_t type, uint16_t flags, size_t length)
{
	memset(m, 0, sizeof(*m));
	m->header.nlmsg_type = type;
	m->header.nlmsg_flags = (uint16_t)(NLM_F_REQUEST | NLM_F_ACK | flags);
	m->header.nlmsg_len = (uint32_t)NLMSG_LENGTH(length);
	return m->body;
}

static void attribute(struct message *m, uint16_t type, const void *data, size_t length)
{
	char *at = (char *)m + NLMSG_ALIGN(m->header.nlmsg_len);
	struct rtattr a = {.rta_len = (uint16_t)RTA_LENGTH(length), .rta_type = type};
	memcpy(at, &a, sizeof(a));
	memcpy(at + RTA_LENGTH(0), data, length);
	m->header.nlmsg_len = (uint32_t)(NLMSG_ALIGN(m->header.nlmsg_len) + RTA_LENGTH(length));
}

static int transact(struct message *m)
{
	int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_ROUTE);
	if (fd < 0)
		return -1;
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
		char rest[1024];
	} answer;
	int result = -1;
	if (send(fd, m, m->header.nlmsg_len, 0) >= 0 && recv(fd, &answer, sizeof(answer), 0) > 0) {
		errno = -answer.error.error;
		result = answer.header.nlmsg_type == NLMSG_ERROR && errno == 0 ? 0 : -1;
	}
	int error = errno;
	close(fd);
	errno = error;
	return result;
}

static int index_of(const char *name)
{
	int index = (int)if_nametoindex(name);
	if (index == 0)
		errno = ENODEV;
	return index;
}

int netlink_link_up(const char *name)
{
	struct message m;
	struct ifinfomsg *i = start(&m, RTM_NEWLINK, 0, sizeof(*i));
	i->ifi_index = index_of(name);
	i->ifi_flags = i->ifi_change = IFF_UP;
	return i->ifi_index ? transact(&m) : -1;
}

int netlink_link_set(const char *name, const uint8_t *mac, const char *new_name, uint32_t mtu)
{
	struct message m;
	struct ifinfomsg *i = start(&m, RTM_NEWLINK, 0, sizeof(*i));
	i->ifi_index = index_of(name);
	if (mac)
		attribute(&m, IFLA_ADDRESS, mac, 6);
	if (mtu)
		attribute(&m, IFLA_MTU, &mtu, sizeof(mtu));
	if (new_name)
		attribute(&m, IFLA_IFNAME, new_name, strlen(new_name) + 1);
	return i->ifi_index ? transact(&m) : -1;
}

/* "10.0.0.1/24" into family, bytes and prefix length; false when it is no address. */
static bool parse_prefix(const char *text, uint8_t *family, uint8_t bytes[16], uint8_t *prefix)
{
	char copy[64];
	size_t length = strcspn(text, "/ ");
	if (length >= sizeof(copy))
		return false;
	memcpy(copy, text, length);
	copy[length] = '\0';
	*family = strchr(copy, ':') ? AF_INET6 : AF_INET;
	long most = *family == AF_INET6 ? 128 : 32;
	long bits = text[length] == '/' ? strtol(text + length + 1, NULL, 10) : most;
	*prefix = (uint8_t)bits;
	return bits >= 0 && bits <= most && inet_pton(*family, copy, bytes) == 1;
}

int netlink_address_add(const char *name, const char *address)
{
	struct message m;
	uint8_t bytes[16];
	struct ifaddrmsg *a = start(&m, RTM_NEWADDR, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*a));
	if (!parse_prefix(address, &a->ifa_family, bytes, &a->ifa_prefixlen)) {
		errno = EINVAL;
		return -1;
	}
	a->ifa_index = (uint32_t)index_of(name);
	size_t length = a->ifa_family == AF_INET6 ? 16 : 4;
	/* The address is the pod's own: duplicate detection would only delay its use by a second. */
	a->ifa_flags = a->ifa_family == AF_INET6 ? IFA_F_NODAD : 0;
	attribute(&m, IFA_LOCAL, bytes, length);
	attribute(&m, IFA_ADDRESS, bytes, length);
	if (a->ifa_family == AF_INET && a->ifa_prefixlen < 31) {
		uint32_t host = ntohl(*(uint32_t *)(void *)bytes);
		uint32_t broadcast = htonl(host | (0xffffffffU >> a->ifa_prefixlen));
		attribute(&m, IFA_BROADCAST, &broadcast, sizeof(broadcast));
	}
	return a->ifa_index ? transact(&m) : -1;
}

int netlink_route_add(const char *name, const char *route)
{
	struct message m;
	uint8_t target[16], gateway[16], family, unused;
	struct rtmsg *r = start(&m, RTM_NEWROUTE, NLM_F_CREATE | NLM_F_REPLACE, sizeof(*r));
	const char *via = strstr(route, " via ");
	const char *link = strstr(route, " link");
	if (!parse_prefix(route, &r->rtm_family, target, &r->rtm_dst_len) || (!via && !link) ||
	    (via && (!parse_prefix(via + 5, &family, gateway, &unused) || family != r->rtm_family))) {
		errno = EINVAL;
		return -1;
	}
	size_t length = r->rtm_family == AF_INET6 ? 16 : 4;
	uint32_t index = (uint32_t)index_of(name);
	r->rtm_table = RT_TABLE_MAIN;
	r->rtm_protocol = RTPROT_BOOT;
	r->rtm_scope = via ? RT_SCOPE_UNIVERSE : RT_SCOPE_LINK;
	r->rtm_type = RTN_UNICAST;
	if (r->rtm_dst_len > 0)
		attribute(&m, RTA_DST, target, length);
	if (via)
		attribute(&m, RTA_GATEWAY, gateway, length);
	attribute(&m, RTA_OIF, &index, sizeof(index));
	return index ? transact(&m) : -1;
}
