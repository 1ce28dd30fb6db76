/* Decodes and encodes the frames of PROTOCOL.md. Pure, so that it is also tested on the host. */
#include "frames.h"

#include <string.h>

uint32_t read_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

void write_u32(uint8_t *at, uint32_t value)
{
	at[0] = (uint8_t)(value >> 24);
	at[1] = (uint8_t)(value >> 16);
	at[2] = (uint8_t)(value >> 8);
	at[3] = (uint8_t)value;
}

uint64_t read_u64(const uint8_t *at)
{
	return (uint64_t)read_u32(at) << 32 | read_u32(at + 4);
}

void write_u64(uint8_t *at, uint64_t value)
{
	write_u32(at, (uint32_t)(value >> 32));
	write_u32(at + 4, (uint32_t)value);
}

uint8_t *frame_space(struct frame_decoder *d, size_t *room)
{
	if (d->start > 0) {
		memmove(d->buffer, d->buffer + d->start, d->end - d->start);
		d->end -= d->start;
		d->start = 0;
	}
	*room = sizeof(d->buffer) - d->end;
	return d->buffer + d->end;
}

void frame_filled(struct frame_decoder *d, size_t length)
{
	d->end += length;
}

/* What a body may be, by kind: everything else is refused before anybody looks into it. */
static int body_is_legal(uint8_t kind, uint32_t length)
{
	switch (kind) {
	case FRAME_REQUEST:
		return length >= 1;
	case FRAME_DATA:
		return length <= DATA_MAX;
	case FRAME_WINDOW:
		return length == 4;
	case FRAME_RESET:
		return length == 0;
	default: /* REPLY and EVENT go from guest to host only */
		return 0;
	}
}

int frame_next(struct frame_decoder *d, struct frame *frame)
{
	size_t have = d->end - d->start;
	if (have < 4)
		return 0;
	const uint8_t *at = d->buffer + d->start;
	uint32_t length = read_u32(at);
	if (length < FRAME_MIN_LENGTH || length > FRAME_MAX_LENGTH)
		return -1;
	if (have >= FRAME_HEADER && !body_is_legal(at[4], length - FRAME_MIN_LENGTH))
		return -1;
	if (have - 4 < length)
		return 0;
	*frame = (struct frame){
		.kind = at[4],
		.id = read_u32(at + 5),
		.body = at + FRAME_HEADER,
		.length = length - FRAME_MIN_LENGTH,
	};
	d->start += 4 + (size_t)length;
	return 1;
}

void frame_header(uint8_t out[FRAME_HEADER], uint8_t kind, uint32_t id, uint32_t body_length)
{
	write_u32(out, body_length + FRAME_MIN_LENGTH);
	out[4] = kind;
	write_u32(out + 5, id);
}
