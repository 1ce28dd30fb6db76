/*
 * Puts a VMM into its place (../vmm-place.ts), and lends a running one more files. One program instead
 * of a chain of unshare, sh, mount, ip and setpriv: each of those costs milliseconds of a pod's start.
 *
 *   vmm-place enter UID SOCKETS [--small-pages] [--own-network] [--tap NAME] [--lend NAME FILE]... [--device PATH MAJOR MINOR]... -- COMMAND...
 *   vmm-place lend PID FILE NAME
 *   vmm-place take-back PID NAME
 */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <grp.h>
#include <sched.h>
#include <signal.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <unistd.h>

#include <linux/capability.h>
#include <linux/if.h>
#include <linux/if_tun.h>

#define LENT_FOLDER "/run/katasim-vmm"
#define SOCKET_FOLDER "s"

static void die(const char *format, ...)
{
	int error = errno;
	va_list words;
	va_start(words, format);
	fprintf(stderr, "vmm-place: ");
	vfprintf(stderr, format, words);
	fprintf(stderr, ": %s\n", strerror(error));
	va_end(words);
	exit(1);
}

static unsigned number(const char *text)
{
	char *end;
	unsigned long value = strtoul(text, &end, 10);
	if (!*text || *end || value > 0xffffffffUL) {
		errno = EINVAL;
		die("%s", text);
	}
	return (unsigned)value;
}

/* `name` is made below the current folder. */
static void lend(const char *from, const char *name)
{
	struct stat what;
	if (stat(from, &what) < 0)
		die("%s", from);
	if (S_ISDIR(what.st_mode)) {
		if (mkdir(name, 0755) < 0)
			die("%s", name);
	} else {
		int fd = open(name, O_WRONLY | O_CREAT | O_EXCL | O_CLOEXEC, 0644);
		if (fd < 0)
			die("%s", name);
		close(fd);
	}
	if (mount(from, name, NULL, MS_BIND, NULL) < 0) {
		int error = errno;
		if (S_ISDIR(what.st_mode))
			rmdir(name);
		else
			unlink(name);
		errno = error;
		die("lending %s", from);
	}
}

/* An interface that lives on without us, and that the VMM's user may open. */
static void make_tap(const char *name, unsigned uid)
{
	struct ifreq request = {.ifr_flags = IFF_TAP | IFF_NO_PI};
	int fd = open("/dev/net/tun", O_RDWR | O_CLOEXEC);
	if (fd < 0)
		die("/dev/net/tun");
	snprintf(request.ifr_name, IFNAMSIZ, "%s", name);
	if (ioctl(fd, TUNSETIFF, &request) < 0 || ioctl(fd, TUNSETOWNER, (unsigned long)uid) < 0 ||
	    ioctl(fd, TUNSETPERSIST, 1UL) < 0)
		die("the tap %s", name);
	close(fd);
}

/* The host may not allow device files on what a user mounts: the node's own folder is a tmpfs of ours. */
static void lend_device(const char *path, unsigned major_number, unsigned minor_number, unsigned uid)
{
	if (mknod("device", S_IFCHR | 0600, makedev(major_number, minor_number)) < 0 ||
	    chown("device", uid, (gid_t)-1) < 0 || mount("device", path, NULL, MS_BIND, NULL) < 0 ||
	    unlink("device") < 0)
		die("%s", path);
}

static void drop_powers(unsigned uid)
{
	struct __user_cap_header_struct head = {.version = _LINUX_CAPABILITY_VERSION_3};
	struct __user_cap_data_struct none[2] = {0};
	for (unsigned long capability = 0; prctl(PR_CAPBSET_READ, capability, 0, 0, 0) >= 0; capability++)
		if (prctl(PR_CAPBSET_DROP, capability, 0, 0, 0) < 0)
			die("the bounding set");
	if (setgroups(0, NULL) < 0 || setresgid(uid, uid, uid) < 0 || setresuid(uid, uid, uid) < 0)
		die("becoming user %u", uid);
	if (syscall(SYS_capset, &head, none) < 0 || prctl(PR_SET_NO_NEW_PRIVS, 1, 0, 0, 0) < 0)
		die("giving up powers");
}

static int enter(char **words)
{
	pid_t parent = getppid();
	unsigned uid = number(words[0]);
	const char *sockets = words[1];
	const char *tap = NULL;
	char **word = words + 2;
	bool small_pages = word[0] && strcmp(word[0], "--small-pages") == 0;
	word += small_pages;
	bool own_network = word[0] && strcmp(word[0], "--own-network") == 0;
	word += own_network;
	if (word[0] && word[1] && strcmp(word[0], "--tap") == 0) {
		tap = word[1];
		word += 2;
	}
	/* What is unmounted on the host is unmounted here, and not the other way round. */
	if (unshare(CLONE_NEWNS | (own_network ? CLONE_NEWNET : 0)) < 0 ||
	    mount(NULL, "/", NULL, MS_REC | MS_SLAVE, NULL) < 0)
		die("a mount namespace");
	if (mount("katasim-vmm", LENT_FOLDER, "tmpfs", MS_NOSUID | MS_NOEXEC, "mode=0755,size=1m") < 0 ||
	    chdir(LENT_FOLDER) < 0)
		die(LENT_FOLDER);
	lend(sockets, SOCKET_FOLDER);
	for (; word[0] && strcmp(word[0], "--lend") == 0 && word[1] && word[2]; word += 3)
		lend(word[2], word[1]);
	if (tap)
		make_tap(tap, uid);
	for (; word[0] && strcmp(word[0], "--device") == 0 && word[1] && word[2] && word[3]; word += 4)
		lend_device(word[1], number(word[2]), number(word[3]), uid);
	if (!word[0] || strcmp(word[0], "--") != 0 || !word[1]) {
		errno = EINVAL;
		die("the command");
	}
	if (chdir("/") < 0)
		die("/");
	umask(077);
	drop_powers(uid);
	/* When the shim dies, so does its VM. Forgotten by a change of user, so it comes after that. */
	if (prctl(PR_SET_PDEATHSIG, SIGKILL, 0, 0, 0) < 0)
		die("PR_SET_PDEATHSIG");
	/* Translated code is scattered: huge pages would take three times the memory it needs. */
	if (small_pages && prctl(PR_SET_THP_DISABLE, 1, 0, 0, 0) < 0)
		die("PR_SET_THP_DISABLE");
	if (getppid() != parent)
		return 1;
	execvp(word[1], word + 1);
	die("%s", word[1]);
	return 1;
}

/* Into the place of a running VMM, with this process's own view of the host's files. */
static void join_place(const char *pid)
{
	char path[64];
	snprintf(path, sizeof(path), "/proc/%u/ns/mnt", number(pid));
	int fd = open(path, O_RDONLY | O_CLOEXEC);
	if (fd < 0 || setns(fd, CLONE_NEWNS) < 0 || chdir(LENT_FOLDER) < 0)
		die("the VMM %s", pid);
	close(fd);
}

static int take_back(const char *name)
{
	if (umount2(name, UMOUNT_NOFOLLOW) < 0 && errno != EINVAL && errno != ENOENT)
		die("%s", name);
	if (remove(name) < 0 && errno != ENOENT)
		die("%s", name);
	return 0;
}

int main(int count, char **words)
{
	umask(022);
	if (count >= 4 && strcmp(words[1], "enter") == 0)
		return enter(words + 2);
	if (count == 5 && strcmp(words[1], "lend") == 0) {
		join_place(words[2]);
		lend(words[3], words[4]);
		return 0;
	}
	if (count == 4 && strcmp(words[1], "take-back") == 0) {
		join_place(words[2]);
		return take_back(words[3]);
	}
	fprintf(stderr, "vmm-place: enter, lend or take-back: see the head of vmm-place.c\n");
	return 2;
}
