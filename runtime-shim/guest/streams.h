/* Streams of PROTOCOL.md: bytes between the host and a program or socket, with credit windows. */
#ifndef KATASIM_STREAMS_H
#define KATASIM_STREAMS_H

#include "bytes.h"
#include "loop.h"

/* Guest to host: what a program or socket says. Owns its descriptor; frees itself at its end. */
struct source {
	struct watch watch;
	struct timer quiet;
	/* Of an ended program: bytes that were in the pipe at its end, and limits to the waiting. */
	uint64_t owed;
	int64_t give_up_ms;
	int64_t progress_ms;
	struct source *next;
	uint32_t id;
	uint64_t window;
	void (*ended)(void *owner);
	void *owner;
};

/* Host to guest: what a program or socket is told. Owns its descriptor; frees itself at its end. */
struct sink {
	struct watch watch;
	struct sink *next;
	uint32_t id;
	struct bytes pending;
	uint32_t uncredited;
	bool closing;
	bool is_socket;
	void (*ended)(void *owner);
	void *owner;
};

/* False when the host uses this id already. */
bool stream_id_is_free(uint32_t id);

/* `ended` (may be NULL) is called once, after the end of the stream was sent. NULL: no memory. */
struct source *source_open(uint32_t id, int fd, void (*ended)(void *), void *owner);
/*
 * The program has gone: what is in the pipe is still delivered. A descriptor that a left-over
 * background process keeps open is closed once it has been silent for a moment, or after two seconds
 * of its words; one whose host takes nothing is closed too, or the exit would never be told.
 */
void source_drain(struct source *s);
/* Closes at once without a word to the host. */
void source_close(struct source *s);

struct sink *sink_open(uint32_t id, int fd, bool is_socket, void (*ended)(void *), void *owner);
void sink_close(struct sink *s);

/* Frames from the host. An unknown id is a stream that has just ended: nothing to do. */
void stream_data(uint32_t id, const uint8_t *data, uint32_t length);
void stream_window(uint32_t id, uint32_t credit);
void stream_reset(uint32_t id);
/* The link has room again. */
void streams_resume(void);
/* The host has gone: what programs write is thrown away from now on. */
void streams_disconnected(void);

#endif
