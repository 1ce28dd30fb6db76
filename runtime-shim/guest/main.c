/* /init of a katasim VM: process 1, the container engine and the shim's only peer (PROTOCOL.md). */
#include <signal.h>

#include "boot.h"
#include "clone.h"
#include "link.h"
#include "log.h"
#include "loop.h"
#include "processes.h"
#include "uevents.h"

int main(int count, char **arguments)
{
	if (count > 0)
		clone_set_name(arguments[0]);
	signal(SIGPIPE, SIG_IGN);
	boot();
	loop_init();
	processes_open();
	uevents_open();
	link_open();
	note("ready");
	loop_run();
}
