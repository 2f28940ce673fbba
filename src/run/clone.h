/* Makes further guests of one that is there: its files and config with an identity of their own, stopped or, from one moment of a
 * running guest, running. */
#pragma once

#include <stdbool.h>

#include "../guest/checkpoint.h"
#include "../guest/record.h"

/* What clones are made of, held until all are. */
struct clone_source {
	struct guest *guest; /* locked */
	int image_fd;        /* so that the image stays, -1 */
	bool live;
	bool single;                  /* only one clone is made: it may have the files that were saved for it */
	struct checkpoint checkpoint; /* live: the moment */
	struct checkpoint_place place;
	struct record record; /* live: what ran */
	unsigned timeout_ms;  /* for criu */
};

/* Takes the guest's lock. It must be stopped, or with live run: ERR_STATE otherwise. timeout_ms: for criu. End it also after a
 * failure. */
int clone_open(const struct store *store, const char *name, bool live, unsigned timeout_ms, struct clone_source *ret,
	       struct err *err);

/* With live: saves its processes and files while it stands still, after which it runs on. */
int clone_begin(struct clone_source *source, struct err *err);
void clone_end(struct clone_source *source);

/* One clone. settings: KEY=VALUE, over the source's config. Several processes may make some at once. Where it fails nothing is
 * left. */
struct clone_request {
	const char *name;
	const char *const *settings;
	size_t setting_count;
};
int clone_check(const struct clone_source *source, const struct clone_request *request, struct err *err);
int clone_make(const struct clone_source *source, const struct clone_request *request, struct err *err);

/* When all are made: what live ones have is on disk then, as it is of others from the beginning. */
int clone_sync(const struct clone_source *source, struct err *err);
