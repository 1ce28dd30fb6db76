/* The numbers of PROTOCOL.md, nothing else. Shared by the agent and its host-side tests. */
#ifndef KATASIM_PROTOCOL_H
#define KATASIM_PROTOCOL_H

enum { PROTOCOL_VERSION = 1 };

enum frame_kind {
	FRAME_REQUEST = 1,
	FRAME_REPLY = 2,
	FRAME_EVENT = 3,
	FRAME_DATA = 4,
	FRAME_WINDOW = 5,
	FRAME_RESET = 6,
};

enum verb {
	VERB_HELLO = 1,
	VERB_IDENTITY = 2,
	VERB_NETWORK = 3,
	VERB_MOUNT_DISK = 4,
	VERB_UNMOUNT_DISK = 5,
	VERB_WRITE_FILE = 6,
	VERB_REMOVE_PATH = 7,
	VERB_CREATE_CONTAINER = 8,
	VERB_START = 9,
	VERB_EXEC = 10,
	VERB_SIGNAL = 11,
	VERB_RESIZE = 12,
	VERB_REMOVE_CONTAINER = 14,
	VERB_UPDATE = 15,
	VERB_STATS = 16,
	VERB_PROCESSES = 17,
	VERB_PAUSE = 18,
	VERB_RESUME = 19,
	VERB_DIAL = 20,
	VERB_SHUTDOWN = 21,
	VERB_SANDBOX = 22,
	VERB_CLOCK = 23,
	VERB_READ_FILE = 24,
	VERB_LISTENERS = 30,
};

enum event {
	EVENT_EXITED = 1,
	EVENT_OOM = 2,
	EVENT_BROKEN = 3,
	EVENT_LISTENING = 4,
};

/* Who was out of memory: OUT_OF_MEMORY of EXITED and OOM. */
enum oom {
	OOM_NONE = 0,
	OOM_CONTAINER = 1, /* over its own limit */
	OOM_GUEST = 2,	   /* the whole machine */
};

enum {
	FRAME_HEADER = 9, /* u32 length, u8 kind, u32 id */
	FRAME_MIN_LENGTH = 5,
	FRAME_MAX_LENGTH = 1024 * 1024 + 64,
	DATA_MAX = 64 * 1024,
	STREAM_WINDOW = 256 * 1024,
	FIELD_HEADER = 5, /* u8 tag, u32 length */
};

#endif
