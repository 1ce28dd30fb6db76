/* NETWORK: waits for the interface by its MAC, then sets MAC, name, MTU, addresses, routes, sysctls. */
#define _GNU_SOURCE
#include "network.h"

#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <unistd.h>

#include "files.h"
#include "link.h"
#include "log.h"
#include "loop.h"
#include "netlink.h"
#include "uevents.h"

enum {
	INTERFACE_TIMEOUT_MS = 10000,
	IPV6_DELAY_MS = 2000,
	MAX_INTERFACE_INDEX = 256, /* indices are not used twice: of all that were ever plugged */
};

/*
 * The interface that is there at boot comes up without IPv6, whose neighbour discovery would stand in the
 * way of a pod's first program; no program can count on it sooner, for its link-local address is tentative
 * for the first second anywhere.
 */
static struct {
	struct timer timer;
	char path[80]; /* of the setting that keeps it off; empty: it is on, or nobody's yet */
} ipv6;

struct network {
	const char *mac;
	const char *set_mac;
	const char *name;
	uint64_t mtu;
	struct texts addresses;
	struct texts routes;
	struct texts sysctls;
};

/* A request that waits for its interface: the fields are parsed again when it is there. */
struct network_wait {
	struct device_wait wait;
	uint32_t request;
	char mac[32];
	size_t length;
	uint8_t fields[];
};

static bool parse_mac(const char *text, uint8_t mac[6])
{
	char end;
	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2], &mac[3],
		      &mac[4], &mac[5], &end) == 6;
}

/* By the kernel's calls: /sys/class/net would take a folder, links and files for each. */
static bool find_interface(const char *wanted, char name[IF_NAMESIZE])
{
	uint8_t mac[6];
	bool found = false;
	int fd = parse_mac(wanted, mac) ? socket(AF_INET, SOCK_DGRAM | SOCK_CLOEXEC, 0) : -1;
	for (int index = 1; fd >= 0 && !found && index <= MAX_INTERFACE_INDEX; index++) {
		struct ifreq r = {.ifr_ifindex = index};
		if (ioctl(fd, SIOCGIFNAME, &r) < 0)
			continue;
		found = ioctl(fd, SIOCGIFHWADDR, &r) == 0 && memcmp(r.ifr_hwaddr.sa_data, mac, 6) == 0;
		if (found)
			snprintf(name, IF_NAMESIZE, "%.15s", r.ifr_name);
	}
	if (fd >= 0)
		close(fd);
	return found;
}

static void enable_ipv6(void)
{
	timer_stop(&ipv6.timer);
	if (ipv6.path[0] && file_write(ipv6.path, "0") < 0)
		warn(ipv6.path);
	ipv6.path[0] = '\0';
}

static void ipv6_is_due(struct timer *t)
{
	(void)t;
	enable_ipv6();
}

int sysctl_write(const char *assignment)
{
	char path[300] = "/proc/sys/";
	const char *value = strchr(assignment, '=');
	size_t at = strlen(path);
	if (!value || at + (size_t)(value - assignment) >= sizeof(path)) {
		errno = EINVAL;
		return -1;
	}
	/* A slash in a name stands for a dot in an interface's name, as sysctl(8) has it. */
	for (const char *from = assignment; from < value; from++)
		path[at++] = *from == '.' ? '/' : *from == '/' ? '.' : *from;
	path[at] = '\0';
	if (strstr(path, "/../")) {
		errno = EINVAL;
		return -1;
	}
	/* What is set must not be undone by what comes later. */
	if (strncmp(path, "/proc/sys/net/ipv6/", 19) == 0)
		enable_ipv6();
	return file_write(path, value + 1);
}

static bool parse(struct request *r, struct network *n)
{
	struct field f;
	*n = (struct network){.mac = "", .name = ""};
	while (request_field(r, &f)) {
		if (f.tag == 1)
			n->mac = request_text(r, &f);
		else if (f.tag == 2)
			n->set_mac = request_text(r, &f);
		else if (f.tag == 3)
			n->name = request_text(r, &f);
		else if (f.tag == 4)
			request_list(r, &n->addresses, &f);
		else if (f.tag == 5)
			n->mtu = request_u64(r, &f);
		else if (f.tag == 6)
			request_list(r, &n->routes, &f);
		else if (f.tag == 7)
			request_list(r, &n->sysctls, &f);
		else
			request_unknown(r, &f);
	}
	return !request_failed(r);
}

static bool each(struct request *r, const struct texts *list, const char *what, const char *name,
		 int (*set)(const char *name, const char *text))
{
	for (size_t i = 0; i < list->count; i++) {
		if (set(name, list->items[i]) < 0) {
			link_error(r->id, errno, "%s %s: %s", what, list->items[i], strerror(errno));
			return false;
		}
	}
	return true;
}

static int set_sysctl(const char *name, const char *assignment)
{
	(void)name;
	return sysctl_write(assignment);
}

static void plan_ipv6(const struct network *n)
{
	bool has_address = false;
	for (size_t i = 0; i < n->addresses.count; i++)
		has_address = has_address || strchr(n->addresses.items[i], ':');
	snprintf(ipv6.path, sizeof(ipv6.path), "/proc/sys/net/ipv6/conf/%.15s/disable_ipv6", n->name);
	if (has_address)
		enable_ipv6();
	else
		timer_start(&ipv6.timer, IPV6_DELAY_MS, ipv6_is_due);
}

/* The order is the kernel's: name and MAC before up, up before routes. */
static void apply(struct request *r, const char *found)
{
	struct network n;
	uint8_t mac[6];
	if (!parse(r, &n))
		return;
	if (n.set_mac && !parse_mac(n.set_mac, mac)) {
		link_error(r->id, EINVAL, "no MAC address: %s", n.set_mac);
		return;
	}
	const char *rename = strcmp(found, n.name) == 0 ? NULL : n.name;
	if (netlink_link_set(found, n.set_mac ? mac : NULL, rename, (uint32_t)n.mtu) < 0) {
		link_error(r->id, errno, "setting up interface %s: %s", n.name, strerror(errno));
		return;
	}
	plan_ipv6(&n);
	if (!each(r, &n.sysctls, "sysctl", n.name, set_sysctl))
		return;
	if (netlink_link_up(n.name) < 0) {
		link_error(r->id, errno, "interface %s: %s", n.name, strerror(errno));
		return;
	}
	if (each(r, &n.addresses, "address", n.name, netlink_address_add) &&
	    each(r, &n.routes, "route", n.name, netlink_route_add))
		link_reply(r->id, NULL);
}

static bool try_apply(struct device_wait *wait)
{
	struct network_wait *w = OWNER_OF(wait, struct network_wait, wait);
	char found[IF_NAMESIZE];
	struct request r;
	if (!find_interface(w->mac, found))
		return false;
	request_restart(&r, w->request, w->fields, w->length);
	apply(&r, found);
	free(w);
	return true;
}

static void interface_missed(struct device_wait *wait)
{
	struct network_wait *w = OWNER_OF(wait, struct network_wait, wait);
	link_error(w->request, ETIMEDOUT, "no network interface with MAC %s came within %d s", w->mac,
		   INTERFACE_TIMEOUT_MS / 1000);
	free(w);
}

void verb_network(struct request *r)
{
	struct field_reader start = r->fields;
	struct network n;
	if (!parse(r, &n))
		return;
	if (strlen(n.mac) != 17 || !*n.name || strlen(n.name) >= IF_NAMESIZE) {
		link_error(r->id, EINVAL, "NETWORK needs a MAC address and a name");
		return;
	}
	size_t length = (size_t)(start.end - start.at);
	struct network_wait *w = calloc(1, sizeof(*w) + length);
	if (!w) {
		link_error(r->id, ENOMEM, "no memory");
		return;
	}
	w->request = r->id;
	w->length = length;
	memcpy(w->fields, start.at, length);
	snprintf(w->mac, sizeof(w->mac), "%s", n.mac);
	w->wait.try = try_apply;
	w->wait.missed = interface_missed;
	device_wait_start(&w->wait, INTERFACE_TIMEOUT_MS);
}
