/* Another image in the place of one of criu's, for one restore: the images themselves stay as they were signed. */
#pragma once

#include <stddef.h>
#include <stdint.h>

#include "../base/err.h"

#define CRIU_IMAGE_HEADER 8 /* bytes: two words that say which image it is */

/* Writes a number as protobuf does (a varint) with the key of field `field` before it, at most 15 bytes; returns how many. */
size_t criu_image_number(uint8_t *at, unsigned field, uint64_t value);

/* Mounts the file at path over the image, in this mount namespace. */
int criu_image_replace(const char *path, int images, const char *name, struct err *err);
