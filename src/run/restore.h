/* Restores a checkpointed guest: a start whose processes criu makes. */
#pragma once

#include <stdbool.h>

#include "../guest/checkpoint.h"
#include "../guest/record.h"

/* What a guest is restored from. */
struct restore {
	struct checkpoint checkpoint;
	int folder;                  /* the checkpoint's */
	bool asleep;                 /* it is the one that the guest sleeps in: once awake, it is not that any more */
	bool spent;                  /* without files of its own it is of no use once the guest has gone on */
	unsigned timeout_ms;         /* for criu */
	const struct record *source; /* of a clone: what ran when the images were made; else NULL */
};

/* Opens checkpoint id of the guest, or with `from` the one in that folder of the administrator's (id is then of no account), and
 * checks it: signature, hashes, and that guest, root file system, kernel and CPU are those it needs. trust: a foreign or edited one
 * is taken as it is. Changes nothing. Free with restore_close. */
int restore_open(struct guest *guest, const char *id, const char *from, bool trust, struct restore *ret, struct err *err);
void restore_close(struct restore *restore);

/* Puts the checkpoint's files, where it has some, in the place of the guest's, which is stopped and locked by the caller, and
 * sleeps no more when they are there; after a failure before that it sleeps on. */
int restore_disk(struct guest *guest, const struct restore *restore, struct err *err);

/* After the restore: removes a checkpoint that is spent. */
void restore_done(struct guest *guest, const struct restore *restore);
