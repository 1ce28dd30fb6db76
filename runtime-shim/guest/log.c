/* Log lines into /dev/kmsg: never blocks, and needs no file system. */
#include "log.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

static int kmsg = -1;

void log_open(void)
{
	kmsg = open("/dev/kmsg", O_WRONLY | O_CLOEXEC);
}

static void put(char level, const char *text)
{
	char line[512];
	int n = snprintf(line, sizeof(line), "<%c>katasim-agent: %s\n", level, text);
	if (n >= (int)sizeof(line))
		n = (int)sizeof(line) - 1;
	if (kmsg >= 0 && write(kmsg, line, (size_t)n) < 0)
		return; /* a log that cannot be written has nobody to tell */
}

void note(const char *format, ...)
{
	char text[400];
	va_list list;
	va_start(list, format);
	vsnprintf(text, sizeof(text), format, list);
	va_end(list);
	put('6', text);
}

void warn(const char *what)
{
	int error = errno;
	char text[400];
	snprintf(text, sizeof(text), "%s: %s", what, strerror(error));
	put('4', text);
	errno = error;
}

_Noreturn void die(const char *what)
{
	warn(what);
	_exit(1);
}
