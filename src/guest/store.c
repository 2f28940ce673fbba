/* Where isle keeps its state: folders, guests' names, locks, id ranges. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/random.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/path.h"
#include "../base/str.h"
#include "plan.h"
#include "store.h"

#define CONFIG_NAME    "config"
#define LOCK_PREFIX    ".lock-"
#define LOCK_NAME_SIZE (sizeof(LOCK_PREFIX) + STORE_NAME_MAX)

/* One row a folder: where the default instance keeps it, and its name below any other instance's root. */
static const struct place {
	size_t offset;
	const char *system;
	const char *below;
	bool folder;
} place_table[] = {
	{offsetof(struct store, conf), "/etc/isle/isle.conf", "isle.conf", false},
	{offsetof(struct store, networks), "/etc/isle/networks", "networks", true},
	{offsetof(struct store, plans), "/etc/isle/plans", "plans", true},
	{offsetof(struct store, guests), "/var/lib/isle/guests", "guests", true},
	{offsetof(struct store, images), "/var/cache/isle/images", "images", true},
	{offsetof(struct store, run), "/run/isle", "run", true},
	{offsetof(struct store, ids), "/var/lib/isle/ids", "ids", true},
	{offsetof(struct store, leases), "/var/lib/isle/leases", "leases", true},
	{offsetof(struct store, cache), "/var/cache/isle/compiled", "compiled", true},
};

#define PLACES (sizeof(place_table) / sizeof(place_table[0]))

static char **place_field(struct store *store, const struct place *place)
{
	return (char **)((char *)store + place->offset);
}

static int open_folder(const char *path, int *ret, struct err *err)
{
	int fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC | O_NOFOLLOW);

	if (fd < 0)
		return err_sys(err, "open %s", path);
	*ret = fd;
	return 0;
}

static int make_root(struct store *store, const char *path, bool make, struct err *err)
{
	if (path[0] != '/')
		return err_set(err, ERR_USAGE, "use %s as isle's folder: the path must be absolute", path);
	if (!str_printable(path))
		return err_set(err, ERR_USAGE, "use isle's folder: its path holds control bytes");
	if (!make && access(path, F_OK) < 0 && errno == ENOENT) {
		(void)err_set(err, ERR_NOT_FOUND, "look for guests below %s: there is no such folder", path);
		return err_hint(err, "-P and ISLE_PATH name the folder; isle create makes it");
	}
	int r = path_make(path, 0700, err);
	if (r < 0)
		return r;
	store->root = realpath(path, NULL);
	if (!store->root)
		return err_sys(err, "resolve %s", path);
	uint64_t hash = str_hash(STR_HASH_SEED, store->root, strlen(store->root));

	return str_print(store->tag, sizeof(store->tag), "%04x", (unsigned)(hash & 0xffff));
}

static int make_places(struct store *store, struct err *err)
{
	for (size_t i = 0; i < PLACES; i++) {
		const struct place *place = &place_table[i];
		char *path = store->root ? path_join(store->root, place->below) : strdup(place->system);

		if (!path)
			return err_num(err, ENOMEM, "name isle's folders");
		*place_field(store, place) = path;
		if (!place->folder)
			continue;
		struct stat st;

		/* The usual case costs one stat a folder; anything but a private folder of root's is refused. */
		if (lstat(path, &st) < 0) {
			int r = path_make(path, 0700, err);

			if (r < 0)
				return r;
			if (lstat(path, &st) < 0)
				return err_sys(err, "look at %s", path);
		}
		if (!S_ISDIR(st.st_mode) || st.st_uid != geteuid() || (st.st_mode & 022)) {
			(void)err_set(err, ERR_FAILED, "use %s: it is not a folder that only root can write", path);
			return err_hint(err, "chown root:root %s && chmod 0700 %s", path, path);
		}
	}
	return 0;
}

int store_open(const char *path, bool make, struct store **ret, struct err *err)
{
	struct store *store = calloc(1, sizeof(*store));
	int r = 0;

	if (!store)
		return err_num(err, ENOMEM, "open isle's state");
	store->guests_fd = -1;
	store->run_fd = -1;
	if (!path)
		path = getenv("ISLE_PATH");
	if (path && *path)
		r = make_root(store, path, make, err);
	if (r == 0)
		r = make_places(store, err);
	if (r == 0)
		r = open_folder(store->guests, &store->guests_fd, err);
	if (r == 0)
		r = open_folder(store->run, &store->run_fd, err);
	if (r < 0) {
		store_free(store);
		return r;
	}
	*ret = store;
	return 0;
}

void store_free(struct store *store)
{
	if (!store)
		return;
	for (size_t i = 0; i < PLACES; i++)
		free(*place_field(store, &place_table[i]));
	if (store->guests_fd >= 0)
		close(store->guests_fd);
	if (store->run_fd >= 0)
		close(store->run_fd);
	free(store->root);
	free(store);
}

bool store_name_valid(const char *name)
{
	size_t len = strlen(name);

	if (len == 0 || len > STORE_NAME_MAX || !isalnum((unsigned char)name[0]))
		return false;
	for (size_t i = 0; i < len; i++)
		if (!isalnum((unsigned char)name[i]) && !strchr("-_.", name[i]))
			return false;
	return name[len - 1] != '.' && !strstr(name, "..");
}

int store_check_name(const char *name, struct err *err)
{
	if (store_name_valid(name))
		return 0;
	auto_free char *shown = str_escape(name);

	(void)err_set(err, ERR_USAGE, "use '%.80s' as a guest's name", shown ? shown : "");
	return err_hint(err, "a name has 1 to %d letters, digits, '-', '_' or '.', and begins with a letter or digit",
			STORE_NAME_MAX);
}

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int store_names(const struct store *store, char ***ret, struct err *err)
{
	int fd = openat(store->guests_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	if (fd < 0)
		return err_sys(err, "read %s", store->guests);
	auto_closedir DIR *dir = fdopendir(fd);

	if (!dir) {
		close(fd);
		return err_sys(err, "read %s", store->guests);
	}
	char **names = calloc(1, sizeof(*names));
	size_t count = 0, room = 1;

	for (struct dirent *entry; names && (entry = readdir(dir));) {
		if (!store_name_valid(entry->d_name))
			continue;
		if (count + 2 > room) {
			char **more = reallocarray(names, room * 2 + 2, sizeof(*names));

			if (!more)
				goto out_of_memory;
			names = more;
			room = room * 2 + 2;
		}
		names[count] = strdup(entry->d_name);
		if (!names[count])
			goto out_of_memory;
		names[++count] = NULL;
	}
	if (!names)
		return err_num(err, ENOMEM, "list guests");
	qsort(names, count, sizeof(*names), compare_names);
	*ret = names;
	return 0;
out_of_memory:
	store_names_free(names);
	return err_num(err, ENOMEM, "list guests");
}

void store_names_free(char **names)
{
	for (size_t i = 0; names && names[i]; i++)
		free(names[i]);
	free(names);
}

int store_lock_name(const struct store *store, const char *name, int timeout_ms, int *ret_fd, struct err *err)
{
	char lock[LOCK_NAME_SIZE];
	int r = str_print(lock, sizeof(lock), LOCK_PREFIX "%s", name);

	if (r < 0)
		return err_num(err, r, "lock guest '%s'", name);
	r = file_lock(store->run_fd, lock, timeout_ms, ret_fd, err);
	/* The file's name means nothing to anybody; who holds it does. */
	const char *holder = r < 0 && err ? strstr(err->what, ", held by") : NULL;
	auto_free char *tail = holder ? strdup(holder) : NULL;

	if (tail)
		(void)str_print(err->what, sizeof(err->what), "lock guest '%s'%s", name, tail); /* cut: it only describes */
	return r;
}

bool store_name_locked(const struct store *store, const char *name)
{
	char lock[LOCK_NAME_SIZE];

	return str_print(lock, sizeof(lock), LOCK_PREFIX "%s", name) == 0 && file_locked(store->run_fd, lock);
}

void store_unlock_name(const struct store *store, const char *name, int *fd)
{
	char lock[LOCK_NAME_SIZE];

	if (*fd < 0)
		return;
	/* While the lock is held nobody can take the name. Who waits for it finds the file gone and makes a new one. */
	if (faccessat(store->guests_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) < 0 && errno == ENOENT &&
	    str_print(lock, sizeof(lock), LOCK_PREFIX "%s", name) == 0)
		(void)unlinkat(store->run_fd, lock, 0);
	close(take_fd(fd));
}

void store_sweep_locks(const struct store *store)
{
	int again = openat(store->run_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = again >= 0 ? fdopendir(again) : NULL;

	if (!dir) {
		clean_close(&again);
		return;
	}
	for (const struct dirent *entry; (entry = readdir(dir));) {
		const char *name = entry->d_name + strlen(LOCK_PREFIX);
		int fd = -1;

		if (!str_starts(entry->d_name, LOCK_PREFIX) || !store_name_valid(name) ||
		    faccessat(store->guests_fd, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			continue;
		if (store_lock_name(store, name, 0, &fd, NULL) == 0)
			store_unlock_name(store, name, &fd);
	}
}

int store_new_id(char out[33], struct err *err)
{
	uint8_t byte[16];

	if (getrandom(byte, sizeof(byte), 0) != sizeof(byte))
		return err_sys(err, "make a random id");
	/* An RFC 4122 version 4 id, which is what systemd takes for a machine-id. */
	byte[6] = (uint8_t)((byte[6] & 0x0f) | 0x40);
	byte[8] = (uint8_t)((byte[8] & 0x3f) | 0x80);
	for (size_t i = 0; i < sizeof(byte); i++)
		(void)str_print(out + 2 * i, 3, "%02x", byte[i]);
	return 0;
}

static int guest_not_found(const struct store *store, const char *name, struct err *err)
{
	char **names = NULL;

	(void)err_set(err, ERR_NOT_FOUND, "there is no guest '%s'", name);
	if (store_names(store, &names, NULL) == 0) {
		size_t count = 0;

		while (names[count])
			count++;
		const char *near = str_near(name, (const char *const *)names, count);

		if (near)
			(void)err_hint(err, "did you mean '%s'?", near);
		else
			(void)err_hint(err, "isle list shows the guests there are");
		store_names_free(names);
	}
	return -ENOENT;
}

/* The guest's id in a config with a fault: what belongs to the guest is found by it. NULL when there is none. */
static char *find_id(int dir_fd)
{
	auto_free char *text = NULL;

	if (file_read(dir_fd, CONFIG_NAME, SPEC_FILE_MAX, &text, NULL) < 0)
		return NULL;
	char *rest = text;

	for (char *line; (line = strsep(&rest, "\n"));) {
		char *value = str_starts(line, "id") ? line + 2 + strspn(line + 2, " \t") : NULL;

		if (!value || *value != '=')
			continue;
		value += 1 + strspn(value + 1, " \t");
		value[strcspn(value, " \t\r")] = '\0';
		if (strlen(value) == 32 && strspn(value, "0123456789abcdef") == 32)
			return strdup(value);
	}
	return NULL;
}

static int load_spec(struct guest *guest, struct err *err)
{
	struct spec *spec = NULL;
	auto_free char *shown = path_join(guest->name, CONFIG_NAME);

	if (!shown)
		return err_num(err, ENOMEM, "read the config of '%s'", guest->name);
	int r = plan_load(guest->store, guest->dir_fd, CONFIG_NAME, shown, &spec, guest->any ? NULL : err);
	guest->faulty = r < 0;
	if (r < 0 && !guest->any)
		return r;
	if (r < 0) {
		spec = spec_new();
		if (!spec)
			return err_num(err, ENOMEM, "open guest '%s'", guest->name);
		spec->guest.id = find_id(guest->dir_fd);
	}
	spec_free(guest->spec);
	guest->spec = spec;
	return 0;
}

static int open_guest(const struct store *store, const char *name, bool any, struct guest **ret, struct err *err)
{
	int r = store_check_name(name, err);
	if (r < 0)
		return r;
	struct guest *guest = calloc(1, sizeof(*guest));

	if (!guest)
		return err_num(err, ENOMEM, "open guest '%s'", name);
	guest->store = store;
	guest->lock_fd = -1;
	guest->any = any;
	(void)str_copy(guest->name, sizeof(guest->name), name);
	guest->dir_fd = openat(store->guests_fd, name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	if (guest->dir_fd < 0)
		r = errno == ENOENT ? guest_not_found(store, name, err) : err_sys(err, "open %s/%s", store->guests, name);
	else
		r = load_spec(guest, err);
	if (r < 0) {
		guest_free(guest);
		return r;
	}
	*ret = guest;
	return 0;
}

int guest_open(const struct store *store, const char *name, struct guest **ret, struct err *err)
{
	return open_guest(store, name, false, ret, err);
}

int guest_open_any(const struct store *store, const char *name, struct guest **ret, struct err *err)
{
	return open_guest(store, name, true, ret, err);
}

void guest_free(struct guest *guest)
{
	if (!guest)
		return;
	if (guest->dir_fd >= 0)
		close(guest->dir_fd);
	guest_unlock(guest);
	spec_free(guest->spec);
	free(guest);
}

int guest_lock(struct guest *guest, int timeout_ms, struct err *err)
{
	int r = store_lock_name(guest->store, guest->name, timeout_ms, &guest->lock_fd, err);

	if (r < 0)
		return r;
	/* While we waited the guest may have been destroyed, renamed or made anew. */
	int fd = openat(guest->store->guests_fd, guest->name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

	if (fd < 0)
		return errno == ENOENT ? guest_not_found(guest->store, guest->name, err) : err_sys(err, "open %s", guest->name);
	close(guest->dir_fd);
	guest->dir_fd = fd;
	return load_spec(guest, err);
}

void guest_unlock(struct guest *guest)
{
	store_unlock_name(guest->store, guest->name, &guest->lock_fd);
}

int guest_save(struct guest *guest, const char *text, struct err *err)
{
	return file_replace(guest->dir_fd, CONFIG_NAME, text, strlen(text), 0600, err);
}
