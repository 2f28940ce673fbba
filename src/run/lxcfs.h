/* The guest's own size in its /proc and /sys: files of lxcfs(1), a FUSE file system of the host, laid over the kernel's. */
#pragma once

#include "../guest/record.h"
#include "steps.h"

/* Where lxcfs is mounted on the host. */
#define LXCFS_AT "/var/lib/lxcfs"

enum lxcfs_state { LXCFS_NONE, LXCFS_DEAD, LXCFS_ALIVE };

/* What is mounted there: nothing of the kind, one whose daemon is gone, or one that answers. ret_mark, which may be NULL: what
 * tells this mount from the one before it ("0:45"). */
enum lxcfs_state lxcfs_state(char ret_mark[16]);

/* Whether the config wants it, as far as the host has it. */
bool lxcfs_wanted(const struct spec *spec);

/* True for a path of the guest's that isle covers by a file or folder of lxcfs ("/proc/meminfo"); then LXCFS_AT with the same path
 * behind it is what covers it. */
bool lxcfs_covers(const char *path);

/* Whether a running guest has the files of what is mounted now: lxcfs may have come, gone, or been started anew since. Asks no
 * daemon, so one that has just died is not told from one that lives. */
bool lxcfs_current(const struct spec *spec, const struct record *record);

/* The caller holds the lock of a guest that runs. Takes away files of an lxcfs that is gone, which fail with ENOTCONN, and puts
 * those of the present one in their place, as spec wants it. Nothing to do: success. */
int lxcfs_renew(struct guest *guest, const struct spec *spec, struct record *record, struct err *err);
