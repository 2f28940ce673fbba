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
	bool privileged;
	bool no_network;
	const char *hostname;      /* NULL: the guest's name */
	const char *timezone;      /* NULL: the image's */
	const char *ssh_key_text;  /* NULL: none */
	const char *root_password; /* NULL: locked */
};

/* Checks what can be checked before an image is made for it: the name is free, the values are good. */
int create_check(const struct store *store, const struct create_request *request, struct err *err);

/* Makes the guest under a dot-name and renames it into place when it is whole; on failure nothing is left. Takes the name's lock.
 */
int create_guest(const struct store *store, const struct create_request *request, struct err *err);

/* Clears up after creates and destroys that were killed: their folders (.new-ID and .old-ID among the guests, held by nobody), id
 * ranges and addresses. Cheap when there are none. */
int create_sweep(const struct store *store, struct err *err);

/* The opposite of create_guest: renames the locked, stopped guest's folder away, then frees its addresses and ids and removes it.
 * Once the rename is done it is gone, whatever happens; what a failure or a kill leaves is swept by create_sweep. */
int create_discard(struct guest *guest, struct err *err);
