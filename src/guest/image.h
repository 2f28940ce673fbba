/* The image cache: a template's result, built once, cloned for each guest. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store.h"

/* What decides which image a guest is made from. */
struct image_request {
	const char *template_name;   /* "debian", "lxc-debian", or an absolute path of an executable */
	const char *const *args;     /* NULL-ended, the template's own */
	bool refresh;                /* build it anew even when it is cached */
	bool verbose;                /* the template's output goes to stderr as it is */
};

/* Finds or builds the image: images/KEY/{rootfs,config,key}. KEY = template-...-ARCH-HASH, printable. Builds
 * under a dot-name in a mount and pid namespace of its own and renames into place; two builders of one key: one waits.
 * *ret_key: caller frees. */
int image_get(const struct store *store, const struct image_request *request, char **ret_key, struct err *err);

/* Absolute path of images/KEY; caller frees. */
char *image_path(const struct store *store, const char *key);

/* Keys, sorted, NULL-ended (free with store_names_free); size and which guests use it come from image_info. */
int image_list(const struct store *store, char ***ret, struct err *err);

/* Removes an image that no guest stands on; ERR_STATE names a guest otherwise. */
int image_remove(const struct store *store, const char *key, struct err *err);
