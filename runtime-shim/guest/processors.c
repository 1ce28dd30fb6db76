/*
 * A plugged processor is offline until somebody writes to its file (Linux: core-api/cpu_hotplug.rst),
 * as a rule udev. Memory needs no such word: memhp_default_state is "online".
 */
#include "processors.h"

#include <stdio.h>
#include <string.h>

#include "files.h"
#include "log.h"

static const char processors[] = "/devices/system/cpu/cpu";

void processor_added(const char *device)
{
	char path[256];
	if (strncmp(device, processors, sizeof(processors) - 1) != 0)
		return;
	snprintf(path, sizeof(path), "/sys%s/online", device);
	if (file_write(path, "1") < 0)
		warn(path);
}
