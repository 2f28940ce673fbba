/* The list of storages. */
#include "config.h"

#include <string.h>

#include "storage.h"

const struct storage *const storage_table[] = {&storage_overlay, &storage_dir, NULL};

const struct storage *storage_find(const char *name)
{
	for (size_t i = 0; storage_table[i]; i++)
		if (!strcmp(storage_table[i]->name, name))
			return storage_table[i];
	return NULL;
}
