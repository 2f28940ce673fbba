/* The host's part of personalising: a start that ends in personalise_inside. */
#include "config.h"

#include <errno.h>
#include <unistd.h>

#include "personalise.h"
#include "steps.h"
#include "walk.h"

int personalise_guest(struct guest *guest, const struct personalise *what, struct err *err)
{
	struct run *run = run_new(guest, RUN_PERSONALISE);

	if (!run)
		return err_num(err, ENOMEM, "personalise guest '%s'", guest->name);
	run->personalise = what;
	int r = walk_host(run, err);
	if (r == 0)
		walk_over(run);
	run_free(run);
	if (r == 0 && !what->unsynced && syncfs(guest->dir_fd) < 0)
		return err_sys(err, "write guest '%s' to disk", guest->name);
	return r;
}
