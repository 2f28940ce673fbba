/* The monitor: the small process beside each running guest. */
#pragma once

#include <sys/types.h>

#include "../base/err.h"

/* The process that walked a start's HOST rows becomes the monitor by exec of isle-monitor, so init stays its
 * child. When init ends the monitor becomes `isle` again by exec (verb below) to undo the start or, after
 * a reboot from inside, to start anew: one pid for the guest's whole run. */
struct cgroup_oom;

struct monitor_args {
	const char *name;       /* guest */
	const char *store_root; /* NULL: the default instance */
	const char *isle;       /* absolute path of the isle program to become at the end */
	int guest_fd;           /* guests/NAME: holds the folder `log` */
	int run_fd;             /* run/NAME */
	int init_pidfd;
	pid_t init_pid;
	int console_fd;        /* the pty's master */
	int control_fd;        /* listening socket */
	int netns_fd;          /* the guest's network, which it holds until the start is undone; below 3: none */
	unsigned long log_max; /* bytes of log/console before it is rotated (one old file is kept: log/console.1); 0: no log */
	const struct cgroup_oom *oom; /* what to watch for processes killed for want of memory; NULL: nothing */
	unsigned long ids;            /* the guest's first host id, 0 when privileged */
	const char *cgroup;
	int is_child; /* 0: init is not our child (a monitor that took over): its end is seen by pidfd only */
};

/* Blocks SIGTERM from now on in this process, which is to become the monitor: what comes meanwhile waits until that hears it. To be
 * called as soon as the guest runs, since whoever ends its scope would else end its monitor only. */
void monitor_hold_term(void);

/* The descriptors are passed on by number, netns_fd stays open without being told, every other one is closed. isle-monitor is
 * the one beside the running program, else the one in ISLE_LIBEXECDIR. Never returns on success; after a failure the caller can go
 * on as before. */
int monitor_exec(const struct monitor_args *args, struct err *err);

/* What isle-monitor executes at init's end, with nothing else open but stdio on /dev/null, in / and with default signals,
 * SIGTERM blocked:
 *   isle monitor-after --name NAME [--path ROOT] --how HOW --console FD --control FD --guest FD --run FD
 * HOW: "reboot" | "poweroff" | "exit:N" | "signal:N" | "unknown" (taken over, and no certain status to be had).
 * netns_fd is still open, too. The four descriptors are not close-on-exec, and console and control are O_NONBLOCK. At "reboot"
 * clients were not told of an end: they have connected to the control socket again and wait there for the next monitor, or for the
 * socket to be closed. */
