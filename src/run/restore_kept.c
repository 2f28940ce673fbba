/* Has criu take a network namespace that was kept, where its images would have it make one. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "criu_image.h"
#include "restore_kept.h"

#define IDS         "ids-1.img" /* which namespaces init is in: task_kobj_ids_entry of criu's images/core.proto */
#define IDS_NETWORK 6
#define EXT_KEY     8 /* of netns_entry in images/netdev.proto: it is the caller's */
#define BYTES       2 /* how protobuf marks a field of bytes */
#define IMAGE_MAX   65536

/* What conntrack knew is in the namespace still. */
static const char *const emptied[] = {"netns-ct-", "netns-exp-"};

/* The next varint of what is left; false at its end. */
static bool next_number(const uint8_t **at, size_t *left, uint64_t *ret)
{
	*ret = 0;
	for (unsigned shift = 0; *left > 0 && shift < 64; shift += 7) {
		uint8_t byte = *(*at)++;

		(*left)--;
		*ret |= (uint64_t)(byte & 0x7f) << shift;
		if (!(byte & 0x80))
			return true;
	}
	return false;
}

/* All fields of that image are numbers. */
static int network_of_init(int images, uint64_t *ret)
{
	auto_free char *text = NULL;
	size_t len = 0, left;
	uint64_t key, value;
	uint32_t size;
	int r = file_read(images, IDS, IMAGE_MAX, &text, &len);

	if (r < 0)
		return r;
	if (len < CRIU_IMAGE_HEADER + sizeof(size))
		return -EBADMSG;
	memcpy(&size, text + CRIU_IMAGE_HEADER, sizeof(size));
	left = len - CRIU_IMAGE_HEADER - sizeof(size);
	if (size > left)
		return -EBADMSG;
	const uint8_t *at = (const uint8_t *)text + CRIU_IMAGE_HEADER + sizeof(size);

	left = size;
	while (next_number(&at, &left, &key) && next_number(&at, &left, &value)) {
		if (key & 7)
			return -EBADMSG;
		if (key >> 3 == IDS_NETWORK) {
			*ret = value;
			return 0;
		}
	}
	return -EBADMSG;
}

static int replace(int images, const char *name, const char *scratch, const void *data, size_t len, struct err *err)
{
	auto_free char *path = str_format("%s/%s", scratch, name);

	if (!path)
		return err_num(err, ENOMEM, "replace the image %s", name);
	int r = file_replace_quick(AT_FDCWD, path, data, len, 0644, err);

	return r < 0 ? r : criu_image_replace(path, images, name, err);
}

static int replace_network(int images, uint64_t id, const char *scratch, struct err *err)
{
	char name[48];
	auto_free char *old = NULL;
	uint8_t image[CRIU_IMAGE_HEADER + 64];
	uint32_t key_len = sizeof(RESTORE_KEPT_NETWORK) - 1, size = key_len + 2;
	size_t len = 0, at = CRIU_IMAGE_HEADER;

	(void)str_print(name, sizeof(name), "netns-%llu.img", (unsigned long long)id);
	int r = file_read(images, name, IMAGE_MAX, &old, &len);
	if (r < 0 || len < CRIU_IMAGE_HEADER)
		return err_num(err, r < 0 ? r : EBADMSG, "read the image %s", name);
	memcpy(image, old, CRIU_IMAGE_HEADER);
	memcpy(image + at, &size, sizeof(size));
	at += sizeof(size);
	image[at++] = EXT_KEY << 3 | BYTES;
	image[at++] = (uint8_t)key_len;
	memcpy(image + at, RESTORE_KEPT_NETWORK, key_len);
	return replace(images, name, scratch, image, at + key_len, err);
}

int restore_kept_images(const char *path, const char *scratch, struct err *err)
{
	auto_close int images = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	char name[48];
	uint64_t id = 0;
	int r = images < 0 ? -errno : network_of_init(images, &id);

	if (r < 0)
		return err_num(err, r, "read the image " IDS);
	r = replace_network(images, id, scratch, err);
	for (size_t i = 0; r == 0 && i < sizeof(emptied) / sizeof(emptied[0]); i++) {
		(void)str_print(name, sizeof(name), "%s%llu.img", emptied[i], (unsigned long long)id);
		if (faccessat(images, name, F_OK, AT_SYMLINK_NOFOLLOW) == 0)
			r = replace(images, name, scratch, "", 0, err);
	}
	return r;
}
