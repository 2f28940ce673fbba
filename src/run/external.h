/* What of a guest is the host's and stays outside criu's images: device nodes, mounts, the console, control groups, the CPU. */
#pragma once

#include "../guest/checkpoint.h"
#include "../guest/record.h"
#include "criu.h"
#include "run.h"

/* The texts that a criu_job points into. */
struct external {
	char *text[CRIU_EXTERNAL_MAX];
	size_t count;
};
void external_free(struct external *external);

/* criu's key of the console's terminal as it is now. */
int external_console(const struct record *record, char *ret, size_t size, struct err *err);

/* Notes in the checkpoint where something of the host is mounted in the running guest. ERR_FAILED when the guest has put something
 * else there. */
int external_mounts(const struct guest *guest, const struct record *record, struct checkpoint *checkpoint, struct err *err);

/* The CPU's feature words of this host; caller frees, NULL when memory ran out. */
char *external_cpu(void);

/* Tells the job what is outside: under the names that external_for_restore gives back. */
int external_for_dump(const struct checkpoint *checkpoint, const struct record *record, struct external *external,
		      struct criu_job *job, struct err *err);

/* The same for a restore: names each of the checkpoint's mounts the path of what takes its place now. mounts_at: a folder of the
 * caller's, below which criu finds the configured mounts and the devices' nodes, each under the number of its slot (enum run_fd).
 */
int external_for_restore(const struct checkpoint *checkpoint, const struct run *run, const char *mounts_at,
			 struct external *external, struct criu_job *job, struct err *err);
