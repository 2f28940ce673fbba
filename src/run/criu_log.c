/* Says in words that help why criu failed: the first real error of its log, its cause and its remedy. */
#include "config.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/statvfs.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "criu_log.h"

#define LOG_MAX        (4u << 20)
#define NEARLY_NOTHING (1u << 20)

static const char newer[] = "tools/install-criu brings a newer criu beside the system's";

/* Each was met by experiment. */
static const struct criu_meaning meaning_table[] = {
	{"dump nested", "a process is in a namespace of its own of a kind that criu cannot carry",
	 "stop what makes containers in the guest, or start the guest with checkpoint-ready = yes"},
	{"io_uring", "a process uses io_uring", "stop it, or switch io_uring off in its configuration"},
	{"bpf-prog", "a process holds a BPF program", "start the guest with checkpoint-ready = yes"},
	{"Unknown shit", "a process has something open that criu cannot carry", ""},
	{"Control messages in queue", "a message with credentials or descriptors is on its way between two processes",
	 CRIU_LOG_AGAIN},
	{"Can't dump that handle", "a file that is watched (inotify) has no name any more", "restart the service that watches it"},
	{"Can't get rlimit", "the caller lacks CAP_SYS_RESOURCE", "run isle with the host's full powers"},
	{"Unexpected rt vDSO", "this criu is older than the kernel", newer},
	{"Can't get 1:16 opt", "this criu is older than the kernel", newer},
	{"Can't setns", "this criu cannot go back to mounts that a service has for itself", newer},
	{"has bad size", "a program or library is not the one that ran when the guest was checkpointed",
	 "restore with the root file system that belongs to the checkpoint"},
	{"has bad mode", "a file has other permissions than when the guest was checkpointed", ""},
	{"Can't open file", "a file that a process had open is gone", ""},
	{"propagate", "a service's mounts share with another's", "start the guest anew: isle makes its mounts private"},
	{"No space left on device", "the disk is full", "free some space, or give another folder: --to FOLDER"},
	{"Unable to freeze", "a process could not be stopped in time", "look for processes in state D in the guest"},
	{"Timeout reached", "a process could not be stopped in time", "look for processes in state D in the guest"},
	{"Can't dump ghost file", "a file that was removed is open still, and larger than 1 GiB",
	 "end or restart what has it open: in the guest 'find /proc/[0-9]*/fd -lname *deleted* -ls' shows it"},
	{"is traced", "a process is being traced", "detach strace or the debugger in the guest"},
	{"in-flight", "a connection is being made at this moment", CRIU_LOG_AGAIN},
	{"No such device", "an interface that the guest had is not in its config any more", ""},
	{"AIO", "a process waits for asynchronous disk operations", CRIU_LOG_AGAIN},
	{"error parsing [inotify", "a watched file or control group went at this moment", CRIU_LOG_AGAIN},
	{"The socket has data to read", "a message of the kernel's waits for a process at this moment (netlink)", CRIU_LOG_AGAIN},
	{"mqueue isn't empty", "a POSIX message queue is not empty", "remove it in the guest: rm /dev/mqueue/NAME"},
	{"Can't bind remount", "a mount lacks 'nodev', which the guest's root has",
	 "mount it with nodev before the next checkpoint"},
	{"Can't lookup mount", "a process has a file of another mount namespace open",
	 "end the commands that were entered with nsenter"},
};

static const char *const noise_table[] = {
	"RLIMIT_NOFILE",    "iptables",
	"ip6tables",        "RTNETLINK answers: File exists",
	"already assigned", "recv req error: File exists",
};

const struct criu_meaning *criu_log_meaning(const char *line)
{
	for (size_t i = 0; i < sizeof(meaning_table) / sizeof(meaning_table[0]); i++)
		if (strstr(line, meaning_table[i].sign))
			return &meaning_table[i];
	return NULL;
}

bool criu_log_is_error(const char *line, const char **ret_text)
{
	const char *error = strstr(line, "Error (");
	const char *text = error ? strstr(error, "): ") : NULL;

	if (!text)
		return false;
	for (size_t i = 0; i < sizeof(noise_table) / sizeof(noise_table[0]); i++)
		if (strstr(text, noise_table[i]))
			return false;
	*ret_text = text + strlen("): ");
	return true;
}

/* What criu had a program write may have failed without a word that tells why. */
static bool disk_is_full(int fd)
{
	struct statvfs st;

	return fstatvfs(fd, &st) == 0 && (uint64_t)st.f_bavail * st.f_frsize < NEARLY_NOTHING;
}

int criu_log_explain(int images_fd, const char *log, bool restore, const char *own, struct err *err)
{
	const char *what = restore ? "restore its processes" : "dump its processes", *first = NULL;
	const struct criu_meaning *meaning = NULL;
	auto_free char *text = NULL;
	char shown[160];

	/* The first line that means something to us; else the first error, which the others follow from. */
	if (file_read(images_fd, log, LOG_MAX, &text, NULL) == 0) {
		char *rest = text;

		for (char *line; !meaning && (line = strsep(&rest, "\n"));) {
			const char *said;

			if (!criu_log_is_error(line, &said))
				continue;
			if (!first)
				first = said;
			meaning = criu_log_meaning(said);
			if (meaning)
				first = said;
		}
	}
	if (!meaning && !restore && disk_is_full(images_fd))
		meaning = criu_log_meaning("No space left on device");
	if (!first && !criu_log_is_error(own, &first))
		return err_set(err, ERR_FAILED, "%s: criu ended without a word", what);
	(void)str_escape_into(shown, sizeof(shown), first);
	if (!meaning)
		return err_set(err, ERR_FAILED, "%s: criu says: %s", what, shown);
	(void)err_set(err, ERR_FAILED, "%s: %s (criu: %s)", what, meaning->cause, shown);
	(void)err_hint(err, "%s", meaning->remedy);
	return strcmp(meaning->remedy, CRIU_LOG_AGAIN) == 0 ? -EAGAIN : -EIO;
}

void criu_log_keep(int folder, const char *log, int guest_fd)
{
	auto_free char *text = NULL;
	size_t len = 0;

	/* The folder of images may be on another disk. */
	if (file_read(folder, log, LOG_MAX, &text, &len) == 0)
		(void)file_replace_quick(guest_fd, "log/criu", text, len, 0600, NULL);
}
