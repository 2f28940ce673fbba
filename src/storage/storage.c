/* The list of storages. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/proc.h"
#include "../base/str.h"
#include "storage.h"

#define TRIAL_MAX 96

/* As enum storage_type counts them. */
const struct storage *const storage_table[] = {&storage_dir, &storage_overlay, NULL};

const struct storage *storage_find(const char *name)
{
	for (size_t i = 0; storage_table[i]; i++)
		if (!strcmp(storage_table[i]->name, name))
			return storage_table[i];
	return NULL;
}

/* What a trial of this storage in this boot and on this file system is known by. */
static int trial_text(const struct storage *storage, int dir_fd, char text[TRIAL_MAX])
{
	char boot_id[37];
	struct stat st;
	int r = proc_boot_id(boot_id);

	if (r == 0 && fstat(dir_fd, &st) < 0)
		r = -errno;
	return r < 0 ? r
		     : str_print(text, TRIAL_MAX, "%s on %llx in boot %s\n", storage->name, (unsigned long long)st.st_dev, boot_id);
}

int storage_try(const struct storage *storage, int dir_fd, const char *notes, struct err *err)
{
	auto_free char *file = notes ? str_format("%s/storage-%s", notes, storage->name) : NULL;
	auto_free char *known = NULL;
	char text[TRIAL_MAX] = "";
	bool can_note = file && trial_text(storage, dir_fd, text) == 0;

	if (can_note && file_read(AT_FDCWD, file, sizeof(text), &known, NULL) == 0 && strcmp(known, text) == 0)
		return 0;
	int r = storage->usable(dir_fd, err);
	if (r == 0 && can_note)
		(void)file_replace_quick(AT_FDCWD, file, text, strlen(text), 0600, NULL); /* else the next create tries again */
	return r;
}

const struct storage *storage_best(int dir_fd, const char *notes)
{
	return storage_try(&storage_overlay, dir_fd, notes, NULL) == 0 ? &storage_overlay : &storage_dir;
}
