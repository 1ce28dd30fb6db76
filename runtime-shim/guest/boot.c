/*
 * Process 1's first duties: file systems, a root that containers can pivot away from, kernel
 * modules, cgroups, loopback.
 */
#define _GNU_SOURCE
#include "boot.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/virtio_ids.h>
#include <sched.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/resource.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "files.h"
#include "log.h"
#include "netlink.h"

/* The modules of the initramfs that are left. */
static int modules = -1;

static void mount_at(const char *type, const char *where, unsigned long flags, const char *data)
{
	if (mkdir(where, 0755) < 0 && errno != EEXIST)
		die(where);
	if (mount(type, where, type, flags, data) < 0)
		die(where);
}

/*
 * pivot_root(2) refuses to leave the initramfs itself, so the agent moves to a tmpfs mounted over
 * it, as switch_root does. The returned folder is the old root: modules are read from there.
 */
static int leave_initramfs(void)
{
	int old_root = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	mount_at("tmpfs", "/sysroot", MS_NOSUID | MS_NODEV, "mode=0755,size=16m");
	if (old_root < 0 || chdir("/sysroot") < 0)
		die("/sysroot");
	mount_at("devtmpfs", "dev", MS_NOSUID, "mode=0755");
	mount_at("proc", "proc", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	mount_at("sysfs", "sys", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
	/* Configuration files live here: no own limit below the machine's memory. */
	mount_at("tmpfs", "run", MS_NOSUID | MS_NODEV, "mode=0755,size=90%");
	if (mount(".", "/", NULL, MS_MOVE, NULL) < 0 || chroot(".") < 0 || chdir("/") < 0)
		die("switch root");
	if (mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) < 0)
		die("private mounts");
	return old_root;
}

/* Loads what a list names, in that order, and frees each file's memory behind it. */
static void load_list(int dir, const char *list)
{
	char order[4096];
	if (file_read_at(dir, list, order, sizeof(order)) < 0)
		die(list);
	char *rest = NULL;
	for (char *name = strtok_r(order, "\n", &rest); name; name = strtok_r(NULL, "\n", &rest)) {
		int fd = openat(dir, name, O_RDONLY | O_CLOEXEC);
		if (fd < 0 || (syscall(SYS_finit_module, fd, "", 0) < 0 && errno != EEXIST))
			warn(name);
		if (fd >= 0)
			close(fd);
		unlinkat(dir, name, 0);
	}
}

/*
 * Disks that are there at boot go without a scheduler and its statistics: the host has its own, and their
 * code is run through for each block.
 */
static void send_blocks_straight(void)
{
	DIR *disks = opendir("/sys/block");
	struct dirent *entry;
	while (disks && (entry = readdir(disks))) {
		char path[300];
		if (strncmp(entry->d_name, "vd", 2) != 0)
			continue;
		snprintf(path, sizeof(path), "/sys/block/%s/queue/scheduler", entry->d_name);
		if (file_write(path, "none") < 0)
			warn(path);
		snprintf(path, sizeof(path), "/sys/block/%s/queue/wbt_lat_usec", entry->d_name);
		if (file_write(path, "0") < 0)
			note("no writeback throttling to turn off");
	}
	if (disks)
		closedir(disks);
}

bool boot_has_virtio(unsigned long type)
{
	DIR *devices = opendir("/sys/bus/virtio/devices");
	struct dirent *entry;
	bool found = false;
	while (devices && !found && (entry = readdir(devices))) {
		char path[300], id[32];
		snprintf(path, sizeof(path), "/sys/bus/virtio/devices/%s/device", entry->d_name);
		found = file_read_line(path, id, sizeof(id)) >= 0 && strtoul(id, NULL, 16) == type;
	}
	if (devices)
		closedir(devices);
	return found;
}

static void load_modules(int old_root)
{
	modules = openat(old_root, "modules", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	if (modules < 0)
		die("modules");
	load_list(modules, "order");
	if (boot_has_virtio(VIRTIO_ID_VSOCK))
		load_list(modules, "vsock");
}

void boot_load_folder_modules(void)
{
	if (faccessat(modules, "folders", F_OK, 0) < 0)
		return;
	load_list(modules, "folders");
	unlinkat(modules, "folders", 0);
}

static void prepare_cgroups(void)
{
	mount_at("cgroup2", "/sys/fs/cgroup", MS_NOSUID | MS_NODEV | MS_NOEXEC, "nsdelegate");
	if (mkdir("/sys/fs/cgroup/katasim", 0755) < 0 && errno != EEXIST)
		die("/sys/fs/cgroup/katasim");
	static const char *const parents[] = {"/sys/fs/cgroup/cgroup.subtree_control",
					      "/sys/fs/cgroup/katasim/cgroup.subtree_control"};
	for (int i = 0; i < 2; i++)
		if (file_write(parents[i], "+cpu +memory +pids") < 0)
			die(parents[i]);
	/* cpuset and io are for nested use by containers; a kernel without them still works. */
	for (int i = 0; i < 2; i++)
		if (file_write(parents[i], "+cpuset +io") < 0)
			note("no cpuset or io controller");
}

static void make_folders(void)
{
	static const char *const folders[] = {"/tmp", "/run/katasim", "/run/katasim/disks",
					      "/run/katasim/shared", "/run/katasim/containers",
					      "/run/katasim/sandbox", "/dev/mqueue"};
	for (size_t i = 0; i < sizeof(folders) / sizeof(*folders); i++)
		if (mkdir(folders[i], 0755) < 0 && errno != EEXIST)
			die(folders[i]);
	/* One /dev/shm for all containers of the pod: they share the IPC namespace. */
	mount_at("tmpfs", "/run/katasim/sandbox/shm", MS_NOSUID | MS_NODEV | MS_NOEXEC,
		 "mode=1777,size=64m");
	mount_at("mqueue", "/dev/mqueue", MS_NOSUID | MS_NODEV | MS_NOEXEC, NULL);
}

/* Descriptors 0 to 2 must be taken, or a pipe of ours would land there and meet a program's. */
static void open_stdio(void)
{
	int fd = open("/dev/null", O_RDWR | O_CLOEXEC);
	for (int i = 0; i < 3; i++)
		dup2(fd, i);
	if (fd > 2)
		close(fd);
}

/* What programs inherit unless their own spec says otherwise: containerd's limit, not the kernel's. */
static void raise_file_limit(void)
{
	struct rlimit limit = {.rlim_cur = 1048576, .rlim_max = 1048576};
	if (setrlimit(RLIMIT_NOFILE, &limit) < 0)
		warn("RLIMIT_NOFILE");
}

/*
 * Without swap a full machine throws out its programs' code and reads it in again, for minutes, before
 * the OOM killer is called. Kept for a second at least (Documentation/admin-guide/mm/multigen_lru.rst),
 * it is called at once. Kernels before 6.1 cannot.
 */
static void forbid_thrashing(void)
{
	if (file_write("/sys/kernel/mm/lru_gen/enabled", "y") < 0 ||
	    file_write("/sys/kernel/mm/lru_gen/min_ttl_ms", "1000") < 0)
		note("no multi-generational LRU");
}

static void keep_ipv6_off(const char *yes)
{
	if (file_write("/proc/sys/net/ipv6/conf/default/disable_ipv6", yes) < 0)
		note("no IPv6");
}

/* What the kernel does twice and once a second in case it pays; fifty idle guests make a core of it. */
static void let_sleep(void)
{
	if (file_write("/proc/sys/vm/compaction_proactiveness", "0") < 0 ||
	    file_write("/proc/sys/vm/stat_interval", "10") < 0)
		note("no housekeeping to put off");
}

void boot(void)
{
	umask(022);
	int old_root = leave_initramfs();
	open_stdio();
	log_open();
	/* See network.c; for the interface that comes with its driver, and for none that is made later. */
	keep_ipv6_off("1");
	load_modules(old_root);
	keep_ipv6_off("0");
	close(old_root);
	send_blocks_straight();
	raise_file_limit();
	make_folders();
	prepare_cgroups();
	forbid_thrashing();
	let_sleep();
	if (netlink_link_up("lo") < 0)
		warn("lo");
	/* The guest's own OOM killer must take a container, never the agent (which would stop the VM). */
	if (file_write("/proc/self/oom_score_adj", "-1000") < 0)
		warn("oom_score_adj");
}
