/* Drives criu: one request to `criu swrk` over a socket, and what it tells on the way. */
#pragma once

#include <stdbool.h>
#include <stddef.h>
#include <sys/types.h>

#include "../base/err.h"

/* Bytes of a file that was removed and is open still, up to which criu carries it along in the images. */
#define CRIU_GHOST_LIMIT (1u << 30)

/* Where tools/install-criu puts isle's own. */
#define CRIU_PRIVATE "/usr/local/lib/isle/criu"

/* criu's program, and what goes before it in its argument list: a private one (tools/install-criu) brings its own loader. */
struct criu_program {
	char path[256];
	bool private; /* isle's own, below CRIU_PRIVATE */
};

/* $ISLE_CRIU, else isle's private one, else the system's. -ENOENT with what to install. */
int criu_find(struct criu_program *ret, struct err *err);

/* "4.2.1", as it tells; "" when it does not. */
void criu_version(const struct criu_program *program, char *ret, size_t size);

struct criu_inherit {
	const char *key; /* "tty[8803:1c]"; NULL: for isle-criu.so, the user namespace that is not to be made but to be joined */
	int fd;
};

struct criu_group {
	char controller[32]; /* "memory", "name=systemd", "" for cgroup2 */
	char path[128];      /* "/isle/web1" */
};

/* The link that criu makes among images to those that they build on. */
#define CRIU_EARLIER "parent"

#define CRIU_GROUPS_MAX   16
#define CRIU_INHERIT_MAX  4
#define CRIU_EXTERNAL_MAX 96

struct criu_job {
	bool restore;
	bool memory_only;    /* a dump of the memory alone, while the guest runs on, for a later one to build on */
	const char *earlier; /* dump: the folder with the images of such a one, as seen from images_fd; only what was written since
				is saved */
	pid_t pid;           /* whom to dump */
	int images_fd;       /* where the images are, or go to */
	int work_fd;         /* restore: where criu works and writes its log; a dump does in images_fd */
	const char *log;     /* its log's name in there */
	const char *yard;    /* restore: of criu_yard_mount */
	const char *root;    /* where the guest's root file system is mounted, in the mount namespace that in_child enters */
	bool leave_running;
	bool force_irmap;    /* watched files are found again by name, in a copy of the root file system */
	bool close_tcp;      /* restore: connections are closed; listening sockets stay */
	const char *profile; /* restore: "apparmor:NAME" in the place of the processes' own; NULL: they had none */
	unsigned timeout_ms; /* of criu's own, not of what is done at its notices: after it criu is killed */
	uid_t owner;         /* restore: of the user namespace that is made; 0: there is none */
	int hold_fd;         /* dump: stays open until criu has ended, whatever becomes of the caller: the guest's lock */

	const char *external[CRIU_EXTERNAL_MAX]; /* "mnt[/dev/null]:null" and so on */
	size_t external_count;
	struct criu_inherit inherit[CRIU_INHERIT_MAX];
	size_t inherit_count;
	struct criu_group groups[CRIU_GROUPS_MAX];
	size_t group_count;

	/* In criu's process before its exec, with all descriptors still open; a failure is told by err and -errno. */
	int (*in_child)(void *arg, struct err *err);
	/* At criu's notifications ("post-dump", "post-restore"...); pid is the restored init's where criu names it, else 0; of a
	 * dump criu's own. A failure makes criu undo what it did. */
	int (*notice)(void *arg, const char *what, pid_t pid, struct err *err);
	/* Again and again while criu works; a failure ends it. NULL: nobody looks. */
	int (*look)(void *arg, struct err *err);
	/* When criu was killed and does not end, for something in the guest holds it up: to end that, more thoroughly each time,
	 * n = 0, 1... until it says false: then it is left to end by itself. NULL: it is waited for. */
	bool (*release)(void *arg, unsigned n);
	void *arg;
};

/* Runs the job. After a failure err holds the first error of criu's log in words that help, and the guest goes on as before
 * (dump), or nothing is left of it but what the caller made (restore). After a restore its init is the caller's child; after a dump
 * without leave_running the guest's processes are stopped, and the caller ends them. */
int criu_run(const struct criu_job *job, struct err *err);
