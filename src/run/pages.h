/* Memory in criu's images: pages that were copied beforehand are brought together with those of the dump. */
#pragma once

#include <stdint.h>

#include "../base/err.h"

/* Bytes of memory in a folder of images. */
int pages_size(int images, uint64_t *ret);

/* What the images in `images` leave to those before them is copied from there, so that they stand by themselves. before: the
 * folders of those, the last one first. *ret_bytes: how much that was. After a failure the images are of no use. */
int pages_join(int images, const int *before, size_t count, uint64_t *ret_bytes, struct err *err);
