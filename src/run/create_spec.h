/* A new guest's config, from what its image, the administrator's file and the command line say. */
#pragma once

#include "create.h"

static inline void create_spec_end(struct spec **spec)
{
	spec_free(*spec);
}
#define auto_spec __attribute__((cleanup(create_spec_end)))

/* All but the guest's id and ids. The image's part is left out while there is no image (image_fd < 0). */
int create_spec(const struct store *store, const struct create_request *request, struct spec **ret, struct err *err);
