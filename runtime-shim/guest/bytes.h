/* A byte queue that grows up to a bound: append at the end, take from the start. */
#ifndef KATASIM_BYTES_H
#define KATASIM_BYTES_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

struct bytes {
	uint8_t *data;
	size_t start;
	size_t end;
	size_t capacity;
};

static inline size_t bytes_length(const struct bytes *b)
{
	return b->end - b->start;
}

/* Room for `length` more bytes at the end, or NULL when memory or `bound` (queued bytes) forbids. */
uint8_t *bytes_reserve(struct bytes *b, size_t length, size_t bound);
/* Appends; false (and nothing changed) when it would pass `bound`. */
bool bytes_append(struct bytes *b, const void *data, size_t length, size_t bound);
void bytes_take(struct bytes *b, size_t length);
void bytes_free(struct bytes *b);

#endif
