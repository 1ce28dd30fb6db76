/* NETWORK: waits for the interface by its MAC, then sets MAC, name, MTU, addresses, routes, sysctls. */
#define _GNU_SOURCE
#include "network.h"

#include <dirent.h>
#include <errno.h>
#include <net/if.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "files.h"
#include "link.h"
#include "netlink.h"
#include "uevents.h"

enum { INTERFACE_TIMEOUT_MS = 10000 };

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

static bool find_interface(const char *mac, char name[IF_NAMESIZE])
{
	DIR *dir = opendir("/sys/class/net");
	struct dirent *entry;
	bool found = false;
	while (dir && !found && (entry = readdir(dir))) {
		char path[300], address[64];
		snprintf(path, sizeof(path), "/sys/class/net/%s/address", entry->d_name);
		found = entry->d_name[0] != '.' && file_read_line(path, address, sizeof(address)) > 0 &&
			strcasecmp(address, mac) == 0;
		if (found)
			snprintf(name, IF_NAMESIZE, "%.15s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool parse_mac(const char *text, uint8_t mac[6])
{
	char end;
	return sscanf(text, "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx%c", &mac[0], &mac[1], &mac[2], &mac[3],
		      &mac[4], &mac[5], &end) == 6;
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
