/* What holds a guest's processes: the same for init and for whoever enters later. */
#include "config.h"

#include <string.h>
#include <sys/personality.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "../kernel/apparmor.h"
#include "../kernel/host.h"
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

static int profile_name(const struct store *store, const char *name, char *ret, size_t size)
{
	return str_print(ret, size, "isle%s%s-%s", store->tag[0] ? "_" : "", store->tag, name);
}

/* Whether the process runs under that profile: "NAME (enforce)", or "NAME//&..." in a guest that stacks profiles of its own. */
static bool runs_under(pid_t pid, const char *profile)
{
	auto_free char *label = apparmor_label(pid);
	size_t len = strlen(profile);

	return label && str_starts(label, profile) && (strchr(" ", label[len]) || str_starts(label + len, "//&"));
}

static int prepare_label(const struct store *store, const char *name, const struct spec *spec, struct confinement *made,
			 struct err *err)
{
	if (spec->security.apparmor == APPARMOR_NONE)
		return 0;
	if (!host_get()->apparmor) {
		if (spec->security.apparmor != APPARMOR_REQUIRE)
			return 0;
		(void)err_set(err, ERR_FAILED, "run the guest under AppArmor, which its config requires: this kernel has none");
		return err_hint(err, "boot with apparmor=1 security=apparmor, or set security.apparmor = auto");
	}
	int r = profile_name(store, name, made->profile, sizeof(made->profile));

	return r < 0 ? r : apparmor_load(made->profile, spec->security.nesting, store->cache, err);
}

void confine_forget(const struct store *store, const char *name)
{
	char profile[96];

	if (host_get()->apparmor && profile_name(store, name, profile, sizeof(profile)) == 0)
		(void)apparmor_remove(profile, store->cache, NULL); /* one that stays is replaced by the next guest of the name */
}

/* What entered it when it was started is in the kernel for as long as it runs. */
static bool keep_label(const struct guest *guest, pid_t init, struct confinement *made)
{
	if (init > 0 && host_get()->apparmor &&
	    profile_name(guest->store, guest->name, made->profile, sizeof(made->profile)) == 0 && runs_under(init, made->profile))
		return true;
	made->profile[0] = '\0';
	return false;
}

int confine_prepare(const struct guest *guest, pid_t init, struct confinement *ret, struct err *err)
{
	const struct spec *spec = guest->spec;
	struct confinement made = {
		.limits.hard =
			{
				[PRIVS_OPEN_FILES] = spec->limits.open_files,
				[PRIVS_LOCKED_MEMORY] = spec->limits.locked_memory,
				[PRIVS_FILE_SIZE] = spec->limits.file_size,
				[PRIVS_MESSAGE_QUEUES] = spec->limits.message_queues,
				[PRIVS_PENDING_SIGNALS] = spec->limits.pending_signals,
			},
		.arch32 = is_arch32(spec->guest.arch),
	};
	struct seccomp_request request = {
		.list = spec->security.seccomp,
		.nesting = spec->security.nesting,
		.checkpoint_ready = spec->guest.checkpoint_ready && !spec->security.nesting,
		.privileged = spec->security.privileged,
		.arch32 = made.arch32,
		.cache = guest->store->cache,
	};
	int r = privs_keep_mask(spec->security.keep_caps, spec->security.drop_caps, spec->security.nesting, &made.capabilities,
				err);

	if (r == 0 && !keep_label(guest, init, &made))
		r = prepare_label(guest->store, guest->name, spec, &made, err);
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

int confine_label(const struct confinement *confinement, struct err *err)
{
	return confinement->profile[0] ? apparmor_on_exec(confinement->profile, err) : 0;
}

int confine_limits(const struct confinement *confinement, struct err *err)
{
	return privs_rlimits(&confinement->limits, err);
}

int confine_budgets(const struct confinement *confinement, struct err *err)
{
	return privs_budgets(&confinement->limits, err);
}

int confine_powers(const struct confinement *confinement, struct err *err)
{
	privs_reset_signals();
	if (confinement->arch32 && personality(PER_LINUX32) < 0)
		return err_sys(err, "take on the 32-bit personality");
	return privs_apply(confinement->capabilities, err);
}

int confine_calls(const struct confinement *confinement, struct err *err)
{
	return seccomp_apply(&confinement->filter, err);
}
