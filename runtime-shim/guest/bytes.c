/* A byte queue that grows up to a bound. Pure: no system call but malloc. */
#include "bytes.h"

#include <stdlib.h>
#include <string.h>

uint8_t *bytes_reserve(struct bytes *b, size_t length, size_t bound)
{
	size_t queued = bytes_length(b);
	if (queued > bound || length > bound - queued)
		return NULL;
	if (b->capacity - b->end >= length && b->data)
		return b->data + b->end;
	if (b->start > 0) {
		memmove(b->data, b->data + b->start, queued);
		b->start = 0;
		b->end = queued;
	}
	if (b->capacity - b->end < length || !b->data) {
		size_t wanted = b->capacity ? b->capacity : 256;
		while (wanted < queued + length)
			wanted *= 2;
		uint8_t *grown = realloc(b->data, wanted);
		if (!grown)
			return NULL;
		b->data = grown;
		b->capacity = wanted;
	}
	return b->data + b->end;
}

bool bytes_append(struct bytes *b, const void *data, size_t length, size_t bound)
{
	uint8_t *room = bytes_reserve(b, length, bound);
	if (!room)
		return false;
	if (length > 0)
		memcpy(room, data, length);
	b->end += length;
	return true;
}

void bytes_take(struct bytes *b, size_t length)
{
	b->start += length;
	if (b->start < b->end)
		return;
	b->start = b->end = 0;
	/* A burst must not keep its memory for ever in a VM that may have 128 MiB. */
	if (b->capacity > 64 * 1024)
		bytes_free(b);
}

void bytes_free(struct bytes *b)
{
	free(b->data);
	*b = (struct bytes){0};
}
