/* The isle-unpack program: unpacks a root file system's tarball that nobody vouches for. */
#include "config.h"

#include <archive.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <getopt.h>
#include <locale.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <string.h>
#include <sys/prctl.h>
#include <sys/statvfs.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include "base/clean.h"
#include "base/file.h"
#include "base/proc.h"
#include "base/str.h"
#include "unpack/unpack.h"

#define BLOCK_SIZE      (64u << 10)
#define ENTRIES_DEFAULT 2000000
#define SECONDS_DEFAULT 3600

static const char usage_text[] =
	"usage: isle-unpack [OPTIONS] ARCHIVE DIR\n"
	"\n"
	"Unpacks a tar archive in any compression, '-' for standard input, into the empty folder DIR. It runs\n"
	"shut in: it sees nothing but DIR, and an archive that tries to leave it, has absolute names,\n"
	"or holds device nodes outside of /dev, is refused.\n"
	"\n"
	"  --max-bytes SIZE     most bytes of contents (default: nine tenths of the free space)\n"
	"  --max-entries N      most files (default: 2000000)\n"
	"  --timeout SECONDS    (default: 3600)\n";

static int usage_failure(const char *why)
{
	fprintf(stderr, "isle-unpack: %s\n%s", why, usage_text);
	return ERR_USAGE;
}

static bool is_empty(int dir_fd)
{
	int again = openat(dir_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = again >= 0 ? fdopendir(again) : NULL;

	for (const struct dirent *entry; dir && (entry = readdir(dir));)
		if (strcmp(entry->d_name, ".") && strcmp(entry->d_name, ".."))
			return false;
	return dir != NULL;
}

static struct archive *open_archive(int fd)
{
	struct archive *archive = archive_read_new();

	if (archive && archive_read_support_filter_all(archive) >= ARCHIVE_WARN &&
	    archive_read_support_format_tar(archive) >= ARCHIVE_WARN &&
	    archive_read_open_fd(archive, fd, BLOCK_SIZE) >= ARCHIVE_WARN)
		return archive;
	fprintf(stderr, "isle-unpack: read the archive: %s\n", archive ? archive_error_string(archive) : strerror(ENOMEM));
	if (archive)
		archive_read_free(archive);
	return NULL;
}

/* The host's ids by their own numbers and no others: capabilities are then those of a user namespace, over files of these owners.
 */
static int map_ids(pid_t pid, struct err *err)
{
	static const char *const files[] = {"uid_map", "gid_map"};
	char path[48];
	int r = 0;

	for (size_t i = 0; r == 0 && i < 2; i++) {
		(void)str_print(path, sizeof(path), "/proc/%d/%s", pid, files[i]);
		r = file_poke(AT_FDCWD, path, "0 0 65536\n");
	}
	return r < 0 ? err_num(err, r, "map the ids of the unpacking process") : 0;
}

/* pid 1 of namespaces of its own. The archive is first looked at in here: its first bytes are as hostile as the rest. */
_Noreturn static void run_child(int archive_fd, int root_fd, const struct unpack_limits *limits, int go_fd)
{
	struct err err = {0};
	char go;

	(void)prctl(PR_SET_PDEATHSIG, SIGKILL);
	/* EOF: the parent died before that took effect, or has said why it cannot go on. */
	if (read(go_fd, &go, 1) != 1)
		_exit(ERR_FAILED);
	if (sandbox_enter(root_fd, limits, &err) < 0) {
		err_print(&err, "cannot unpack");
		_exit(ERR_FAILED);
	}
	struct archive *archive = open_archive(archive_fd);
	int top_fd = open("/", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (!archive || top_fd < 0)
		_exit(ERR_FAILED);
	if (unpack_entries(archive, top_fd, limits, &err) < 0) {
		fprintf(stderr, "isle-unpack: %s%s%s\n", err.what, err.sys ? ": " : "", err.sys ? strerror(err.sys) : "");
		_exit(ERR_FAILED);
	}
	_exit(0);
}

static int wait_child(pid_t pid, int pidfd, const struct unpack_limits *limits)
{
	int status;

	if (proc_wait_gone(pidfd, (int)limits->seconds * 1000) == -ETIMEDOUT) {
		(void)proc_signal(pidfd, SIGKILL);
		fprintf(stderr, "isle-unpack: not done after %u seconds\n", limits->seconds);
	}
	while (waitpid(pid, &status, 0) < 0)
		if (errno != EINTR)
			return ERR_FAILED;
	if (WIFEXITED(status))
		return WEXITSTATUS(status);
	if (WTERMSIG(status) == SIGSYS)
		fprintf(stderr, "isle-unpack: the archive made the reader do what no archive needs; it was killed\n");
	else if (WTERMSIG(status) != SIGKILL)
		fprintf(stderr, "isle-unpack: the archive crashed the reader (%s)\n", strsignal(WTERMSIG(status)));
	return ERR_FAILED;
}

static int unpack(int archive_fd, int dir_fd, const struct unpack_limits *limits)
{
	auto_close int root_fd = -1;
	struct err err = {0};
	int go[2], pidfd = -1;

	if (sandbox_open(dir_fd, &root_fd, &err) < 0) {
		err_print(&err, "cannot unpack");
		return ERR_FAILED;
	}
	if (pipe2(go, O_CLOEXEC) < 0) {
		fprintf(stderr, "isle-unpack: make a pipe: %s\n", strerror(errno));
		return ERR_FAILED;
	}
	long pid = syscall(SYS_clone,
			   CLONE_NEWUSER | CLONE_NEWNS | CLONE_NEWNET | CLONE_NEWIPC | CLONE_NEWUTS | CLONE_NEWPID |
				   CLONE_NEWCGROUP | CLONE_PIDFD | SIGCHLD,
			   0, &pidfd, 0, 0);

	if (pid < 0) {
		fprintf(stderr, "isle-unpack: make namespaces: %s\n", strerror(errno));
		return ERR_FAILED;
	}
	if (pid == 0) {
		close(go[1]);
		run_child(archive_fd, root_fd, limits, go[0]);
	}
	close(go[0]);
	if (map_ids((pid_t)pid, &err) < 0)
		err_print(&err, "cannot unpack");
	else
		(void)!write(go[1], "", 1); /* a child that is gone is reaped below */
	close(go[1]);
	return wait_child((pid_t)pid, pidfd, limits);
}

int main(int argc, char **argv)
{
	static const struct option options[] = {{"max-bytes", required_argument, NULL, 'b'},
						{"max-entries", required_argument, NULL, 'e'},
						{"timeout", required_argument, NULL, 't'},
						{"help", no_argument, NULL, 'h'},
						{0}};
	struct unpack_limits limits = {.entries = ENTRIES_DEFAULT, .seconds = SECONDS_DEFAULT};
	uint64_t seconds;
	struct statvfs vfs;

	for (int option; (option = getopt_long(argc, argv, "h", options, NULL)) >= 0;) {
		if (option == 'h') {
			fputs(usage_text, stdout);
			return 0;
		}
		if (option == 'b' && str_to_size(optarg, &limits.bytes) < 0)
			return usage_failure("--max-bytes takes a size");
		if (option == 'e' && str_to_u64(optarg, 1, UINT32_MAX, &limits.entries) < 0)
			return usage_failure("--max-entries takes a number");
		if (option == 't') {
			if (str_to_u64(optarg, 1, 1000000, &seconds) < 0)
				return usage_failure("--timeout takes seconds");
			limits.seconds = (unsigned)seconds;
		}
		if (option == '?')
			return ERR_USAGE;
	}
	if (argc - optind != 2)
		return usage_failure("an archive and a folder are needed");
	/* Names in pax headers are UTF-8. */
	if (!setlocale(LC_CTYPE, "C.UTF-8"))
		(void)setlocale(LC_CTYPE, "");
	auto_close int archive_fd = strcmp(argv[optind], "-") ? open(argv[optind], O_RDONLY | O_CLOEXEC) : dup(STDIN_FILENO);

	if (archive_fd < 0) {
		fprintf(stderr, "isle-unpack: open %s: %s\n", argv[optind], strerror(errno));
		return ERR_FAILED;
	}
	auto_close int dir_fd = open(argv[optind + 1], O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (dir_fd < 0 || fstatvfs(dir_fd, &vfs) < 0) {
		fprintf(stderr, "isle-unpack: open %s: %s\n", argv[optind + 1], strerror(errno));
		return ERR_FAILED;
	}
	if (!is_empty(dir_fd)) {
		fprintf(stderr, "isle-unpack: %s is not empty\n", argv[optind + 1]);
		return ERR_FAILED;
	}
	if (!limits.bytes)
		limits.bytes = (uint64_t)vfs.f_bavail * vfs.f_frsize / 10 * 9;
	return unpack(archive_fd, dir_fd, &limits);
}
