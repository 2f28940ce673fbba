/* What holds a guest's processes: the same for init and for whoever enters later. */
#include "config.h"

#include <string.h>
#include <sys/personality.h>

#include "../kernel/privs.h"
#include "confine.h"

static bool is_arch32(const char *arch)
{
	static const char *const names[] = {"i386", "i486", "i586", "i686", "x86", "arm", "armv7", "armv7l", "armhf", "linux32"};

	for (size_t i = 0; arch && i < sizeof(names) / sizeof(names[0]); i++)
		if (strcmp(names[i], arch) == 0)
			return true;
	return false;
}

int confine_prepare(const struct spec *spec, const char *cache, struct confinement *ret, struct err *err)
{
	struct confinement made = {.open_files = spec->limits.open_files, .arch32 = is_arch32(spec->guest.arch)};
	struct seccomp_request request = {
		.list = spec->security.seccomp,
		.nesting = spec->security.nesting,
		.checkpoint_ready = spec->guest.checkpoint_ready && !spec->security.nesting,
		.privileged = spec->security.privileged,
		.arch32 = made.arch32,
		.cache = cache,
	};
	int r = privs_keep_mask(spec->security.keep_caps, spec->security.drop_caps, spec->security.nesting, &made.capabilities,
				err);

	if (r == 0)
		r = seccomp_prepare(&request, &made.filter, err);
	if (r == 0)
		*ret = made;
	return r;
}

void confine_free(struct confinement *confinement)
{
	seccomp_free(&confinement->filter);
}

int confine_powers(const struct confinement *confinement, struct err *err)
{
	privs_reset_signals();
	int r = privs_rlimits(confinement->open_files, err);
	if (r < 0)
		return r;
	if (confinement->arch32 && personality(PER_LINUX32) < 0)
		return err_sys(err, "take on the 32-bit personality");
	return privs_apply(confinement->capabilities, err);
}

int confine_calls(const struct confinement *confinement, struct err *err)
{
	return seccomp_apply(&confinement->filter, err);
}
