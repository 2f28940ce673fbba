/* The image cache: a template's result, built once, cloned for each guest. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "store.h"
#include "template.h"

/* What decides which image a guest is made from. */
struct image_request {
	const char *template_name;   /* "debian", "lxc-debian", or an absolute path of an executable */
	const char *const *args;     /* NULL-ended, the template's own; NULL: none */
	bool refresh;                /* build it anew even when it is cached */
	enum template_output output; /* where the template's output goes while it runs */
	int timeout_ms;              /* for the template, 0: none */
};

/* Finds or builds the image: images/KEY/{rootfs,config,key,log}. KEY = TEMPLATE-RELEASE-ARCH-HASH, printable, with -N behind it for
 * the Nth that was built of the same (refresh). Built under a dot-name in namespaces of its own and renamed into place; of two
 * builders of one image the second waits and takes the first's. *ret_key: caller frees. *ret_fd (may be NULL): the image's folder;
 * while it is open the image cannot be removed. */
int image_get(const struct store *store, const struct image_request *request, char **ret_key, int *ret_fd, struct err *err);

/* Opens images/KEY; while the descriptor is open the image cannot be removed. ERR_NOT_FOUND. */
int image_open(const struct store *store, const char *key, int *ret_fd, struct err *err);

/* Absolute path of images/KEY; caller frees. */
char *image_path(const struct store *store, const char *key);

/* Keys, sorted, NULL-ended (free with store_names_free). Never NULL on success. */
int image_list(const struct store *store, char ***ret, struct err *err);

struct image_info {
	char *template_path;
	char *arch;
	uint64_t bytes;   /* on disk */
	uint64_t created; /* seconds, CLOCK_REALTIME */
	char **args;      /* NULL-ended */
	char **guests;    /* names of those made from it, NULL-ended */
};
int image_info(const struct store *store, const char *key, struct image_info *ret, struct err *err);
void image_info_free(struct image_info *info);

/* Removes an image that no guest stands on (overlay) and no create uses; ERR_STATE names a guest otherwise. */
int image_remove(const struct store *store, const char *key, struct err *err);

/* Builds an image anew from the inputs it was made of; guests keep the old one. */
int image_refresh(const struct store *store, const char *key, enum template_output output, char **ret_key, struct err *err);
