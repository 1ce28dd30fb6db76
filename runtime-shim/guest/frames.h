/* Frames of PROTOCOL.md: a push decoder over a fixed buffer, and the header encoder. Pure. */
#ifndef KATASIM_FRAMES_H
#define KATASIM_FRAMES_H

#include <stddef.h>
#include <stdint.h>

#include "protocol.h"

struct frame {
	uint8_t kind;
	uint32_t id;
	const uint8_t *body;
	uint32_t length; /* of body */
};

/* Holds at most one frame that is not complete, plus whatever came behind complete ones. */
struct frame_decoder {
	size_t start;
	size_t end;
	uint8_t buffer[4 + FRAME_MAX_LENGTH];
};

/* Where the next input bytes go; never without room once frame_next answered 0. */
uint8_t *frame_space(struct frame_decoder *d, size_t *room);
void frame_filled(struct frame_decoder *d, size_t length);
/*
 * 1: a frame, valid until the next frame_space. 0: more input needed.
 * -1: malformed; the connection cannot be understood from here on.
 */
int frame_next(struct frame_decoder *d, struct frame *frame);
void frame_header(uint8_t out[FRAME_HEADER], uint8_t kind, uint32_t id, uint32_t body_length);

uint32_t read_u32(const uint8_t *at);
void write_u32(uint8_t *at, uint32_t value);
uint64_t read_u64(const uint8_t *at);
void write_u64(uint8_t *at, uint64_t value);

#endif
