/* Checkpoints a running guest: its processes go to disk, and wake later where they were. */
#pragma once

#include <stdbool.h>

#include "../guest/checkpoint.h"
#include "../guest/record.h"

struct checkpoint_request {
	bool leave_running;  /* save the moment and go on; the guest's files are then kept with it */
	bool pre_dump;       /* copy memory while it runs on, before it stands still for what was written since */
	bool compress;       /* pack the images (zstd) */
	const char *to;      /* the folder to make it in, NULL: among the guest's own */
	unsigned timeout_ms; /* for criu; the guest goes on as before when it is over */
};

/* The guest is locked by the caller and runs. On success *ret says what was made (clear with checkpoint_clear), and *ret_path
 * where, NULL among the guest's own (caller frees); without leave_running the guest has ended and sleeps. After a failure it runs
 * on. ERR_STATE when it does not run; ERR_FAILED names the process, unit and remedy of what cannot be carried. */
int checkpoint_guest(struct guest *guest, const struct checkpoint_request *request, struct checkpoint *ret, char **ret_path,
		     struct err *err);

/* The moment of a running guest that clones are made of, which is neither signed nor kept: images and files in *ret_place, for the
 * caller to drop and close (also after a failure, where fd is not -1). *ret_record: what ran. request->to and compress are not
 * looked at. */
int checkpoint_moment(struct guest *guest, const struct checkpoint_request *request, struct checkpoint *ret,
		      struct checkpoint_place *ret_place, struct record *ret_record, struct err *err);
