/* Where isle keeps its state: folders, guests' names, locks, id ranges. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"
#include "spec.h"

#define STORE_NAME_MAX 63

/* Instances: the default one in /etc, /var/lib, /var/cache, /run; any other wholly below one folder
 * (DIR/{isle.conf,networks,guests,images,run,ids,leases}). */
struct store {
	char *root;     /* NULL for the default instance, else the absolute folder */
	char *conf;     /* isle.conf */
	char *networks; /* named networks */
	char *plans;    /* named sets of limits */
	char *guests;
	char *images;
	char *run;
	char *ids;    /* one symbolic link per id range taken: 524288 -> guest id */
	char *leases; /* leases/NETWORK/ADDRESS -> GUESTID/IFNAME */
	char *cache;  /* compiled seccomp programs and the like */
	int guests_fd;
	int run_fd;
	char tag[5]; /* "" for the default instance, else 4 hex digits of the folder: keeps cgroups and links apart */
};

/* Opens (and makes, mode 0700) the folders. path NULL: $ISLE_PATH, else the default instance. Another instance's folder that does
 * not exist is only made with make, else it is ERR_NOT_FOUND: a mistyped path makes no tree. */
int store_open(const char *path, bool make, struct store **ret, struct err *err);
void store_free(struct store *store);

bool store_name_valid(const char *name);
/* -EINVAL with a usage error that says what a name may be. */
int store_check_name(const char *name, struct err *err);

/* All guests' names, sorted, NULL-ended; caller frees with store_names_free. */
int store_names(const struct store *store, char ***ret, struct err *err);
void store_names_free(char **names);

/* A guest on disk. */
struct guest {
	const struct store *store;
	char name[STORE_NAME_MAX + 1];
	int dir_fd;        /* guests/NAME */
	int lock_fd;       /* -1: not locked */
	struct spec *spec; /* NULL until loaded */
	bool any;          /* opened by guest_open_any */
	bool faulty;       /* with `any`: the config could not be read, spec holds defaults and the id that was found in it */
};

/* Opens guests/NAME and loads its config. ERR_NOT_FOUND with the near match when there is none. */
int guest_open(const struct store *store, const char *name, struct guest **ret, struct err *err);
/* The same for what ends a guest and clears up after it, which no fault in the config must prevent. */
int guest_open_any(const struct store *store, const char *name, struct guest **ret, struct err *err);
void guest_free(struct guest *guest);

/* Takes the guest's lock (run/.lock-NAME); every command that changes a guest holds it. After the lock the spec is
 * read again. timeout_ms as file_lock; the default for commands is STORE_LOCK_MS. */
#define STORE_LOCK_MS 10000
int guest_lock(struct guest *guest, int timeout_ms, struct err *err);
void guest_unlock(struct guest *guest);

/* The lock of a name that may have no guest (create, rename). */
int store_lock_name(const struct store *store, const char *name, int timeout_ms, int *ret_fd, struct err *err);

/* Whether somebody, this process included, holds it; never waits. */
bool store_name_locked(const struct store *store, const char *name);

/* Gives the lock back; its file goes where there is no guest of that name. *fd may be -1. */
void store_unlock_name(const struct store *store, const char *name, int *fd);

/* Removes the lock files of names that no guest has and nobody holds: killed commands left them. */
void store_sweep_locks(const struct store *store);

/* Makes a random 32-hex id. */
int store_new_id(char out[33], struct err *err);

/* Takes the lowest free range of 65,536 ids from 524288 up for guest id, never one that /etc/subuid, /etc/subgid or
 * /etc/passwd uses. Atomic between processes (symlinkat). *ret = first id. */
int store_ids_take(const struct store *store, const char *guest_id, uint64_t *ret, struct err *err);
/* Notes that the range from `first` on is this guest's, where nobody has it: the guest was brought here by hand. ERR_FAILED when
 * it is another guest's. */
int store_ids_claim(const struct store *store, const char *guest_id, uint64_t first, struct err *err);
/* Frees every range that guest id has: the folder of a create that was killed need not tell which one it took. */
int store_ids_drop(const struct store *store, const char *guest_id, struct err *err);

/* Writes guests/NAME/config atomically. */
int guest_save(struct guest *guest, const char *text, struct err *err);
