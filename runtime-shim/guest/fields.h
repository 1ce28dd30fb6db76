/* Fields of PROTOCOL.md (tag, length, bytes): a reader over a frame body and writers. Pure. */
#ifndef KATASIM_FIELDS_H
#define KATASIM_FIELDS_H

#include "bytes.h"

struct field {
	uint8_t tag;
	uint32_t length;
	const uint8_t *bytes;
};

struct field_reader {
	const uint8_t *at;
	const uint8_t *end;
};

/* 1: a field. 0: the end. -1: malformed. */
int field_next(struct field_reader *r, struct field *f);
/* False unless the field has exactly 8 bytes. */
bool field_u64(const struct field *f, uint64_t *value);
/* False when there is a NUL inside: no path or argument can hold one. */
bool field_is_text(const struct field *f);

void field_put(struct bytes *b, uint8_t tag, const void *data, size_t length);
void field_put_u64(struct bytes *b, uint8_t tag, uint64_t value);
void field_put_text(struct bytes *b, uint8_t tag, const char *text);

#endif
