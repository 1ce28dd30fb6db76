/*
 * Mounts what the host plugs: disks found by their serial, a shared folder by its tag; and file
 * systems of memory. Waits for hot-plugged devices, mounts in a worker.
 */
#define _GNU_SOURCE
#include "disks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "boot.h"
#include "files.h"
#include "jobs.h"
#include "link.h"
#include "paths.h"
#include "shared-files.h"
#include "uevents.h"

enum {
	SERIAL_MAX = 20, /* what virtio-blk carries */
	SLOT_MAX = 12,	 /* "0000:00:06.0" */
	DEVICE_TIMEOUT_MS = 10000,
	PROBE_TRIES = 500, /* of PROBE_PAUSE_MS each */
	PROBE_PAUSE_MS = 10,
};

struct disk {
	struct device_wait wait;
	uint32_t request;
	char serial[SERIAL_MAX + 1];
	char fstype[12];
	bool read_only;
	char volume[200]; /* a path under the shared folder, or empty */
	uint64_t size_bytes;
	char slot[SLOT_MAX + 1]; /* the PCI address of the device, or empty */
	char device[64];
};

bool serial_is_legal(const char *serial)
{
	size_t length = strlen(serial);
	return length > 0 && length <= SERIAL_MAX && serial[0] != '.' && !strpbrk(serial, "/,:\\ \n");
}

static void disk_path(char *out, size_t size, const char *serial)
{
	snprintf(out, size, DISKS_FOLDER "/%s", serial);
}

static bool is_mounted(const char *path)
{
	struct stat here, above;
	return stat(path, &here) == 0 && stat(DISKS_FOLDER, &above) == 0 && here.st_dev != above.st_dev;
}

static bool find_device(struct disk *disk)
{
	DIR *dir = opendir("/sys/block");
	struct dirent *entry;
	bool found = false;
	while (dir && !found && (entry = readdir(dir))) {
		char path[300], serial[64];
		snprintf(path, sizeof(path), "/sys/block/%s/serial", entry->d_name);
		found = entry->d_name[0] != '.' && file_read_line(path, serial, sizeof(serial)) > 0 &&
			strcmp(serial, disk->serial) == 0;
		if (found)
			snprintf(disk->device, sizeof(disk->device), "/dev/%.50s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

static bool slot_is_legal(const char *slot)
{
	return strlen(slot) <= SLOT_MAX && strspn(slot, "0123456789abcdef:.") == strlen(slot) &&
	       slot[0] != '.';
}

/* The first entry of a folder that begins so. */
static bool find_entry(const char *folder, const char *prefix, char *out, size_t size)
{
	DIR *dir = opendir(folder);
	struct dirent *entry;
	bool found = false;
	while (dir && !found && (entry = readdir(dir))) {
		found = entry->d_name[0] != '.' && strncmp(entry->d_name, prefix, strlen(prefix)) == 0;
		if (found)
			snprintf(out, size, "%.30s", entry->d_name);
	}
	if (dir)
		closedir(dir);
	return found;
}

/* What was found before: a slot's device stays the same, whatever is behind it. */
static struct {
	char slot[SLOT_MAX + 1];
	char device[32];
} known_slots[4];

/* A slot is a disk that was there when the guest booted: the host has put a file behind it since. */
static int find_slot(struct disk *disk)
{
	char folder[100], virtio[32], block[140], name[24];
	size_t free = 0;
	for (; free < sizeof(known_slots) / sizeof(*known_slots) && known_slots[free].slot[0]; free++) {
		if (strcmp(known_slots[free].slot, disk->slot) != 0)
			continue;
		snprintf(disk->device, sizeof(disk->device), "%s", known_slots[free].device);
		return 0;
	}
	snprintf(folder, sizeof(folder), "/sys/bus/pci/devices/%s", disk->slot);
	if (!find_entry(folder, "virtio", virtio, sizeof(virtio)))
		return ENODEV;
	snprintf(block, sizeof(block), "%s/%s/block", folder, virtio);
	if (!find_entry(block, "", name, sizeof(name)))
		return ENODEV;
	snprintf(disk->device, sizeof(disk->device), "/dev/%s", name);
	if (free < sizeof(known_slots) / sizeof(*known_slots)) {
		snprintf(known_slots[free].slot, sizeof(known_slots[free].slot), "%s", disk->slot);
		snprintf(known_slots[free].device, sizeof(known_slots[free].device), "/dev/%s", name);
	}
	return 0;
}

static bool has_type(const struct disk *disk, const char *fstype)
{
	return strcmp(disk->fstype, fstype) == 0;
}

static int mount_device(const struct disk *disk, const char *path)
{
	unsigned long flags = MS_NOATIME | (disk->read_only ? MS_RDONLY : 0);
	char size[40] = "mode=0755";
	if (has_type(disk, "tmpfs")) {
		if (disk->size_bytes > 0)
			snprintf(size, sizeof(size), "mode=0755,size=%llu",
				 (unsigned long long)disk->size_bytes);
		return mount("tmpfs", path, "tmpfs", MS_NOSUID | MS_NODEV, size);
	}
	if (!has_type(disk, "virtiofs"))
		/* Freed blocks go back to the sparse file on the host, whose holes are zeroed tables of inodes. */
		return mount(disk->device, path, disk->fstype, flags,
			     has_type(disk, "ext4") && !disk->read_only ? "discard,noinit_itable" : NULL);
	/* The tag is known once the driver has probed the device, of which nothing tells. */
	boot_load_folder_modules();
	for (int tries = 1; mount(disk->serial, path, "virtiofs", flags, NULL) < 0; tries++) {
		if (errno != EINVAL || tries == PROBE_TRIES)
			return -1;
		nanosleep(&(struct timespec){.tv_nsec = PROBE_PAUSE_MS * 1000000L}, NULL);
	}
	return 0;
}

/* A folder of its own on the disk: a volume shows nothing of the file system it lies on. */
static int bind_volume(const struct disk *disk, const char *path)
{
	char from[80], to[40];
	snprintf(from, sizeof(from), "%s/volume", path);
	if (mkdir(from, 0755) < 0 && errno != EEXIST)
		return -1;
	int shared = open(SHARED_FOLDER, O_PATH | O_DIRECTORY | O_CLOEXEC);
	int target = shared < 0 ? -1 : path_make_folder(shared, disk->volume + strlen(SHARED_FOLDER "/"),
							 PATH_NO_LINKS);
	if (target < 0)
		return -1;
	snprintf(to, sizeof(to), "/proc/self/fd/%d", target);
	return mount(from, to, NULL, MS_BIND, NULL);
}

static int mount_work(void *argument, char *message)
{
	struct disk *disk = argument;
	char path[64];
	disk_path(path, sizeof(path), disk->serial);
	if (is_mounted(path))
		return 0;
	int error = 0;
	if ((mkdir(path, 0755) < 0 && errno != EEXIST) || mount_device(disk, path) < 0) {
		error = errno;
	} else if (disk->volume[0] && bind_volume(disk, path) < 0) {
		error = errno;
		umount2(path, MNT_DETACH);
	}
	if (error)
		snprintf(message, JOB_MESSAGE, "mounting disk %s (%s) as %s: %s", disk->serial, disk->device,
			 disk->fstype, strerror(error));
	return error;
}

static void mount_done(void *owner, int error, const char *message)
{
	struct disk *disk = owner;
	if (error)
		link_error(disk->request, error, "%s", message);
	else
		link_reply(disk->request, NULL);
	free(disk);
}

/*
 * The slot is looked up here, where it is remembered, not in a worker. erofs has nothing to replay, and a
 * worker would cost more than its mount.
 */
static void mount_slot(struct disk *disk)
{
	char message[JOB_MESSAGE] = "";
	int error = find_slot(disk);
	if (error) {
		snprintf(message, JOB_MESSAGE, "no disk in slot %s for %s: %s", disk->slot, disk->serial,
			 strerror(error));
		mount_done(disk, error, message);
	} else if (has_type(disk, "erofs")) {
		error = mount_work(disk, message);
		mount_done(disk, error, message);
	} else {
		job_run(mount_work, disk, mount_done, disk);
	}
}

static bool try_mount(struct device_wait *wait)
{
	struct disk *disk = OWNER_OF(wait, struct disk, wait);
	if (disk->slot[0]) {
		mount_slot(disk);
		return true;
	}
	if (has_type(disk, "tmpfs") || (has_type(disk, "virtiofs") && boot_has_virtio(VIRTIO_ID_FS))) {
		job_run(mount_work, disk, mount_done, disk);
		return true;
	}
	if (has_type(disk, "virtiofs") || !find_device(disk))
		return false;
	/* A disk shows in sysfs and /dev before it is live (ENXIO); its uevent comes when it is. */
	int fd = open(disk->device, O_RDONLY | O_CLOEXEC);
	if (fd < 0)
		return false;
	close(fd);
	job_run(mount_work, disk, mount_done, disk);
	return true;
}

static void device_missed(struct device_wait *wait)
{
	struct disk *disk = OWNER_OF(wait, struct disk, wait);
	link_error(disk->request, ETIMEDOUT, "no device for %s (%s) came within %d s", disk->serial,
		   disk->fstype, DEVICE_TIMEOUT_MS / 1000);
	free(disk);
}

static bool is_file_system(const char *name)
{
	static const char *const names[] = {"erofs", "ext4", "tmpfs", "virtiofs"};
	for (size_t i = 0; i < sizeof(names) / sizeof(*names); i++)
		if (strcmp(name, names[i]) == 0)
			return true;
	return false;
}

void verb_mount_disk(struct request *r)
{
	const char *serial = "", *fstype = "", *volume = "", *slot = "";
	uint64_t read_only = 0, size_bytes = 0;
	struct field f;
	while (request_field(r, &f)) {
		if (f.tag == 1)
			serial = request_text(r, &f);
		else if (f.tag == 2)
			fstype = request_text(r, &f);
		else if (f.tag == 3)
			read_only = request_u64(r, &f);
		else if (f.tag == 4)
			volume = request_text(r, &f);
		else if (f.tag == 5)
			size_bytes = request_u64(r, &f);
		else if (f.tag == 6)
			slot = request_text(r, &f);
		else
			request_unknown(r, &f);
	}
	if (request_failed(r))
		return;
	if (!serial_is_legal(serial) || !is_file_system(fstype)) {
		link_error(r->id, EINVAL,
			   "MOUNT_DISK needs a serial of 1 to 20 bytes and erofs, ext4, tmpfs or virtiofs");
		return;
	}
	if (!slot_is_legal(slot)) {
		link_error(r->id, EINVAL, "MOUNT_DISK needs a PCI address for a slot, got %s", slot);
		return;
	}
	if (volume[0] && (!shared_inner_path(volume) || strlen(volume) >= sizeof(((struct disk *)0)->volume))) {
		link_error(r->id, EINVAL, "MOUNT_DISK needs a volume under %s, got %s", SHARED_FOLDER, volume);
		return;
	}
	struct disk *disk = calloc(1, sizeof(*disk));
	if (!disk) {
		link_error(r->id, ENOMEM, "no memory");
		return;
	}
	disk->request = r->id;
	snprintf(disk->serial, sizeof(disk->serial), "%s", serial);
	snprintf(disk->fstype, sizeof(disk->fstype), "%s", fstype);
	snprintf(disk->volume, sizeof(disk->volume), "%s", volume);
	snprintf(disk->slot, sizeof(disk->slot), "%s", slot);
	disk->read_only = read_only != 0;
	disk->size_bytes = size_bytes;
	disk->wait.try = try_mount;
	disk->wait.missed = device_missed;
	device_wait_start(&disk->wait, DEVICE_TIMEOUT_MS);
}

static int unmount_work(void *argument, char *message)
{
	const char *path = argument;
	/* EINVAL: not a mount point. */
	if (umount2(path, UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT) {
		int error = errno;
		snprintf(message, JOB_MESSAGE, "unmounting %s: %s", path, strerror(error));
		return error;
	}
	rmdir(path);
	return 0;
}

static void unmount_done(void *owner, int error, const char *message)
{
	uint32_t request = (uint32_t)(uintptr_t)owner;
	if (error)
		link_error(request, error, "%s", message);
	else
		link_reply(request, NULL);
}

void verb_unmount_disk(struct request *r)
{
	const char *serial = "";
	struct field f;
	while (request_field(r, &f)) {
		if (f.tag == 1)
			serial = request_text(r, &f);
		else
			request_unknown(r, &f);
	}
	if (request_failed(r))
		return;
	if (!serial_is_legal(serial)) {
		link_error(r->id, EINVAL, "UNMOUNT_DISK needs a serial of 1 to 20 bytes");
		return;
	}
	char path[64];
	disk_path(path, sizeof(path), serial);
	job_run(unmount_work, path, unmount_done, (void *)(uintptr_t)r->id);
}
