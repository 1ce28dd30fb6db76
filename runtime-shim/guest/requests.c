/* Dispatches requests by verb; parses fields into texts and lists that live as long as the call. */
#define _GNU_SOURCE
#include "requests.h"

#include <errno.h>
#include <stdio.h>
#include <string.h>

#include "clock.h"
#include "container-verbs.h"
#include "containers.h"
#include "dial.h"
#include "disks.h"
#include "identity.h"
#include "link.h"
#include "listeners.h"
#include "network.h"
#include "power.h"
#include "protocol.h"
#include "sandbox.h"
#include "shared-files.h"
#include "stats.h"

typedef void verb_handler(struct request *r);

static verb_handler *const handlers[] = {
	[VERB_HELLO] = verb_hello,
	[VERB_IDENTITY] = verb_identity,
	[VERB_NETWORK] = verb_network,
	[VERB_MOUNT_DISK] = verb_mount_disk,
	[VERB_UNMOUNT_DISK] = verb_unmount_disk,
	[VERB_WRITE_FILE] = verb_write_file,
	[VERB_REMOVE_PATH] = verb_remove_path,
	[VERB_CREATE_CONTAINER] = verb_create_container,
	[VERB_START] = verb_start,
	[VERB_EXEC] = verb_exec,
	[VERB_SIGNAL] = verb_signal,
	[VERB_RESIZE] = verb_resize,
	[VERB_REMOVE_CONTAINER] = verb_remove_container,
	[VERB_UPDATE] = verb_update,
	[VERB_STATS] = verb_stats,
	[VERB_PROCESSES] = verb_processes,
	[VERB_PAUSE] = verb_pause,
	[VERB_RESUME] = verb_resume,
	[VERB_DIAL] = verb_dial,
	[VERB_SHUTDOWN] = verb_shutdown,
	[VERB_SANDBOX] = verb_sandbox,
	[VERB_CLOCK] = verb_clock,
	[VERB_READ_FILE] = verb_read_file,
	[VERB_LISTENERS] = verb_listeners,
};

/*
 * Texts and pointer lists of one request. Doubling lists take up to 2 * 8 bytes for each field of
 * 5 bytes and more: four frames' worth is enough for any request that fits in one. Untouched pages
 * of it cost nothing.
 */
static char arena[4 * FRAME_MAX_LENGTH];
static size_t arena_used;

static void *take(struct request *r, size_t length, size_t align)
{
	size_t at = (arena_used + align - 1) & ~(align - 1);
	if (length > sizeof(arena) - at || at > sizeof(arena)) {
		snprintf(r->problem, sizeof(r->problem), "the request is too large");
		return NULL;
	}
	arena_used = at + length;
	return arena + at;
}

void request_restart(struct request *r, uint32_t id, const uint8_t *fields, size_t length)
{
	*r = (struct request){.id = id, .fields = {.at = fields, .end = fields + length}};
	arena_used = 0;
}

void request_handle(uint32_t id, uint8_t verb, const uint8_t *fields, size_t length)
{
	struct request r;
	request_restart(&r, id, fields, length);
	if (verb >= sizeof(handlers) / sizeof(*handlers) || !handlers[verb])
		link_error(id, ENOSYS, "unknown verb %u", verb);
	else
		handlers[verb](&r);
}

bool request_field(struct request *r, struct field *f)
{
	if (r->problem[0])
		return false;
	int got = field_next(&r->fields, f);
	if (got < 0)
		snprintf(r->problem, sizeof(r->problem), "malformed fields");
	return got > 0;
}

uint64_t request_u64(struct request *r, const struct field *f)
{
	uint64_t value = 0;
	if (!field_u64(f, &value))
		snprintf(r->problem, sizeof(r->problem), "field %u is not a number of 8 bytes", f->tag);
	return value;
}

const char *request_bytes(struct request *r, const struct field *f)
{
	char *text = take(r, (size_t)f->length + 1, 1);
	if (!text)
		return "";
	memcpy(text, f->bytes, f->length);
	text[f->length] = '\0';
	return text;
}

const char *request_text(struct request *r, const struct field *f)
{
	if (!field_is_text(f)) {
		snprintf(r->problem, sizeof(r->problem), "field %u holds a NUL byte", f->tag);
		return "";
	}
	return request_bytes(r, f);
}

void request_list(struct request *r, struct texts *list, const struct field *f)
{
	const char *text = request_text(r, f);
	/* Capacity is the next power of two above the count, from 8: grow when it is reached. */
	bool full = list->count == 0 || (list->count >= 7 && ((list->count + 1) & list->count) == 0);
	if (full) {
		size_t capacity = list->count == 0 ? 8 : (list->count + 1) * 2;
		const char **items = take(r, capacity * sizeof(*items), sizeof(*items));
		if (!items)
			return;
		if (list->count > 0)
			memcpy(items, list->items, list->count * sizeof(*items));
		list->items = items;
	}
	list->items[list->count++] = text;
	list->items[list->count] = NULL;
}

void request_unknown(struct request *r, const struct field *f)
{
	snprintf(r->problem, sizeof(r->problem), "unknown or misplaced field %u", f->tag);
}

bool request_failed(struct request *r)
{
	if (r->problem[0])
		link_error(r->id, EINVAL, "%s", r->problem);
	return r->problem[0] != '\0';
}
