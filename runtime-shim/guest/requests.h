/* From a REQUEST frame to the code that serves its verb, and the parsing its handlers share. */
#ifndef KATASIM_REQUESTS_H
#define KATASIM_REQUESTS_H

#include "fields.h"

/* A request being parsed. Texts and lists taken from it are good until its handler returns. */
struct request {
	uint32_t id;
	struct field_reader fields;
	/* Set by the first problem found while parsing. */
	char problem[96];
};

/* A list ended by NULL, as execve(2) wants them. */
struct texts {
	size_t count;
	const char **items;
};

/* Parses the verb's fields and serves it. Every request gets one reply, now or later. */
void request_handle(uint32_t id, uint8_t verb, const uint8_t *fields, size_t length);

/* Starts parsing anew from kept bytes, for work that had to wait. Frees all texts and lists. */
void request_restart(struct request *r, uint32_t id, const uint8_t *fields, size_t length);
/* The next field; false at the end and when the rest is malformed (then request_failed). */
bool request_field(struct request *r, struct field *f);
uint64_t request_u64(struct request *r, const struct field *f);
const char *request_text(struct request *r, const struct field *f);
/* The field's bytes with a NUL behind them; there may be more inside. */
const char *request_bytes(struct request *r, const struct field *f);
/* Appends the field's text to a list. */
void request_list(struct request *r, struct texts *list, const struct field *f);
void request_unknown(struct request *r, const struct field *f);
/* True, and the error reply is sent, when parsing met a problem. */
bool request_failed(struct request *r);

#endif
