/* A checkpoint's manifest: written with the tag of every image, signed with the host's key, and checked again. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <stddef.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/str.h"
#include "checkpoint.h"
#include "checkpoint_sign.h"

#define MANIFEST     "manifest"
#define SIGNATURE    "signature"
#define MANIFEST_MAX (16u << 20)
#define FORMAT       "2"

/* One row a field, so that writer and reader cannot differ. */
enum kind { TEXT, NUMBER };
static const struct field {
	const char *name;
	enum kind kind;
	size_t offset, size;
} field_table[] = {
#define AT(f, kind)                                                                           \
	{                                                                                     \
#f, kind, offsetof(struct checkpoint, f), sizeof(((struct checkpoint *)0)->f) \
	}
	AT(id, TEXT),        AT(guest_id, TEXT),  AT(guest_name, TEXT),   AT(image, TEXT),   AT(storage, TEXT),
	AT(kernel, TEXT),    AT(machine, TEXT),   AT(criu, TEXT),         AT(console, TEXT), AT(init_kind, TEXT),
	AT(created, NUMBER), AT(ids, NUMBER),     AT(frozen, NUMBER),     AT(bytes, NUMBER), AT(unpacked, NUMBER),
	AT(disk, NUMBER),    AT(ifindex, NUMBER), AT(beforehand, NUMBER), AT(page, NUMBER),  AT(confined, NUMBER),
	AT(salt, TEXT),
#undef AT
};
#define FIELDS (sizeof(field_table) / sizeof(field_table[0]))

void checkpoint_clear(struct checkpoint *checkpoint)
{
	free(checkpoint->cpu);
	for (size_t i = 0; i < checkpoint->mount_count; i++)
		free(checkpoint->mount[i]);
	*checkpoint = (struct checkpoint){0};
}

int checkpoint_each_image(int images, int (*fn)(void *arg, int dir, const char *name), void *arg)
{
	int again = openat(images, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC), r = 0;

	if (again < 0)
		return -errno;
	auto_closedir DIR *entries = fdopendir(again);

	if (!entries) {
		close(again);
		return -ENOMEM;
	}
	for (struct dirent *entry; r == 0 && (entry = readdir(entries));)
		if (entry->d_name[0] != '.' && strcmp(entry->d_name, CHECKPOINT_LOG) != 0 &&
		    strncmp(entry->d_name, "restore", 7) != 0 && strcmp(entry->d_name, "stats-restore") != 0)
			r = fn(arg, images, entry->d_name);
	return r;
}

struct writing {
	struct buf text;
	struct checkpoint_tagger tagger;
	uint64_t bytes;
};

static int add_image(void *arg, int dir, const char *name)
{
	struct writing *writing = arg;
	char tag[CHECKPOINT_TAG];
	uint64_t size = 0;
	int r = checkpoint_tag(&writing->tagger, dir, name, &size, tag);

	if (r < 0)
		return r;
	writing->bytes += size;
	buf_addf(&writing->text, "file=%s %" PRIu64 " %s\n", tag, size, name);
	return writing->tagger.number > CHECKPOINT_IMAGES_MAX || writing->text.len > MANIFEST_MAX / 2 ? -E2BIG : 0;
}

static void add_fields(struct buf *text, const struct checkpoint *checkpoint)
{
	buf_addf(text, "isle-checkpoint=" FORMAT "\n");
	for (size_t i = 0; i < FIELDS; i++) {
		const char *at = (const char *)checkpoint + field_table[i].offset;

		if (field_table[i].kind == TEXT)
			buf_addf(text, "%s=%s\n", field_table[i].name, at);
		else
			buf_addf(text, "%s=%" PRIu64 "\n", field_table[i].name, *(const uint64_t *)(const void *)at);
	}
	buf_addf(text, "cpu=%s\n", checkpoint->cpu ? checkpoint->cpu : "");
	for (size_t i = 0; i < checkpoint->mount_count; i++)
		buf_addf(text, "mount=%s\n", checkpoint->mount[i]);
	for (size_t i = 0; i < checkpoint->link_count; i++)
		buf_addf(text, "link=%s %s\naddresses=%s,%s\n", checkpoint->link[i].inside, checkpoint->link[i].mac,
			 checkpoint->link[i].address, checkpoint->link[i].address6);
}

/* *ret: the lines of all images. */
static int tag_images(const struct store *store, int fd, struct checkpoint *checkpoint, struct buf *ret, struct err *err)
{
	auto_close int images = openat(fd, CHECKPOINT_IMAGES, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct writing writing = {0};

	if (images < 0)
		return err_sys(err, "open the checkpoint's images");
	int r = checkpoint_salt(checkpoint->salt, err);
	if (r == 0)
		r = checkpoint_tagger_begin(store, checkpoint->salt, &writing.tagger, err);
	if (r < 0)
		return r;
	r = checkpoint_each_image(images, add_image, &writing);
	checkpoint_tagger_end(&writing.tagger);
	checkpoint->bytes = writing.bytes;
	*ret = writing.text;
	if (r == -E2BIG) {
		(void)err_num(err, r, "keep the checkpoint: it has more than %d images", CHECKPOINT_IMAGES_MAX);
		return err_hint(err, "each process has some, and each deleted file that one has open: end those that are too many");
	}
	return r < 0 ? err_num(err, r, "read the checkpoint's images") : 0;
}

int checkpoint_seal(const struct store *store, int fd, struct checkpoint *checkpoint, struct err *err)
{
	auto_buf struct buf files = {0};
	auto_buf struct buf text = {0};
	char signature[CHECKPOINT_SIGNATURE];
	int r = tag_images(store, fd, checkpoint, &files, err);

	if (r < 0)
		return r;
	add_fields(&text, checkpoint);
	buf_addf(&text, "%s", files.data ? files.data : "");
	if (text.failed || files.failed)
		return err_num(err, ENOMEM, "write the checkpoint's manifest");
	if (text.len > MANIFEST_MAX)
		return err_num(err, E2BIG, "write the checkpoint's manifest");
	r = checkpoint_sign(store, text.data, text.len, signature, err);
	if (r == 0)
		r = file_replace_quick(fd, MANIFEST, text.data, text.len, 0600, err);
	if (r == 0)
		r = file_replace_quick(fd, SIGNATURE, signature, strlen(signature), 0600, err);
	if (r == 0 && syncfs(fd) < 0)
		r = err_sys(err, "write the checkpoint to disk");
	return r;
}

/* NAME MAC */
static int add_link(struct checkpoint *checkpoint, char *value)
{
	char *mac = strchr(value, ' ');

	if (checkpoint->link_count == CHECKPOINT_LINKS_MAX || !mac)
		return -EINVAL;
	*mac++ = '\0';
	int r = str_copy(checkpoint->link[checkpoint->link_count].inside, 16, value);
	if (r == 0)
		r = str_copy(checkpoint->link[checkpoint->link_count].mac, 18, mac);
	checkpoint->link_count += r == 0;
	return r;
}

/* IPV4,IPV6 of the link before this line, empty for none. */
static int add_addresses(struct checkpoint *checkpoint, char *value)
{
	char *second = strchr(value, ',');

	if (checkpoint->link_count == 0 || !second)
		return -EINVAL;
	*second++ = '\0';
	size_t last = checkpoint->link_count - 1;

	checkpoint->link[last].addressed = true;
	int r = str_copy(checkpoint->link[last].address, sizeof(checkpoint->link[last].address), value);
	return r < 0 ? r : str_copy(checkpoint->link[last].address6, sizeof(checkpoint->link[last].address6), second);
}

static int add_line(struct checkpoint *checkpoint, const char *name, char *value)
{
	for (size_t i = 0; i < FIELDS; i++) {
		char *at = (char *)checkpoint + field_table[i].offset;

		if (strcmp(field_table[i].name, name) != 0)
			continue;
		if (field_table[i].kind == TEXT)
			return str_copy(at, field_table[i].size, value);
		return str_to_u64(value, 0, UINT64_MAX, (uint64_t *)(void *)at);
	}
	if (strcmp(name, "cpu") == 0 && !checkpoint->cpu) {
		checkpoint->cpu = strdup(value);
		return checkpoint->cpu ? 0 : -ENOMEM;
	}
	if (strcmp(name, "mount") == 0) {
		if (checkpoint->mount_count == CHECKPOINT_MOUNTS_MAX)
			return -E2BIG;
		checkpoint->mount[checkpoint->mount_count] = strdup(value);
		if (!checkpoint->mount[checkpoint->mount_count])
			return -ENOMEM;
		checkpoint->mount_count++;
		return 0;
	}
	if (strcmp(name, "link") == 0)
		return add_link(checkpoint, value);
	if (strcmp(name, "addresses") == 0)
		return add_addresses(checkpoint, value);
	return 0; /* of a newer isle */
}

/* What the images are compared with. */
struct reading {
	const struct store *store;
	int images;
	struct checkpoint_tagger tagger; /* begun at the first image: the salt stands above them */
};

/* file=TAG SIZE NAME */
static int check_file(struct reading *reading, const char *salt, char *value, struct err *err)
{
	char *size = strchr(value, ' '), *name = size ? strchr(size + 1, ' ') : NULL, tag[CHECKPOINT_TAG];
	uint64_t wanted, have = 0;

	if (!name)
		return err_num(err, EINVAL, "read the checkpoint's manifest");
	if (!reading->tagger.chunk && checkpoint_tagger_begin(reading->store, salt, &reading->tagger, err) < 0)
		return -EIO;
	*size++ = '\0';
	*name++ = '\0';
	if (str_to_u64(size, 0, UINT64_MAX, &wanted) < 0 || strchr(name, '/') || name[0] == '.')
		return err_num(err, EINVAL, "read the checkpoint's manifest");
	int r = checkpoint_tag(&reading->tagger, reading->images, name, &have, tag);
	if (r < 0)
		return err_num(err, r, "read the checkpoint's image %s", name);
	if (have == wanted && strcmp(tag, value) == 0)
		return 0;
	(void)err_set(err, ERR_FAILED, "take the checkpoint: its image %s was changed since it was made", name);
	(void)err_hint(err, "--trust-images takes it as it is");
	return -EKEYREJECTED;
}

/* reading NULL: the files are not looked at. */
static int parse(char *text, struct reading *reading, struct checkpoint *ret, struct err *err)
{
	bool known = false;
	int r = 0;

	for (char *line; r == 0 && (line = strsep(&text, "\n"));) {
		char *value = strchr(line, '=');

		if (!value)
			continue;
		*value++ = '\0';
		if (strcmp(line, "isle-checkpoint") == 0)
			known = strcmp(value, FORMAT) == 0;
		else if (strcmp(line, "file") != 0)
			r = add_line(ret, line, value) < 0 ? err_num(err, EINVAL, "read the checkpoint's manifest: %.40s", line)
							   : 0;
		else if (reading)
			r = check_file(reading, ret->salt, value, err);
	}
	if (r == 0 && !known)
		r = err_set(err, ERR_FAILED, "read the checkpoint's manifest: it is of another version");
	return r;
}

static int read_manifest(int fd, char **ret, size_t *ret_len, struct err *err)
{
	int r = file_read(fd, MANIFEST, MANIFEST_MAX, ret, ret_len);

	return r < 0 ? err_num(err, r, "read the checkpoint's manifest") : 0;
}

int checkpoint_load(int fd, struct checkpoint *ret, struct err *err)
{
	auto_free char *text = NULL;
	size_t len;
	struct checkpoint found = {0};
	int r = read_manifest(fd, &text, &len, err);

	if (r == 0)
		r = parse(text, NULL, &found, err);
	if (r < 0)
		checkpoint_clear(&found);
	else
		*ret = found;
	return r;
}

static int check_signature(const struct store *store, int fd, const char *text, size_t len, struct err *err)
{
	auto_free char *have = NULL;
	char wanted[CHECKPOINT_SIGNATURE];
	int r = checkpoint_sign(store, text, len, wanted, err);

	if (r < 0)
		return r;
	if (file_read(fd, SIGNATURE, CHECKPOINT_SIGNATURE, &have, NULL) == 0 && strcmp(have, wanted) == 0)
		return 0;
	(void)err_set(err, ERR_FAILED, "take the checkpoint: this host did not sign it, or its manifest was changed");
	(void)err_hint(err, "--trust-images takes it as it is: what is in it then runs with what it says");
	return -EKEYREJECTED;
}

static int count_image(void *arg, int dir, const char *name)
{
	(void)dir;
	(void)name;
	++*(uint64_t *)arg;
	return 0;
}

/* criu reads what it finds by name: an image beside those that were signed, which are all there, would be taken too. */
static int check_extra(const struct reading *reading, struct err *err)
{
	uint64_t count = 0;
	int r = checkpoint_each_image(reading->images, count_image, &count);

	if (r < 0)
		return err_num(err, r, "look at the checkpoint's images");
	if (count == reading->tagger.number)
		return 0;
	(void)err_set(err, ERR_FAILED, "take the checkpoint: an image was put among its images since it was made");
	(void)err_hint(err, "--trust-images takes it as it is");
	return -EKEYREJECTED;
}

int checkpoint_verify(const struct store *store, int fd, bool trust, struct checkpoint *ret, struct err *err)
{
	auto_free char *text = NULL;
	size_t len = 0;
	struct checkpoint found = {0};
	auto_close int images = openat(fd, CHECKPOINT_IMAGES, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);
	struct reading reading = {.store = store, .images = images};
	int r = images < 0 ? err_sys(err, "open the checkpoint's images") : read_manifest(fd, &text, &len, err);

	if (r == 0 && !trust)
		r = check_signature(store, fd, text, len, err);
	if (r == 0)
		r = parse(text, trust ? NULL : &reading, &found, err);
	if (r == 0 && !trust)
		r = check_extra(&reading, err);
	checkpoint_tagger_end(&reading.tagger);
	if (r < 0)
		checkpoint_clear(&found);
	else
		*ret = found;
	return r;
}
