/* The connection to the shim: frames in, frames out, nothing else. */
#ifndef KATASIM_LINK_H
#define KATASIM_LINK_H

#include "bytes.h"

/* Opens the way to the host and serves it. Ends the machine without one. */
void link_open(void);

/* `fields` may be NULL; it is freed. */
void link_reply(uint32_t request, struct bytes *fields);
void link_error(uint32_t request, int error, const char *format, ...)
	__attribute__((format(printf, 3, 4)));
void link_event(uint8_t event, struct bytes *fields);
/* An empty body closes the stream's direction. */
void link_data(uint32_t stream, const void *data, size_t length);
void link_window(uint32_t stream, uint32_t credit);
void link_reset(uint32_t stream);
/* False while the host is slow in reading: then streams stop reading their programs. */
bool link_has_room(void);
/* Blocks until everything is with the host, or for a second: only for a shutdown. */
void link_flush(void);

#endif
