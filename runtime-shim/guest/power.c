/* SHUTDOWN: answers, syncs the disks, powers off. */
#include "power.h"

#include <sys/reboot.h>
#include <unistd.h>

#include "cgroups.h"
#include "containers.h"
#include "link.h"
#include "log.h"

void verb_shutdown(struct request *r)
{
	struct field f;
	while (request_field(r, &f))
		request_unknown(r, &f);
	if (request_failed(r))
		return;
	link_reply(r->id, NULL);
	link_flush();
	for (struct container *c = containers_first(); c; c = c->next)
		cgroup_kill(c->cgroup);
	sync();
	reboot(RB_POWER_OFF);
	die("power off");
}
