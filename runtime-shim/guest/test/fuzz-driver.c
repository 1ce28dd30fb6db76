/*
 * Runs the fuzz target where there is no clang and so no libFuzzer: a counted number of mutations of
 * the files given, from a fixed seed. Blind to coverage; the sanitizers are the same.
 *
 *   fuzz -runs=N FILE…
 */
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { SIZE_MAX_BYTES = 4096, SEEDS_MAX = 256 };

static uint64_t state = 0x9e3779b97f4a7c15;
static uint32_t draw(uint32_t below)
{
	state ^= state << 13;
	state ^= state >> 7;
	state ^= state << 17;
	return (uint32_t)(state >> 32) % below;
}

static uint8_t seeds[SEEDS_MAX][SIZE_MAX_BYTES];
static size_t lengths[SEEDS_MAX];

static size_t mutate(uint8_t *data, size_t size)
{
	static const uint8_t odd[] = {0, 1, 4, 5, 7, 8, 127, 128, 254, 255};
	for (uint32_t changes = 1 + draw(4); changes > 0 && size > 0; changes--) {
		size_t at = draw((uint32_t)size);
		switch (draw(5)) {
		case 0:
			data[at] ^= (uint8_t)(1U << draw(8));
			break;
		case 1:
			data[at] = odd[draw(sizeof(odd))];
			break;
		case 2: /* cut out */
			memmove(data + at, data + at + 1, size - at - 1);
			size--;
			break;
		case 3: /* put in */
			if (size < SIZE_MAX_BYTES) {
				memmove(data + at + 1, data + at, size - at);
				data[at] = (uint8_t)draw(256);
				size++;
			}
			break;
		default: /* cut off */
			size = at;
		}
	}
	return size;
}

int main(int count, char **arguments)
{
	unsigned long runs = 0;
	uint32_t known = 0;
	for (int i = 1; i < count; i++) {
		if (sscanf(arguments[i], "-runs=%lu", &runs) == 1)
			continue;
		FILE *file = fopen(arguments[i], "rb");
		if (!file || known == SEEDS_MAX)
			return 2;
		lengths[known] = fread(seeds[known], 1, SIZE_MAX_BYTES, file);
		known++;
		fclose(file);
	}
	if (known == 0 || runs == 0)
		return 2;
	for (unsigned long run = 0; run < runs; run++) {
		/* Of exact size, so that the sanitizer sees any read behind the end. */
		static uint8_t scratch[SIZE_MAX_BYTES];
		uint32_t seed = draw(known);
		memcpy(scratch, seeds[seed], lengths[seed]);
		size_t size = run < known ? lengths[seed] : mutate(scratch, lengths[seed]);
		uint8_t *input = malloc(size ? size : 1);
		if (!input)
			return 2;
		memcpy(input, scratch, size);
		LLVMFuzzerTestOneInput(input, size);
		free(input);
	}
	fprintf(stderr, "Done %lu runs\n", runs);
	return 0;
}
