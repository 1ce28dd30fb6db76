/* Finds virtio-blk devices by serial, waits for hot-plugged ones, mounts them in a worker. */
#define _GNU_SOURCE
#include "disks.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <unistd.h>

#include "files.h"
#include "jobs.h"
#include "link.h"
#include "uevents.h"

enum {
	SERIAL_MAX = 20, /* what virtio-blk carries */
	DEVICE_TIMEOUT_MS = 10000,
};

struct disk {
	struct device_wait wait;
	uint32_t request;
	char serial[SERIAL_MAX + 1];
	char fstype[8];
	bool read_only;
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

static int mount_work(void *argument, char *message)
{
	struct disk *disk = argument;
	char path[64];
	disk_path(path, sizeof(path), disk->serial);
	unsigned long flags = MS_NOATIME | (disk->read_only ? MS_RDONLY : 0);
	/* Freed blocks go back to the sparse file on the host. */
	const char *data = strcmp(disk->fstype, "ext4") == 0 && !disk->read_only ? "discard" : NULL;
	if (is_mounted(path))
		return 0;
	if ((mkdir(path, 0755) == 0 || errno == EEXIST) &&
	    mount(disk->device, path, disk->fstype, flags, data) == 0)
		return 0;
	int error = errno;
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

static bool try_mount(struct device_wait *wait)
{
	struct disk *disk = OWNER_OF(wait, struct disk, wait);
	if (!find_device(disk))
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
	link_error(disk->request, ETIMEDOUT, "no block device with serial %s came within %d s",
		   disk->serial, DEVICE_TIMEOUT_MS / 1000);
	free(disk);
}

void verb_mount_disk(struct request *r)
{
	const char *serial = "", *fstype = "";
	uint64_t read_only = 0;
	struct field f;
	while (request_field(r, &f)) {
		if (f.tag == 1)
			serial = request_text(r, &f);
		else if (f.tag == 2)
			fstype = request_text(r, &f);
		else if (f.tag == 3)
			read_only = request_u64(r, &f);
		else
			request_unknown(r, &f);
	}
	if (request_failed(r))
		return;
	if (!serial_is_legal(serial) || (strcmp(fstype, "erofs") != 0 && strcmp(fstype, "ext4") != 0)) {
		link_error(r->id, EINVAL, "MOUNT_DISK needs a serial of 1 to 20 bytes and erofs or ext4");
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
	disk->read_only = read_only != 0;
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
		link_error(r->id, EINVAL, "UNMOUNT_DISK needs a serial");
		return;
	}
	char path[64];
	disk_path(path, sizeof(path), serial);
	job_run(unmount_work, path, unmount_done, (void *)(uintptr_t)r->id);
}
