/* Gives a new guest its own identity, inside its own namespaces. */
#pragma once

#include <stdbool.h>

#include "../guest/store.h"

struct personalise {
	const char *hostname;       /* NULL: leave the image's */
	const char *machine_id;     /* 32 hex digits */
	const char *timezone;       /* "Europe/Berlin", NULL: leave */
	const char *ssh_key;        /* text for root's authorized_keys, NULL: none */
	const char *root_password;  /* NULL: stays locked */
	bool make_ssh_keys;         /* new host keys, where the guest has sshd */
	bool fix_dhcp;              /* interfaces that isle configures are not asked for by DHCP too */
};

/* The guest (its dir_fd may still be a dot-folder) is not running and its name is locked by the caller. Runs personalise_inside as the
 * guest's root in a start that ends there; everything of that start is gone when it returns. */
int personalise_guest(struct guest *guest, const struct personalise *what, struct err *err);

/* Called as root inside the guest's namespaces; / is the guest's root, whose files are hostile. */
int personalise_inside(const struct personalise *what, struct err *err);
