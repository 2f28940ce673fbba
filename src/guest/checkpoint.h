/* Checkpoints on disk: a folder each with criu's images and a signed manifest that says what they belong to. */
#pragma once

#include <stdbool.h>
#include <stdint.h>

#include "../base/err.h"
#include "store.h"

#define CHECKPOINT_IMAGES "images"   /* criu's, below the checkpoint's folder */
#define CHECKPOINT_DISK   "disk"     /* the guest's own files as they were, where they were kept */
#define CHECKPOINT_GROUPS "groups"   /* among them: the guest's control groups, as cgroup_save tells them */
#define CHECKPOINT_LOG    "dump.log" /* criu's */

#define CHECKPOINT_IMAGES_MAX 60000
#define CHECKPOINT_MOUNTS_MAX 96
#define CHECKPOINT_LINKS_MAX  16

struct checkpoint {
	char id[32];         /* "20261120-131502-4f2a", also the folder's name where that is isle's own */
	char guest_id[40];   /* guest.id */
	char guest_name[64]; /* as it was called then */
	char image[128];     /* guest.image, "" for none */
	char storage[16];
	char kernel[72];  /* release */
	char machine[16]; /* "x86_64" */
	char criu[16];    /* "4.2.1", "" where it did not tell */
	char console[32]; /* criu's key of the console's terminal: "tty[8803:1a]" */
	char init_kind[12];
	char salt[72];                      /* of the tags of its images: see checkpoint_sign.h */
	uint64_t created;                   /* seconds, CLOCK_REALTIME */
	uint64_t page;                      /* bytes of a page of memory on the host it came from */
	uint64_t confined;                  /* 1: its processes are under an AppArmor profile */
	uint64_t ids;                       /* first id of the guest on the host it came from */
	uint64_t frozen;                    /* microseconds for which the guest stood still */
	uint64_t bytes;                     /* of the images, as they lie on the disk */
	uint64_t unpacked;                  /* of the images, where they are packed (zstd); 0: they are not */
	uint64_t beforehand;                /* bytes of memory that were copied while it still ran */
	uint64_t ifindex;                   /* the highest of its links' numbers */
	uint64_t disk;                      /* 1: the guest's files are in it too, so that it can be restored at any time */
	char *cpu;                          /* the CPU's feature words */
	char *mount[CHECKPOINT_MOUNTS_MAX]; /* paths inside the guest where something of the host was mounted */
	size_t mount_count;
	struct {
		char inside[16]; /* eth0 */
		char mac[18];
		char address[19], address6[44]; /* with the prefix's length; "" for none */
		bool addressed;                 /* the manifest tells the addresses */
	} link[CHECKPOINT_LINKS_MAX];
	size_t link_count;
};

void checkpoint_clear(struct checkpoint *checkpoint);

/* Where one is being made: under a dot-name until it is whole. */
struct checkpoint_place {
	int parent;     /* checkpoints/, or the administrator's folder that it goes to */
	int fd;         /* its own folder */
	char name[256]; /* what it is called in there once it is whole */
	char *path;     /* the same from the root, in a folder of the administrator's; else NULL */
};

void checkpoint_place_close(struct checkpoint_place *place);

/* A new folder for one with the folder for images in it: below guests/NAME/checkpoints, or, with `to`, in that place, which must be
 * free (an empty folder counts) and lie where no other user may write. ERR_USAGE for what is no name of a folder. */
int checkpoint_begin(struct guest *guest, const char *to, struct checkpoint *checkpoint, struct checkpoint_place *ret,
		     struct err *err);

/* Makes the folder for images in the folder fd. */
int checkpoint_images(int fd, struct err *err);

/* fn on each of the images, in the order of the folder, until one fails. */
int checkpoint_each_image(int images, int (*fn)(void *arg, int dir, const char *name), void *arg);

/* Writes the manifest with the tag of every image into the folder fd, signs it with the host's key, and syncs the file system:
 * from here on the checkpoint is whole. */
int checkpoint_seal(const struct store *store, int fd, struct checkpoint *checkpoint, struct err *err);

/* Puts a sealed one in its place; with asleep the guest is what `isle start` wakes from it. */
int checkpoint_keep(struct guest *guest, const struct checkpoint *checkpoint, const struct checkpoint_place *place, bool asleep,
		    struct err *err);

/* Removes what checkpoint_begin made, whole or not. */
void checkpoint_drop(struct guest *guest, const struct checkpoint_place *place);

/* Removes what a killed command of this guest's, which the caller has locked, left half made: among its checkpoints, in a folder of
 * the administrator's, and of a wake. Cheap when there is nothing. */
void checkpoint_sweep(struct guest *guest);

/* Reads a manifest without checking it (list). -ENOENT when there is none. */
int checkpoint_load(int fd, struct checkpoint *ret, struct err *err);

/* The same with its signature and every image's tag, -EKEYREJECTED; trust: a foreign or edited one is taken as it is. */
int checkpoint_verify(const struct store *store, int fd, bool trust, struct checkpoint *ret, struct err *err);

/* Opens checkpoints/ID; ERR_NOT_FOUND with what there is. */
int checkpoint_open(const struct guest *guest, const char *id, int *ret_fd, struct err *err);

/* Opens a checkpoint in a folder of the administrator's. It must be the caller's own down to the last image, and closed to other
 * users: what is checked is then what is used. */
int checkpoint_open_at(const char *path, int *ret_fd, struct err *err);

/* The ids of a guest's checkpoints, sorted, NULL-ended; free with store_names_free. */
int checkpoint_ids(const struct guest *guest, char ***ret, struct err *err);

/* The id of the one that the guest sleeps in, "" when it does not, and after a failure: then nobody knows, and a guest that is
 * started anew has lost all that it had in memory. */
int checkpoint_asleep(const struct store *store, const char *name, char ret[32], struct err *err);

/* The folder of the administrator's where that one is; NULL when it is among the guest's own. Caller frees. */
char *checkpoint_asleep_at(const struct store *store, const char *name);

/* The guest is awake, or is to start anew: its checkpoint is only one of those that are kept. */
int checkpoint_wake(struct guest *guest, struct err *err);

/* Removes checkpoints/ID, and the sleep in it. */
int checkpoint_delete(struct guest *guest, const char *id, struct err *err);

/* Removes those that are of no use: without files, and the guest does not sleep in them. */
void checkpoint_delete_spent(struct guest *guest);
