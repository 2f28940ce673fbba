/* Makes guests from images, and clears away what was made or destroyed by halves. */
#pragma once

#include <stdbool.h>

#include "../guest/store.h"
#include "../storage/storage.h"

struct create_request {
	const char *name;
	const char *template_name;
	const char *image_key;
	int image_fd; /* images/KEY, shared, so that it stays */
	const struct storage *storage;
	const char *config;          /* a config to begin with, isle's or LXC's; NULL: none */
	const char *const *settings; /* KEY=VALUE, over all else */
	size_t setting_count;
	const char *plan; /* NULL: none */
	bool privileged;
	bool no_network;
	const char *hostname;      /* NULL: the guest's name */
	const char *timezone;      /* NULL: the image's */
	const char *ssh_key_text;  /* NULL: none */
	const char *root_password; /* NULL: locked */
};

/* Checks what can be checked before an image is made for it: the name is free, the values are good. */
int create_check(const struct store *store, const struct create_request *request, struct err *err);

/* A guest that is being made, under a dot-name. */
struct create_work {
	const struct store *store;
	const char *name, *id;
	int fd;      /* its folder */
	int lock_fd; /* the name's lock */
};

struct create_acts {
	/* Fills the folder. */
	int (*fill)(const struct create_work *work, void *arg, struct err *err);
	/* With the guest in its place and locked, before anybody else can have it; NULL: nothing. Where it fails, or is killed
	 * before the guest runs, there is no guest. */
	int (*use)(struct guest *guest, void *arg, struct err *err);
};

/* Takes the name's lock, makes the guest in a folder of its own and renames that into place when it is whole; on failure nothing is
 * left. */
int create_by(const struct store *store, const char *name, const struct create_acts *acts, void *arg, struct err *err);

/* The end of `fill`: writes the config and gives the guest its identity. spec: what the text says. */
struct personalise;
int create_settle(const struct create_work *work, const char *config, struct spec *spec, const struct personalise *what,
		  struct err *err);

/* Refuses a name that a guest has. */
int create_check_free(const struct store *store, const char *name, struct err *err);

/* A guest that is started by its administrator is no half made one any more. */
void create_adopt(struct guest *guest);

/* Makes the guest under a dot-name and renames it into place when it is whole; on failure nothing is left. Takes the name's lock.
 */
int create_guest(const struct store *store, const struct create_request *request, struct err *err);

/* Clears up after creates and destroys that were killed: their folders (.new-ID and .old-ID among the guests, held by nobody), id
 * ranges and addresses. Cheap when there are none. One that cannot be removed is only warned of. */
int create_sweep(const struct store *store, struct err *err);

/* The opposite of create_guest: renames the locked, stopped guest's folder away, then frees its addresses and ids and removes it.
 * Once the rename is done it is gone, whatever happens; what a failure or a kill leaves is swept by create_sweep. */
int create_discard(struct guest *guest, struct err *err);
