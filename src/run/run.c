/* A run of a guest: its descriptors, the names of what belongs to it, its log. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "../kernel/machined.h"
#include "../kernel/systemd.h"
#include "run.h"

#define LOG_MAX       (1 << 20)
#define LINK_NAME_MAX 15

static int open_log(struct guest *guest)
{
	struct stat st;

	if (mkdirat(guest->dir_fd, "log", 0700) < 0 && errno != EEXIST)
		return -1;
	int fd = openat(guest->dir_fd, "log/isle", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);

	if (fd < 0 || fstat(fd, &st) < 0 || st.st_size < LOG_MAX)
		return fd;
	close(fd);
	(void)renameat(guest->dir_fd, "log/isle", guest->dir_fd, "log/isle.1"); /* else it grows on */
	return openat(guest->dir_fd, "log/isle", O_WRONLY | O_CREAT | O_APPEND | O_CLOEXEC | O_NOFOLLOW, 0600);
}

struct run *run_new(struct guest *guest, enum run_mode mode)
{
	struct run *run = calloc(1, sizeof(*run));

	if (!run)
		return NULL;
	run->mode = mode;
	run->guest = guest;
	run->spec = guest->spec;
	run->host = host_get();
	run->run_fd = run->control_fd = run->console_fd = run->other = run->init_pidfd = -1;
	run->userns = run->root = run->netns_fd = run->scope_fd = -1;
	run->kept = (struct kept){.netns = -1, .userns = -1};
	run->groups.folder = -1;
	for (size_t i = 0; i < RUN_FD_COUNT; i++)
		run->fd[i] = -1;
	run->log_fd = open_log(guest);
	(void)run_cgroup_name(guest->store, guest->name, mode, run->record.cgroup, sizeof(run->record.cgroup));
	return run;
}

void run_free(struct run *run)
{
	if (!run)
		return;
	int *const owned[] = {&run->run_fd,     &run->log_fd, &run->control_fd, &run->console_fd, &run->other,
			      &run->init_pidfd, &run->userns, &run->root,       &run->netns_fd};

	for (size_t i = 0; i < sizeof(owned) / sizeof(owned[0]); i++)
		if (*owned[i] >= 0)
			close(*owned[i]);
	for (size_t i = 0; i < RUN_FD_COUNT; i++)
		if (run->fd[i] >= 0)
			close(run->fd[i]);
	kept_close(&run->kept);
	cgroup_entry_close(&run->groups);
	confine_free(&run->confinement);
	free(run->resolv_conf);
	free(run);
}

int run_unit_name(const struct store *store, const char *name, char *ret, size_t size)
{
	return str_print(ret, size, "isle-%s%s%s.scope", name, store->tag[0] ? ":" : "", store->tag);
}

bool run_machine(const struct run *run, char *unit, size_t size, struct machine *ret)
{
	if (!run->host->systemd || run_unit_name(run->guest->store, run->guest->name, unit, size) < 0)
		return false;
	*ret = (struct machine){
		.name = run->guest->name,
		.id = run->spec ? run->spec->guest.id : NULL,
		.unit = unit,
		.leader = run->init_pid > 0 ? run->init_pid : run->record.init_pid,
	};
	return true;
}

int run_scope_folder(const struct store *store, const char *name, char ret[RUN_SCOPE_MAX])
{
	char unit[96];
	int r = run_unit_name(store, name, unit, sizeof(unit));

	return r < 0 ? r : str_print(ret, RUN_SCOPE_MAX, SYSTEMD_SLICE "/%s", unit);
}

int run_cgroup_name(const struct store *store, const char *name, enum run_mode mode, char *ret, size_t size)
{
	char scope[RUN_SCOPE_MAX];

	if (!host_get()->systemd || mode == RUN_PERSONALISE)
		return str_print(ret, size, "isle%s%s/%s", store->tag[0] ? "-" : "", store->tag, name);
	int r = run_scope_folder(store, name, scope);

	return r < 0 ? r : str_print(ret, size, "%s/limits", scope);
}

void run_link_name(const struct store *store, const char *name, size_t n, char ret[16])
{
	char whole[96], number[8] = "";

	if (n > 0)
		(void)str_print(number, sizeof(number), "+%zu", n); /* which no guest's name has */
	(void)str_print(whole, sizeof(whole), "is%s-%s%s", store->tag, name, number);
	if (strlen(whole) <= LINK_NAME_MAX) {
		(void)str_copy(ret, 16, whole);
		return;
	}
	/* Too long: keep what people recognise and let a hash of the whole keep names apart. */
	uint64_t hash = str_hash(STR_HASH_SEED, whole, strlen(whole));

	whole[LINK_NAME_MAX - 7] = '\0';
	(void)str_print(ret, 16, "%s-%06x", whole, (unsigned)(hash & 0xffffff));
}

void run_log(const struct run *run, const char *fmt, ...)
{
	char text[512];
	struct tm tm;
	time_t now = time(NULL);
	va_list args;

	if (run->log_fd < 0)
		return;
	size_t used = gmtime_r(&now, &tm) ? strftime(text, sizeof(text), "%Y-%m-%dT%H:%M:%SZ ", &tm) : 0;

	va_start(args, fmt);
	int len = vsnprintf(text + used, sizeof(text) - used - 1, fmt, args);
	va_end(args);
	if (len < 0)
		return;
	used += (size_t)len < sizeof(text) - used - 1 ? (size_t)len : sizeof(text) - used - 2;
	text[used++] = '\n';
	(void)file_write_all(run->log_fd, text, used); /* a full disk must not stop a guest */
}
