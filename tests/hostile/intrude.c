/* More of what a hostile guest's root tries, for tests/hostile: races, namespaces in namespaces, modules of the kernel. Like strike it
 * prints "HOLE ..." for what works and must not. usage: intrude WHAT [ARGUMENT...] */
#define _GNU_SOURCE
#include <errno.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <net/if.h>
#include <netinet/in.h>
#include <netinet/tcp.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mount.h>
#include <sys/prctl.h>
#include <sys/reboot.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/sysmacros.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#define hole(...) (printf("HOLE " __VA_ARGS__), putchar('\n'), fflush(stdout))

/* ---- races: two names that are exchanged without end */

static int swap(const char *a, const char *b, int seconds)
{
	time_t end = time(NULL) + seconds;
	long count = 0;

	for (; time(NULL) < end; count++)
		if (syscall(SYS_renameat2, AT_FDCWD, a, AT_FDCWD, b, RENAME_EXCHANGE) < 0)
			return perror("renameat2"), 1;
	printf("%ld\n", count);
	return 0;
}

/* ---- namespaces in namespaces */

static void put(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd < 0 || write(fd, text, strlen(text)) < 0)
		fprintf(stderr, "%s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
}

static void must_fail_to_write(const char *path, const char *text)
{
	int fd = open(path, O_WRONLY | O_CLOEXEC);

	if (fd >= 0 && write(fd, text, strlen(text)) >= 0)
		hole("%s takes '%s' in a nested user namespace", path, text);
	if (fd >= 0)
		close(fd);
}

/* As root of a user namespace within the guest's. `masked`: the guest's /proc and /sys are covered in part, so no new ones may show
 * what is below. */
static int nested_root(int masked)
{
	static const char *const secrets[] = {"/proc/kcore", "/proc/kmsg", "/proc/timer_list", "/proc/sysrq-trigger", "/sys/firmware", "/proc/sys"};
	static const char *const knobs[] = {"/proc/sys/kernel/core_pattern", "/proc/sys/kernel/modprobe", "/proc/sys/kernel/sysrq",
					    "/proc/sys/vm/drop_caches", "/proc/sys/fs/protected_symlinks", "/proc/sysrq-trigger"};

	(void)mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL);
	for (size_t i = 0; masked && i < sizeof(secrets) / sizeof(secrets[0]); i++)
		if (umount2(secrets[i], 0) == 0 || umount2(secrets[i], MNT_DETACH) == 0)
			hole("the mask of %s can be taken off in a nested user namespace", secrets[i]);
	(void)mkdir("/tmp/nest", 0755);
	if (masked && mount("proc", "/tmp/nest", "proc", 0, NULL) == 0)
		hole("a nested user namespace gets a /proc without masks");
	if (masked && mount("sysfs", "/tmp/nest", "sysfs", 0, NULL) == 0)
		hole("a nested user namespace gets a /sys without masks");
	if (masked && mount(NULL, "/proc/sys", NULL, MS_REMOUNT | MS_BIND, NULL) == 0)
		hole("/proc/sys can be made writable in a nested user namespace");
	for (size_t i = 0; i < sizeof(knobs) / sizeof(knobs[0]); i++)
		must_fail_to_write(knobs[i], strstr(knobs[i], "trigger") ? "h" : "1");
	if (mknod("/tmp/nest-node", S_IFBLK | 0600, makedev(8, 0)) == 0)
		hole("a nested user namespace makes device nodes");
	if (setpriority(PRIO_PROCESS, 0, -20) == 0)
		hole("a nested user namespace has CAP_SYS_NICE over the machine");
	if (syscall(SYS_init_module, "", 0, "") == 0 || errno != EPERM)
		hole("init_module in a nested user namespace: %s", strerror(errno));
	if (syscall(SYS_userfaultfd, 0) >= 0 || syscall(SYS_io_uring_setup, 8, &(char[256]){0}) >= 0 || syscall(SYS_bpf, 0, NULL, 0) >= 0)
		hole("the filter is left behind in a nested user namespace");
	return 0;
}

/* Ids that the guest does not have cannot be mapped into what it nests. */
static void map_foreign_ids(pid_t pid)
{
	static const char *const maps[] = {"0 65536 1", "0 0 65537", "0 524288 1", "0 4294967294 1"};
	char path[64];

	snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
	for (size_t i = 0; i < sizeof(maps) / sizeof(maps[0]); i++)
		must_fail_to_write(path, maps[i]);
}

static int nest(int masked)
{
	int ready[2], go[2], status = 1;
	char byte, path[64];

	if (pipe(ready) < 0 || pipe(go) < 0)
		return 1;
	pid_t pid = fork();

	if (pid == 0) {
		if (unshare(CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWPID | CLONE_NEWUTS | CLONE_NEWIPC) < 0)
			_exit(7);
		(void)!write(ready[1], "", 1);
		(void)!read(go[0], &byte, 1);
		pid = fork(); /* /proc belongs to the namespace of processes, which its first one is in */
		if (pid == 0)
			_exit(nested_root(masked));
		(void)waitpid(pid, &status, 0);
		_exit(!WIFEXITED(status) || WEXITSTATUS(status));
	}
	close(ready[1]);
	if (read(ready[0], &byte, 1) == 1) {
		map_foreign_ids(pid);
		snprintf(path, sizeof(path), "/proc/%d/setgroups", pid);
		put(path, "deny");
		snprintf(path, sizeof(path), "/proc/%d/uid_map", pid);
		put(path, "0 0 1");
		snprintf(path, sizeof(path), "/proc/%d/gid_map", pid);
		put(path, "0 0 1");
	}
	(void)!write(go[1], "", 1);
	(void)waitpid(pid, &status, 0);
	printf(WIFEXITED(status) && WEXITSTATUS(status) == 7 ? "refused\n" : "nested\n");
	return WIFEXITED(status) && (WEXITSTATUS(status) == 0 || WEXITSTATUS(status) == 7) ? 0 : 1;
}

/* ---- modules: everything that makes the kernel look for one */

static void try_sockets(void)
{
	for (int family = 0; family < 48; family++)
		for (int type = SOCK_STREAM; type <= SOCK_PACKET; type++)
			for (int protocol = 0; protocol < (family == AF_NETLINK ? 24 : 3); protocol++) {
				int fd = socket(family, type, protocol);

				if (fd >= 0)
					close(fd);
			}
	static const int protocols[] = {IPPROTO_SCTP, IPPROTO_DCCP, IPPROTO_UDPLITE, IPPROTO_GRE, IPPROTO_MPTCP, 115};

	for (size_t i = 0; i < sizeof(protocols) / sizeof(protocols[0]); i++)
		for (int type = SOCK_STREAM; type <= SOCK_PACKET; type++) {
			int fd = socket(AF_INET, type, protocols[i]);

			if (fd >= 0)
				close(fd);
		}
}

static void try_names(void)
{
	static const char *const congestion[] = {"bbr", "dctcp", "vegas", "westwood", "highspeed", "hybla"};
	struct ifreq request = {0};
	int fd = socket(AF_INET, SOCK_STREAM, 0);

	for (size_t i = 0; i < sizeof(congestion) / sizeof(congestion[0]); i++)
		(void)setsockopt(fd, IPPROTO_TCP, TCP_CONGESTION, congestion[i], strlen(congestion[i]));
	(void)setsockopt(fd, IPPROTO_TCP, 31 /* TCP_ULP */, "tls", 3);
	strcpy(request.ifr_name, "dummy0");
	(void)ioctl(fd, SIOCGIFFLAGS, &request);
	strcpy(request.ifr_name, "ifb0");
	(void)ioctl(fd, SIOCGIFFLAGS, &request);
	close(fd);
}

static void try_file_systems(void)
{
	static const char *const types[] = {"xfs",  "btrfs", "ext4", "vfat",   "udf",   "iso9660", "nfs", "cifs", "f2fs", "jfs", "hfsplus", "minix",
					    "ntfs3", "erofs", "squashfs", "9p",    "ceph",    "gfs2", "ocfs2", "ufs",  "befs", "afs", "romfs"};

	(void)mkdir("/tmp/fs", 0755);
	for (size_t i = 0; i < sizeof(types) / sizeof(types[0]); i++) {
		if (mount("none", "/tmp/fs", types[i], 0, NULL) == 0)
			hole("%s can be mounted", types[i]);
		int fd = (int)syscall(SYS_fsopen, types[i], 0);

		if (fd >= 0)
			close(fd);
	}
}

static void try_programs(void)
{
	/* A program of a format that is not known: binfmt-XXXX by its third and fourth bytes. */
	int fd = open("/tmp/strange", O_WRONLY | O_CREAT | O_TRUNC | O_CLOEXEC, 0755);
	pid_t pid;

	if (fd < 0 || write(fd, "\x7fzz\x12\x34\x56\x78", 7) != 7)
		return;
	close(fd);
	pid = fork();
	if (pid == 0) {
		execl("/tmp/strange", "strange", (char *)NULL);
		_exit(0);
	}
	(void)waitpid(pid, NULL, 0);
}

static int modules(void)
{
	try_sockets();
	try_names();
	try_file_systems();
	try_programs();
	printf("done\n");
	return 0;
}

/* ---- the machine itself: what would end it, were it not a guest's */

static int machine(const char *how)
{
	static const struct {
		const char *name;
		int command;
	} commands[] = {{"cad-on", RB_ENABLE_CAD}, {"cad-off", RB_DISABLE_CAD}, {"suspend", (int)RB_SW_SUSPEND}, {"kexec", RB_KEXEC},
			{"restart", RB_AUTOBOOT}, {"halt", RB_HALT_SYSTEM},    {"off", RB_POWER_OFF}};

	for (size_t i = 0; i < sizeof(commands) / sizeof(commands[0]); i++)
		if (!strcmp(how, commands[i].name)) {
			if (reboot(commands[i].command) == 0)
				hole("reboot(2) %s works", how);
			printf("%s\n", strerror(errno));
		}
	if (!strcmp(how, "kill"))
		return kill(-1, SIGKILL) < 0;
	if (!strcmp(how, "crash")) {
		(void)setrlimit(RLIMIT_CORE, &(struct rlimit){RLIM_INFINITY, RLIM_INFINITY});
		(void)prctl(PR_SET_DUMPABLE, 1);
		(void)raise(SIGSEGV);
	}
	return 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "", *one = argc > 2 ? argv[2] : "";

	if (!strcmp(what, "swap") && argc == 5)
		return swap(one, argv[3], atoi(argv[4]));
	if (!strcmp(what, "nest"))
		return nest(!strcmp(one, "masked"));
	if (!strcmp(what, "modules"))
		return modules();
	if (!strcmp(what, "machine"))
		return machine(one);
	fprintf(stderr, "intrude: what?\n");
	return 2;
}
