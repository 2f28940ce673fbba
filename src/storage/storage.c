/* The list of storages. */
#include "config.h"

#include <string.h>

#include "storage.h"

/* As enum storage_type counts them. */
const struct storage *const storage_table[] = {&storage_dir, &storage_overlay, NULL};

const struct storage *storage_find(const char *name)
{
	for (size_t i = 0; storage_table[i]; i++)
		if (!strcmp(storage_table[i]->name, name))
			return storage_table[i];
	return NULL;
}

const struct storage *storage_best(int dir_fd)
{
	return storage_overlay.usable(dir_fd, NULL) == 0 ? &storage_overlay : &storage_dir;
}
