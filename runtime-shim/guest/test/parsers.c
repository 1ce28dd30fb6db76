/*
 * Runs the agent's parsers on the host, over bytes from stdin, so that a test can compare them with
 * the shim's own encoders and feed them garbage under the address sanitizer.
 *
 *   parsers frames SIZE    decodes frames from pieces of SIZE bytes
 *   parsers fields         decodes one body of fields
 *   parsers options        parses each line as mount options
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "../fields.h"
#include "../frames.h"
#include "../mount-options.h"

static uint8_t input[4 * 1024 * 1024];

static void put_hex(const uint8_t *bytes, size_t length)
{
	for (size_t i = 0; i < length; i++)
		printf("%02x", bytes[i]);
	putchar('\n');
}

static void frames(size_t length, size_t piece)
{
	static struct frame_decoder decoder;
	struct frame frame;
	for (size_t at = 0; at < length;) {
		size_t room, wanted = length - at < piece ? length - at : piece;
		uint8_t *space = frame_space(&decoder, &room);
		if (room == 0) {
			puts("stuck");
			return;
		}
		wanted = wanted < room ? wanted : room;
		memcpy(space, input + at, wanted);
		frame_filled(&decoder, wanted);
		at += wanted;
		int got;
		while ((got = frame_next(&decoder, &frame)) > 0) {
			printf("frame %u %u ", frame.kind, frame.id);
			put_hex(frame.body, frame.length);
		}
		if (got < 0) {
			puts("malformed");
			return;
		}
	}
}

static void fields(size_t length)
{
	/* On the heap and of exact size, so that the sanitizer sees any read behind the end. */
	uint8_t *body = malloc(length ? length : 1);
	if (!body)
		exit(1);
	memcpy(body, input, length);
	struct field_reader reader = {.at = body, .end = body + length};
	struct field field;
	int got;
	while ((got = field_next(&reader, &field)) > 0) {
		uint64_t number;
		printf("field %u %s %s ", field.tag, field_is_text(&field) ? "text" : "bytes",
		       field_u64(&field, &number) ? "number" : "-");
		put_hex(field.bytes, field.length);
	}
	if (got < 0)
		puts("malformed");
	free(body);
}

static void options(void)
{
	struct mount_options parsed;
	char *rest = NULL;
	for (char *line = strtok_r((char *)input, "\n", &rest); line; line = strtok_r(NULL, "\n", &rest)) {
		if (mount_options_parse(line, &parsed))
			printf("%lx %s\n", parsed.flags, parsed.data);
		else
			puts("too long");
	}
}

int main(int count, char **arguments)
{
	size_t length = fread(input, 1, sizeof(input) - 1, stdin);
	if (count == 3 && strcmp(arguments[1], "frames") == 0 && atoi(arguments[2]) > 0)
		frames(length, (size_t)atoi(arguments[2]));
	else if (count == 2 && strcmp(arguments[1], "fields") == 0)
		fields(length);
	else if (count == 2 && strcmp(arguments[1], "options") == 0)
		options();
	else
		return 2;
	return 0;
}
