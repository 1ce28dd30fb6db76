/* The agent's log: lines in the kernel's ring, so that dmesg and the console show them in order. */
#ifndef KATASIM_LOG_H
#define KATASIM_LOG_H

void log_open(void);
/* An information line; the `quiet` kernel option keeps it off the console. */
void note(const char *format, ...) __attribute__((format(printf, 1, 2)));
/* A warning with the text of errno; shown on the console. Keeps errno. */
void warn(const char *what);
/* As warn, then ends process 1: the kernel panics and, with panic=-1, the machine stops. */
_Noreturn void die(const char *what);

#endif
