/*
 * A guest that means harm: /init of a VM whose kernel is genuine. Which harm is the first word of /mode
 * in its initramfs. It speaks runtime-shim/guest/PROTOCOL.md as far as it takes to be believed, and
 * then breaks it.
 */
#define _GNU_SOURCE
#include <dirent.h>
#include <fcntl.h>
#include <poll.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

enum { REPLY = 2, EVENT = 3, DATA = 4, WINDOW = 5 };
enum { HELLO = 1, IDENTITY = 2, CREATE_CONTAINER = 8, START = 9 };

static int port = -1;
static char mode[32];
static uint8_t in[2 << 20], out[2 << 20];
/* Of the first container's process, once it was asked for. */
static uint32_t stdout_stream;
static int started;

static int plays(const char *name)
{
	return strcmp(mode, name) == 0;
}

static uint32_t get_u32(const uint8_t *at)
{
	return (uint32_t)at[0] << 24 | (uint32_t)at[1] << 16 | (uint32_t)at[2] << 8 | at[3];
}

static void put_u32(uint8_t *at, uint32_t value)
{
	for (int i = 0; i < 4; i++)
		at[i] = (uint8_t)(value >> (24 - 8 * i));
}

static void put_all(const void *bytes, size_t length)
{
	const char *at = bytes;
	while (length > 0) {
		ssize_t n = write(port, at, length);
		if (n <= 0)
			pause();
		at += n;
		length -= (size_t)n;
	}
}

static void get_all(void *bytes, size_t length)
{
	char *at = bytes;
	while (length > 0) {
		ssize_t n = read(port, at, length);
		if (n < 0)
			pause();
		/* Nobody is at the other end yet. */
		if (n == 0)
			usleep(10000);
		at += n;
		length -= (size_t)n;
	}
}

static size_t frame(uint8_t *to, uint8_t kind, uint32_t id, const void *body, size_t length)
{
	put_u32(to, (uint32_t)length + 5);
	to[4] = kind;
	put_u32(to + 5, id);
	memcpy(to + 9, body, length);
	return length + 9;
}

static size_t field(uint8_t *to, uint8_t tag, const void *value, size_t length)
{
	to[0] = tag;
	put_u32(to + 1, (uint32_t)length);
	memcpy(to + 5, value, length);
	return length + 5;
}

static void send_frame(uint8_t kind, uint32_t id, const void *body, size_t length)
{
	put_all(out, frame(out, kind, id, body, length));
}

static void reply(uint32_t id, uint8_t verb)
{
	static uint8_t body[1 << 20];
	uint8_t protocol[8] = {0, 0, 0, 0, 0, 0, 0, plays("protocol") ? 9 : 1};
	size_t end = 4;
	memset(body, 0, 4);
	if (verb == HELLO) {
		end += field(body + end, 1, protocol, 8);
		end += field(body + end, 2, "6.6.6-hostile", 13);
	} else if (verb == IDENTITY && plays("words")) {
		/* A refusal of a megabyte: what clears a screen, sets a title, ends a line, ends a string. */
		static const char evil[] = "\033[2J\033]0;owned\007\r\n\0hostile";
		static uint8_t text[1000000];
		for (size_t i = 0; i < sizeof(text); i++)
			text[i] = (uint8_t)evil[i % sizeof(evil)];
		put_u32(body, 13);
		end += field(body + end, 1, text, sizeof(text));
	} else if (verb == IDENTITY) {
		end += field(body + end, 1, "hostile", 7);
	}
	send_frame(REPLY, id, body, end);
}

static void note_stream(const uint8_t *at, const uint8_t *end)
{
	while (end - at >= 5) {
		uint32_t length = get_u32(at + 1);
		if (at[0] == 40)
			stdout_stream = get_u32(at + 9);
		at += 5 + length;
	}
}

/* Answers as a good guest does; returns 1 after a request, 0 after anything else. */
static int serve_one(void)
{
	get_all(in, 4);
	uint32_t length = get_u32(in);
	get_all(in + 4, length);
	if (in[4] != 1)
		return 0;
	if (in[9] == CREATE_CONTAINER)
		note_stream(in + 10, in + 4 + length);
	started |= in[9] == START;
	reply(get_u32(in + 5), in[9]);
	return 1;
}

static void serve(int requests)
{
	while (requests > 0)
		requests -= serve_one();
}

static void repeat_frame(uint8_t kind, uint32_t id, const void *body, size_t length)
{
	static uint8_t many[64 << 10];
	size_t end = 0;
	while (end + length + 9 <= sizeof(many))
		end += frame(many + end, kind, id, body, length);
	for (;;)
		put_all(many, end);
}

/* One byte in each frame, as many as the host gives window for; requests are answered meanwhile. */
static void drip(void)
{
	static uint8_t many[10 * 4096];
	size_t window = 256 << 10;
	for (;;) {
		size_t count = window < 4096 ? window : 4096, end = 0;
		for (size_t i = 0; i < count; i++)
			end += frame(many + end, DATA, stdout_stream, "x", 1);
		put_all(many, end);
		window -= count;
		struct pollfd ready = {.fd = port, .events = POLLIN};
		while (poll(&ready, 1, window == 0 ? -1 : 0) > 0) {
			if (serve_one() == 0 && in[4] == WINDOW)
				window += get_u32(in + 9);
		}
	}
}

static void flood_console(void)
{
	char line[4096];
	memset(line, 'h', sizeof(line));
	memcpy(line, "\033[2J\033]0;owned\007", 15);
	line[sizeof(line) - 1] = '\n';
	for (;;)
		if (write(2, line, sizeof(line)) < 0)
			pause();
}

static void play(void)
{
	uint8_t event[64];
	if (plays("garbage")) {
		for (size_t i = 0; i < sizeof(in); i++)
			in[i] = (uint8_t)(i * 167 + 13);
		put_all(in, sizeof(in));
	} else if (plays("half-frame")) {
		put_all("\0\0\0\100\2\0", 6);
	} else if (plays("giant-length")) {
		put_all("\377\377\377\377\2\0\0\0\1", 9);
	} else if (plays("stranger")) {
		send_frame(DATA, 7777, "x", 1);
	} else if (plays("closes-port")) {
		serve(1);
		close(port);
	} else if (plays("protocol") || plays("words")) {
		serve(2);
	} else if (plays("silent-later")) {
		serve(3);
	} else if (plays("events")) {
		serve(3);
		event[0] = 1;
		size_t end = 1 + field(event + 1, 1, "nobody", 6);
		repeat_frame(EVENT, 0, event, end);
	} else if (plays("replies")) {
		serve(3);
		repeat_frame(REPLY, 1, "\0\0\0\0", 4);
	} else if (plays("drip")) {
		while (!started)
			serve_one();
		drip();
	} else if (plays("deaf")) {
		while (!started)
			serve_one();
	} else if (plays("console")) {
		if (fork() == 0)
			flood_console();
		for (;;)
			serve_one();
	}
	/* Anything else, "silent" among it, says nothing at all. */
	for (;;)
		pause();
}

static void load_modules(void)
{
	char order[4096] = "", path[300], *rest = NULL;
	int list = open("/modules/order", O_RDONLY);
	if (read(list, order, sizeof(order) - 1) <= 0)
		return;
	for (char *name = strtok_r(order, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
		snprintf(path, sizeof(path), "/modules/%s", name);
		int fd = open(path, O_RDONLY);
		syscall(SYS_finit_module, fd, "", 0);
		close(fd);
	}
}

static void open_port(void)
{
	while (port < 0) {
		DIR *ports = opendir("/sys/class/virtio-ports");
		struct dirent *entry;
		while (ports && port < 0 && (entry = readdir(ports))) {
			char path[300], name[64] = "";
			snprintf(path, sizeof(path), "/sys/class/virtio-ports/%s/name", entry->d_name);
			int fd = open(path, O_RDONLY);
			if (fd >= 0 && read(fd, name, sizeof(name) - 1) > 0 &&
			    strncmp(name, "katasim.agent.0", 15) == 0) {
				snprintf(path, sizeof(path), "/dev/%s", entry->d_name);
				port = open(path, O_RDWR);
			}
			close(fd);
		}
		if (ports)
			closedir(ports);
		if (port < 0)
			usleep(10000);
	}
}

int main(void)
{
	mkdir("/dev", 0755);
	mkdir("/sys", 0755);
	mount("devtmpfs", "/dev", "devtmpfs", 0, NULL);
	mount("sysfs", "/sys", "sysfs", 0, NULL);
	int console = open("/dev/console", O_RDWR);
	for (int fd = 0; fd < 3; fd++)
		dup2(console, fd);
	int file = open("/mode", O_RDONLY);
	ssize_t length = read(file, mode, sizeof(mode) - 1);
	mode[length < 0 ? 0 : length] = 0;
	load_modules();
	open_port();
	fprintf(stderr, "hostile guest plays %s\n", mode);
	play();
}
