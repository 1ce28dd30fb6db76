/*
 * Fuzz target (libFuzzer's interface) for all that reads the host's bytes: frames cut into pieces, then
 * the fields of every request, then the rules and options inside. Nothing is done with what was
 * parsed: handlers and system calls are stood in for here.
 */
#include <errno.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>

#include "../devices.h"
#include "../frames.h"
#include "../mount-options.h"
#include "../requests.h"
#include "../seccomp.h"
#include "../specs.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Reads each byte of a text, so that the sanitizer sees one without an end. */
static size_t touched;
static void touch(const char *text)
{
	if (text)
		touched += strlen(text);
}
static void touch_all(const struct texts *list)
{
	if (list->count > 0 && list->items[list->count] != NULL)
		abort();
	for (size_t i = 0; i < list->count; i++)
		touch(list->items[i]);
}

static void touch_process(const struct process_spec *spec)
{
	touch_all(&spec->args);
	touch_all(&spec->env);
	touch_all(&spec->rlimits);
	touch(spec->cwd);
	if (spec->group_count > GROUPS_MAX)
		abort();
	if (spec->seccomp)
		seccomp_install(spec->seccomp, spec->seccomp_length, 0);
}

void verb_create_container(struct request *r)
{
	static struct container_spec spec;
	struct mount_options options;
	if (!container_spec_parse(r, &spec))
		return;
	touch_process(&spec.process);
	touch_all(&spec.root.lower_serials);
	touch_all(&spec.root.masked);
	for (size_t i = 0; i < spec.root.mount_count; i++) {
		const struct mount_entry *m = &spec.root.mounts[i];
		touch(m->source);
		touch(m->destination);
		touch(m->type);
		if (mount_options_parse(m->options, &options))
			touch(options.data);
	}
	devices_restrict(-1, &spec.device_rules);
}

void verb_exec(struct request *r)
{
	static struct process_spec spec;
	const char *id, *exec_id;
	if (!exec_spec_parse(r, &id, &exec_id, &spec))
		return;
	touch(id);
	touch(exec_id);
	touch_process(&spec);
}

/* The other verbs' fields are texts, bytes, numbers and lists: every field as each of them. */
static void any_verb(struct request *r)
{
	struct texts list = {0};
	struct field f;
	const uint8_t *fields = r->fields.at;
	size_t length = (size_t)(r->fields.end - fields);
	while (request_field(r, &f)) {
		touch(request_bytes(r, &f));
		if (f.length == 8)
			touched += request_u64(r, &f) & 1;
		if (field_is_text(&f))
			request_list(r, &list, &f);
	}
	touch_all(&list);
	request_failed(r);
	/* NETWORK parses its kept bytes again when the interface has come. */
	request_restart(r, r->id, fields, length);
	while (request_field(r, &f))
		request_unknown(r, &f);
	request_failed(r);
}

#define ANY(name)                                                                                  \
	void name(struct request *r);                                                              \
	void name(struct request *r)                                                               \
	{                                                                                          \
		any_verb(r);                                                                       \
	}
ANY(verb_hello)
ANY(verb_identity)
ANY(verb_network)
ANY(verb_mount_disk)
ANY(verb_unmount_disk)
ANY(verb_write_file)
ANY(verb_remove_path)
ANY(verb_read_file)
ANY(verb_start)
ANY(verb_signal)
ANY(verb_resize)
ANY(verb_remove_container)
ANY(verb_update)
ANY(verb_stats)
ANY(verb_processes)
ANY(verb_pause)
ANY(verb_resume)
ANY(verb_dial)
ANY(verb_shutdown)
ANY(verb_sandbox)
ANY(verb_clock)
ANY(verb_listeners)

void link_error(uint32_t request, int error, const char *format, ...);
void link_error(uint32_t request, int error, const char *format, ...)
{
	(void)request;
	(void)error;
	touch(format);
}
bool stream_id_is_free(uint32_t id);
bool stream_id_is_free(uint32_t id)
{
	return id != 7;
}
bool serial_is_legal(const char *serial);
bool serial_is_legal(const char *serial)
{
	return strlen(serial) <= 20;
}
/* In place of syscall(2): see the command that compiles this. */
long refused_syscall(long number, ...);
long refused_syscall(long number, ...)
{
	va_list list;
	va_start(list, number);
	va_end(list);
	errno = EPERM;
	return -1;
}

/* Heap, and of the frame's size: reads behind a body are seen. */
static void handle(const struct frame *frame)
{
	if (frame->kind != FRAME_REQUEST) {
		touched += frame->length;
		return;
	}
	uint8_t *body = malloc(frame->length);
	if (!body)
		abort();
	memcpy(body, frame->body, frame->length);
	request_handle(frame->id, body[0], body + 1, frame->length - 1);
	free(body);
}

/* The first byte says into what pieces the rest is cut. */
int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static struct frame_decoder decoder;
	struct frame frame;
	int got = 0;
	decoder.start = decoder.end = 0;
	if (size < 1)
		return 0;
	size_t piece = data[0] ? data[0] : 65536;
	for (size_t at = 1; at < size && got >= 0;) {
		size_t room, wanted = size - at < piece ? size - at : piece;
		uint8_t *space = frame_space(&decoder, &room);
		if (room == 0)
			abort(); /* stuck */
		wanted = wanted < room ? wanted : room;
		memcpy(space, data + at, wanted);
		frame_filled(&decoder, wanted);
		at += wanted;
		while ((got = frame_next(&decoder, &frame)) > 0)
			handle(&frame);
	}
	return 0;
}
