/* What of a guest is the host's and stays outside criu's images: device nodes, mounts, the console, control groups, the CPU. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/statvfs.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "../kernel/cgroup_layout.h"
#include "devices.h"
#include "external.h"
#include "lxcfs.h"
#include "mount_options.h"
#include "restore_kept.h"
#include "system_mounts.h"

#define MOUNTS_MAX (4u << 20)
#define CPU_MAX    (1u << 20)
#define CONSOLE    "/dev/console"

void external_free(struct external *external)
{
	for (size_t i = 0; i < external->count; i++)
		free(external->text[i]);
	external->count = 0;
}

static int add(struct external *external, struct criu_job *job, char *text, struct err *err)
{
	if (!text || external->count == CRIU_EXTERNAL_MAX) {
		free(text);
		return err_num(err, text ? E2BIG : ENOMEM, "tell criu what is the host's");
	}
	external->text[external->count++] = text;
	job->external[job->external_count++] = text;
	return 0;
}

int external_console(const struct record *record, char *ret, size_t size, struct err *err)
{
	struct stat st;

	if (stat(record->console, &st) < 0)
		return err_sys(err, "look at the console's terminal %s", record->console);
	return str_print(ret, size, "tty[%llx:%llx]", (unsigned long long)st.st_rdev, (unsigned long long)st.st_dev);
}

static bool is_node_of(const struct record_device *device, const char *path)
{
	return device->kind != 'n' && str_starts(path, "/dev/") && strcmp(path + strlen("/dev/"), devices_path(device)) == 0;
}

static const struct spec_mount *configured(const struct spec *spec, const char *path)
{
	for (size_t i = 0; i < spec->mount_count; i++) {
		const char *target = spec->mounts[i].target;

		if (!spec->mounts[i].type && strcmp(target + (target[0] == '/'), path + 1) == 0)
			return &spec->mounts[i];
	}
	return NULL;
}

/* Whether a path of the guest's is one where isle mounted something of the host. */
static bool is_outside(const struct spec *spec, const struct record *record, const char *path)
{
	if (strcmp(path, CONSOLE) == 0 || lxcfs_covers(path))
		return true;
	if (str_starts(path, "/dev/") && system_mounts_node(path + strlen("/dev/")))
		return true;
	for (size_t i = 0; i < record->device_count; i++)
		if (is_node_of(&record->devices[i], path))
			return true;
	return configured(spec, path);
}

/* The mount point and the options of a line of mountinfo (proc(5): fields 5 and 6); NULL for one with characters that are written
 * in another way. */
static char *mount_point(char *line, char **ret_options)
{
	char *word = NULL;

	for (int i = 0; i < 5; i++)
		word = strsep(&line, " ");
	*ret_options = strsep(&line, " ");
	return word && *ret_options && !strchr(word, '\\') ? word : NULL;
}

static const struct flag {
	const char *word;
	uint64_t attribute;
	unsigned long status; /* of statvfs(3) */
} flag_table[] = {
	{"ro", MOUNT_ATTR_RDONLY, ST_RDONLY},
	{"nosuid", MOUNT_ATTR_NOSUID, ST_NOSUID},
	{"nodev", MOUNT_ATTR_NODEV, ST_NODEV},
	{"noexec", MOUNT_ATTR_NOEXEC, ST_NOEXEC},
};
#define FLAGS (sizeof(flag_table) / sizeof(flag_table[0]))

/* The attributes that what takes its place in a restore will have. */
static int attributes_of(const struct spec *spec, const char *path, uint64_t *ret, struct err *err)
{
	const struct spec_mount *mount = configured(spec, path);
	struct mount_options options;
	struct statvfs st;

	*ret = 0;
	if (mount) {
		int r = mount_options_parse(mount->options, &options, err);

		*ret = options.attributes;
		mount_options_free(&options);
		return r;
	}
	if (system_mounts_node(path + strlen("/dev/")) && statvfs(path, &st) == 0)
		for (size_t i = 0; i < FLAGS; i++)
			*ret |= st.f_flag & flag_table[i].status ? flag_table[i].attribute : 0;
	return 0;
}

static bool has_word(const char *options, const char *word)
{
	size_t len = strlen(word);

	for (const char *at = options; at; at = strchr(at, ',') ? strchr(at, ',') + 1 : NULL)
		if (strncmp(at, word, len) == 0 && (at[len] == ',' || !at[len]))
			return true;
	return false;
}

/* The kernel lets nobody in the guest's user namespace mount what is the host's with fewer flags than the host put on it, and criu
 * tries to make each mount as it was: what the guest has mounted there of its own could never be woken. */
static int look_at_mount(const struct guest *guest, const struct checkpoint *known, const char *path, const char *options,
			 struct err *err)
{
	uint64_t wanted = 0;
	bool others = false;
	int r = 0;

	if (strcmp(path, CONSOLE) == 0 || lxcfs_covers(path))
		return 0;
	for (size_t i = 0; i < known->mount_count; i++)
		others = others || strcmp(known->mount[i], path) == 0;
	if (!others)
		r = attributes_of(guest->spec, path, &wanted, err);
	for (size_t i = 0; i < FLAGS; i++)
		others = others || (wanted & flag_table[i].attribute && !has_word(options, flag_table[i].word));
	if (r < 0 || !others)
		return r;
	(void)err_set(err, ERR_FAILED, "checkpoint it: on %s, which is the host's, the guest has mounted something of its own",
		      path);
	return err_hint(err, "isle exec %s -- umount %s", guest->name, path);
}

int external_mounts(const struct guest *guest, const struct record *record, struct checkpoint *checkpoint, struct err *err)
{
	char path[48];
	auto_free char *text = NULL;

	(void)str_print(path, sizeof(path), "/proc/%d/mountinfo", record->init_pid);
	int r = file_read(AT_FDCWD, path, MOUNTS_MAX, &text, NULL);
	if (r == -EFBIG) {
		(void)err_set(err, ERR_FAILED, "checkpoint it: it has tens of thousands of mounts");
		return err_hint(err, "find in the guest what mounts them: findmnt; isle restart %s starts it without", guest->name);
	}
	if (r < 0)
		return err_num(err, r, "read the guest's mounts");
	char *rest = text;

	for (char *line; (line = strsep(&rest, "\n"));) {
		char *options = NULL, *point = mount_point(line, &options);

		if (!point || !is_outside(guest->spec, record, point))
			continue;
		r = look_at_mount(guest, checkpoint, point, options, err);
		if (r < 0)
			return r;
		if (checkpoint->mount_count == CHECKPOINT_MOUNTS_MAX)
			return err_num(err, E2BIG, "note the guest's mounts");
		checkpoint->mount[checkpoint->mount_count] = strdup(point);
		if (!checkpoint->mount[checkpoint->mount_count])
			return err_num(err, ENOMEM, "note the guest's mounts");
		checkpoint->mount_count++;
	}
	return 0;
}

char *external_cpu(void)
{
	auto_free char *text = NULL;

	if (file_read(AT_FDCWD, "/proc/cpuinfo", CPU_MAX, &text, NULL) < 0)
		return strdup("");
	char *flags = strstr(text, "\nflags\t");
	char *words = flags ? strstr(flags, ": ") : NULL;

	return words ? strndup(words + 2, strcspn(words + 2, "\n")) : strdup("");
}

/* The guest's folder in each hierarchy: what criu saves below it, it can put anywhere. */
static int add_groups(const char *cgroup, struct criu_job *job, struct err *err)
{
	const struct cgroup_layout_map *map = cgroup_layout();

	for (int i = 0; i <= map->v1_count; i++) {
		struct criu_group *group = &job->groups[job->group_count];
		int r;

		if (job->group_count == CRIU_GROUPS_MAX)
			return err_num(err, E2BIG, "tell criu of the control groups");
		if (i < map->v1_count) {
			r = str_copy(group->controller, sizeof(group->controller), map->v1[i].controller);
			if (r == 0)
				r = str_print(group->path, sizeof(group->path), "/%s", cgroup);
		} else {
			group->controller[0] = '\0';
			r = str_print(group->path, sizeof(group->path), "/%s/" CGROUP_GUEST, cgroup);
		}
		if (r < 0)
			return err_num(err, r, "tell criu of the control groups");
		job->group_count++;
	}
	return 0;
}

int external_for_dump(const struct checkpoint *checkpoint, const struct record *record, struct external *external,
		      struct criu_job *job, struct err *err)
{
	int r = add(external, job, str_format("%s", checkpoint->console), err);

	for (size_t i = 0; r == 0 && i < checkpoint->mount_count; i++)
		r = add(external, job, str_format("mnt[%s]:isle%zu", checkpoint->mount[i], i), err);
	return r < 0 ? r : add_groups(record->cgroup, job, err);
}

/* What takes the place of a mount of the checkpoint's, NULL when the config has nothing for it. */
static char *place_for(const struct run *run, const char *path, const char *mounts_at)
{
	if (strcmp(path, CONSOLE) == 0)
		return strdup(run->record.console);
	if (lxcfs_covers(path)) {
		bool there =
			run->fd[RUN_FD_LXCFS] >= 0 && faccessat(run->fd[RUN_FD_LXCFS], path + 1, F_OK, AT_SYMLINK_NOFOLLOW) == 0;

		/* One whose lxcfs is gone, or is another one without it: the kernel's own file again. */
		return there ? str_format("%s/%d%s", mounts_at, RUN_FD_LXCFS, path) : strdup(path);
	}
	if (str_starts(path, "/dev/") && system_mounts_node(path + strlen("/dev/")))
		return strdup(path);
	for (size_t i = 0; i < run->spec->mount_count; i++) {
		const char *target = run->spec->mounts[i].target;

		if (strcmp(target + (target[0] == '/'), path + 1) == 0 && run->fd[RUN_FD_MOUNT + i] >= 0)
			return str_format("%s/%zu", mounts_at, (size_t)RUN_FD_MOUNT + i);
	}
	for (size_t i = 0; i < run->record.device_count; i++)
		if (is_node_of(&run->record.devices[i], path) && run->fd[RUN_FD_DEVICE + i] >= 0)
			return str_format("%s/%zu", mounts_at, (size_t)RUN_FD_DEVICE + i);
	return NULL;
}

static bool has_link(const struct checkpoint *checkpoint, const char *inside)
{
	for (size_t i = 0; i < checkpoint->link_count; i++)
		if (strcmp(checkpoint->link[i].inside, inside) == 0)
			return true;
	return false;
}

/* criu makes the interfaces that there were, and no others. */
static int restore_links(const struct checkpoint *checkpoint, const struct run *run, struct external *external,
			 struct criu_job *job, struct err *err)
{
	const char *guest = run->guest->name;
	int r = 0;

	for (size_t k = 0; k < run->record.link_count; k++) {
		const char *inside = run->record.links[k].inside;

		if (has_link(checkpoint, inside))
			continue;
		(void)err_set(err, ERR_FAILED, "give it the interface %s: its checkpoint has none of that name", inside);
		return err_hint(err, "isle config %s set network.%s.type=none, or start it anew: isle start --cold %s", guest,
				inside, guest);
	}
	for (size_t i = 0; r == 0 && i < checkpoint->link_count; i++) {
		const char *host = NULL, *inside = checkpoint->link[i].inside;

		for (size_t k = 0; k < run->record.link_count; k++)
			if (strcmp(run->record.links[k].inside, inside) == 0)
				host = run->record.links[k].host;
		if (!host) {
			(void)err_set(err, ERR_FAILED, "restore the interface %s: the config has none of that name any more",
				      inside);
			return err_hint(err, "isle config %s set network.%s.type=bridge, or start it anew: isle start --cold %s",
					guest, inside, guest);
		}
		if (run->kept.netns < 0)
			r = add(external, job, str_format("veth[%s]:%s", inside, host), err);
	}
	return r;
}

int external_for_restore(const struct checkpoint *checkpoint, const struct run *run, const char *mounts_at,
			 struct external *external, struct criu_job *job, struct err *err)
{
	int r = 0;

	for (size_t i = 0; r == 0 && i < checkpoint->mount_count; i++) {
		auto_free char *place = place_for(run, checkpoint->mount[i], mounts_at);

		if (!place) {
			(void)err_set(err, ERR_FAILED, "restore the mount %s: the config has none there any more",
				      checkpoint->mount[i]);
			return err_hint(err, "add it again, as a [mount] or [device], or start it anew: isle start --cold %s",
					run->guest->name);
		}
		r = add(external, job, str_format("mnt[isle%zu]:%s", i, place), err);
	}
	if (r == 0)
		r = restore_links(checkpoint, run, external, job, err);
	if (r == 0)
		r = add_groups(run->record.cgroup, job, err);
	if (r == 0) {
		job->inherit[0].key = checkpoint->console;
		job->inherit_count = 1;
		if (run->kept.netns >= 0)
			job->inherit[job->inherit_count++] = (struct criu_inherit){RESTORE_KEPT_NETWORK, run->kept.netns};
		if (run->kept.userns >= 0)
			job->inherit[job->inherit_count++] = (struct criu_inherit){NULL, run->kept.userns};
	}
	return r;
}
