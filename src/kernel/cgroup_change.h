/* Several control files written as one change: each is read back, and all go back when one fails. */
#pragma once

#include <stddef.h>

#include "cgroup_layout.h"

struct cgroup_change {
	struct cgroup_undo {
		char *path, *text; /* what it held */
	} * undo;
	size_t count;
};

/* Writes value to folder/file and reads it back. undo: the text that brings the old value back; NULL: what the file shows now. */
int cgroup_change_write(struct cgroup_change *change, const char *folder, const char *file, const char *value,
			bool (*same)(const char *asked, const char *shown), const char *undo, struct err *err);

/* Ends the change; r < 0 undoes it first. Returns r. */
int cgroup_change_end(struct cgroup_change *change, int r);

/* Notes what undoes something else that was done, a write of text to path; both are copied. */
int cgroup_change_note(struct cgroup_change *change, const char *path, const char *text, struct err *err);

/* The four rates, and the weight, of block devices. */
int cgroup_io_set(struct cgroup_change *change, const char *cgroup, unsigned which, const struct cgroup_io *io, struct err *err);
int cgroup_io_weight(struct cgroup_change *change, const char *folder, bool v1, uint64_t weight, struct err *err);

/* Only that which BFQ goes by, where there is such a file: *ret_some becomes true then. */
int cgroup_io_bfq_weight(struct cgroup_change *change, const char *folder, bool v1, uint64_t weight, bool *ret_some,
			 struct err *err);

/* Which devices have a rate now. */
void cgroup_io_read(const char *folder, bool v1, unsigned which, struct cgroup_io *ret);

/* Bytes or operations done so far on all devices; UINT64_MAX when the kernel does not say. */
uint64_t cgroup_io_done(const char *folder, bool v1, unsigned which);

/* Calls for the name of each size of huge pages ("2MB"), and its bytes; stops at the first result that is not 0. */
int cgroup_each_huge(int (*fn)(void *arg, const char *name, uint64_t size, uint64_t pages), void *arg);
