/* Gives a new guest its own identity, from inside its own namespaces. */
#pragma once

#include <stdbool.h>

#include "../guest/store.h"

struct personalise {
	const char *hostname;
	const char *machine_id;    /* 32 hex digits, NULL: as it is (a rename) */
	const char *timezone;      /* "Europe/Berlin", NULL: as the image has it */
	const char *ssh_key_text;  /* for root's authorized_keys, NULL: none */
	const char *root_password; /* NULL: stays locked */
	bool make_ssh_keys;        /* new SSH host keys where the guest has an SSH server */
	bool fix_dhcp;             /* isle sets the address itself: DHCP on eth0 is taken out of the guest's start */
	bool unsynced;             /* whoever makes the guest writes it to disk */
	bool fix_terminals;        /* there are no virtual terminals: logins on them are taken out of /etc/inittab */
};

/* Walks the start table with this for its end instead of init: when it returns 0 the guest is personal and nothing of it
 * runs. The guest may still lie under a dot-name (guest->dir_fd is what counts). */
int personalise_guest(struct guest *guest, const struct personalise *what, struct err *err);

/* The inside part: called as the guest's root in its namespaces, `/` its root, /proc and /dev mounted. What it finds was made by
 * somebody hostile: no file of the guest is opened for writing, each is replaced; programs of the guest run with a timeout. */
int personalise_inside(const struct personalise *what, struct err *err);

/* The host name that goes with a guest's name: that may hold '_', a host's may not. */
#define PERSONALISE_HOSTNAME 64
void personalise_hostname(const char *name, char out[PERSONALISE_HOSTNAME]);

/* Checks on the host, before anything is made: ERR_USAGE for a value that no guest can have. */
int personalise_check(const struct personalise *what, struct err *err);
