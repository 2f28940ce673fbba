/* What an image was made from: written beside it, compared before it is used again. */
#pragma once

#include "image.h"

struct image_inputs {
	char *path;     /* the template's */
	char *text;     /* all inputs, one JSON object */
	char base[100]; /* the key without -N */
};

int image_inputs_make(const struct image_request *request, struct image_inputs *ret, struct err *err);
void image_inputs_free(struct image_inputs *inputs);
#define auto_inputs __attribute__((cleanup(image_inputs_free)))

/* What the file `key` says of template, arguments and architecture. -EINVAL when it is none; info is the caller's to free always.
 */
int image_inputs_parse(const char *text, struct image_info *info);

/* The images folder, made when it is not there. */
int image_folder(const struct store *store, int *ret_fd, struct err *err);

/* The newest image of these inputs: its number N (1 for the first), 0 when there is none. *ret_key may be NULL. */
int image_newest(int images_fd, const struct image_inputs *inputs, unsigned *ret_number, char **ret_key, struct err *err);

/* True for a finished image's folder name. */
bool image_key_valid(const char *key);
