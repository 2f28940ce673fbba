/* Where criu restores a guest: namespaces that only it and the restoring process see, and a control group of its own. */
#pragma once

#include "../base/err.h"
#include "run.h"

struct workshop {
	char root_path[512];  /* where the guest's root file system is mounted, */
	char mounts_path[32]; /* what comes from the host besides, in files and folders named by their RUN_FD, */
	char images_path[32]; /* and the checkpoint's images */
	char work_path[32];   /* criu's own files */
	char yard_path[32];   /* the control groups */
	int home;             /* the mount namespace to go back to, -1 for none */
	int netns;            /* where criu makes the outer ends of links */
};

/* The calling process is in the workshop's mount namespace until workshop_leave, which is to be called after a failure too. All
 * that is mounted goes with the namespace. */
int workshop_enter(const struct run *run, struct workshop *ret, struct err *err);
void workshop_leave(struct workshop *shop);

/* criu has children that help it: when it is killed they are found by their group, which none of the guest's limits is on. The
 * calling process joins it; whoever is in it is killed, and it is removed (what fails is in run->undo_err). */
int workshop_join_group(const struct run *run, struct err *err);
void workshop_clear_group(struct run *run);
