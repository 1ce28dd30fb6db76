/* Reads and writes the fields of PROTOCOL.md. Pure, so that it is also tested on the host. */
#include "fields.h"

#include <string.h>

#include "frames.h"

int field_next(struct field_reader *r, struct field *f)
{
	size_t left = (size_t)(r->end - r->at);
	if (left == 0)
		return 0;
	if (left < FIELD_HEADER)
		return -1;
	uint32_t length = read_u32(r->at + 1);
	if (length > left - FIELD_HEADER)
		return -1;
	*f = (struct field){.tag = r->at[0], .length = length, .bytes = r->at + FIELD_HEADER};
	r->at += FIELD_HEADER + (size_t)length;
	return 1;
}

bool field_u64(const struct field *f, uint64_t *value)
{
	if (f->length != 8)
		return false;
	*value = read_u64(f->bytes);
	return true;
}

bool field_is_text(const struct field *f)
{
	return f->length == 0 || !memchr(f->bytes, 0, f->length);
}

/* A reply never grows past one frame: what does not fit is left out, as host bounds demand. */
void field_put(struct bytes *b, uint8_t tag, const void *data, size_t length)
{
	uint8_t *room = bytes_reserve(b, FIELD_HEADER + length, FRAME_MAX_LENGTH - 64);
	if (!room)
		return;
	room[0] = tag;
	write_u32(room + 1, (uint32_t)length);
	if (length > 0)
		memcpy(room + FIELD_HEADER, data, length);
	b->end += FIELD_HEADER + length;
}

void field_put_u64(struct bytes *b, uint8_t tag, uint64_t value)
{
	uint8_t wire[8];
	write_u64(wire, value);
	field_put(b, tag, wire, sizeof(wire));
}

void field_put_text(struct bytes *b, uint8_t tag, const char *text)
{
	field_put(b, tag, text, strlen(text));
}
