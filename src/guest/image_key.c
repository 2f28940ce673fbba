/* What an image was made from: written beside it, compared before it is used again. */
#include "config.h"

#include <ctype.h>
#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <inttypes.h>
#include <json-c/json.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../base/file.h"
#include "../base/path.h"
#include "../base/str.h"
#include "image_key.h"

#define TEMPLATE_MAX (4u << 20)
#define KEY_TEXT_MAX (256u << 10)

void image_inputs_free(struct image_inputs *inputs)
{
	free(inputs->path);
	free(inputs->text);
}

int image_folder(const struct store *store, int *ret_fd, struct err *err)
{
	int r = path_make(store->images, 0700, err);

	if (r < 0)
		return r;
	*ret_fd = open(store->images, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	return *ret_fd < 0 ? err_sys(err, "open %s", store->images) : 0;
}

bool image_key_valid(const char *key)
{
	size_t len = strlen(key);

	if (!len || len > 127 || !isalnum((unsigned char)key[0]))
		return false;
	for (; *key; key++)
		if (!isalnum((unsigned char)*key) && !strchr("._-", *key))
			return false;
	return true;
}

static int hash_file(uint64_t *seed, const char *path, struct err *err)
{
	auto_free char *text = NULL;
	size_t len;
	int r = file_read(AT_FDCWD, path, TEMPLATE_MAX, &text, &len);

	if (r < 0)
		return err_num(err, r, "read the template %s", path);
	*seed = str_hash(*seed, text, len);
	return 0;
}

/* The template's text, and for isle's own that of what they share. */
static int hash_template(const char *path, bool own, uint64_t *ret, struct err *err)
{
	auto_free char *lib = str_format("%.*s/lib.sh", (int)(strrchr(path, '/') - path), path);

	*ret = STR_HASH_SEED;
	int r = hash_file(ret, path, err);

	return r < 0 || !own ? r : !lib ? err_num(err, ENOMEM, "read the template %s", path) : hash_file(ret, lib, err);
}

/* The value of an option as LXC's templates take them: -r X, --release X, --release=X. The last one counts. */
static const char *option_value(const char *const *args, const char *letter, const char *word)
{
	const char *value = NULL;
	size_t len = strlen(word);

	for (; args && *args; args++) {
		if ((!strcmp(*args, letter) || !strcmp(*args, word)) && args[1])
			value = *++args;
		else if (!strncmp(*args, word, len) && (*args)[len] == '=')
			value = *args + len + 1;
		else if (str_starts(*args, letter) && (*args)[1] != '-' && (*args)[2])
			value = *args + 2;
	}
	return value;
}

/* Appends -WORD with everything but plain characters left out. */
static void add_word(struct buf *out, const char *word, size_t max)
{
	size_t used = 0;

	if (word && *word && *word != '\n')
		buf_add(out, "-");
	for (; word && *word && *word != '\n' && used < max; word++)
		if (isalnum((unsigned char)*word) || strchr("._-", *word)) {
			buf_add_bytes(out, word, 1);
			used++;
		}
}

static struct json_object *strings(const char *const *list)
{
	struct json_object *array = json_object_new_array();

	for (; list && *list; list++)
		json_object_array_add(array, json_object_new_string(*list));
	return array;
}

/* What of the caller's environment a foreign template may build upon. */
static struct json_object *environment(void)
{
	static const char *const names[] = {"MIRROR", "SECURITY_MIRROR", "KEYRING", "DOWNLOAD_SERVER"};
	struct json_object *object = json_object_new_object();

	for (size_t i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (getenv(names[i]))
			json_object_object_add(object, names[i], json_object_new_string(getenv(names[i])));
	return object;
}

static int make_text(const struct image_request *request, const char *label, struct image_inputs *inputs, struct err *err)
{
	struct utsname uts;
	char content[20];
	uint64_t hash;
	int r = hash_template(inputs->path, label != NULL, &hash, err);

	if (r < 0)
		return r;
	if (uname(&uts) < 0)
		return err_sys(err, "ask for this machine's architecture");
	(void)str_print(content, sizeof(content), "%016" PRIx64, hash);
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "template", json_object_new_string(inputs->path));
	json_object_object_add(object, "content", json_object_new_string(content));
	json_object_object_add(object, "machine", json_object_new_string(uts.machine));
	json_object_object_add(object, "label", label ? json_object_new_string(label) : NULL);
	json_object_object_add(object, "environment", label ? NULL : environment());
	json_object_object_add(object, "args", strings(request->args));
	inputs->text =
		str_format("%s\n", json_object_to_json_string_ext(object, JSON_C_TO_STRING_PLAIN | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(object);
	return inputs->text ? 0 : err_num(err, ENOMEM, "describe the image");
}

int image_inputs_make(const struct image_request *request, struct image_inputs *ret, struct err *err)
{
	auto_inputs struct image_inputs inputs = {0};
	auto_free char *label = NULL;
	auto_buf struct buf base = {0};
	int r = template_check_args(request->args, err);

	if (r == 0)
		r = template_find(request->template_name, &inputs.path, err);
	if (r == 0)
		r = template_label(inputs.path, request->args, &label, err);
	if (r == 0)
		r = make_text(request, label, &inputs, err);
	if (r < 0)
		return r;
	add_word(&base, strrchr(inputs.path, '/') + 1, 24);
	if (label) {
		add_word(&base, label, 40);
	} else {
		struct utsname uts = {0};

		(void)uname(&uts);
		add_word(&base, option_value(request->args, "-r", "--release"), 24);
		const char *arch = option_value(request->args, "-a", "--arch");

		add_word(&base, arch ? arch : !strcmp(uts.machine, "x86_64") ? "amd64" : uts.machine, 16);
	}
	buf_addf(&base, "-%08" PRIx32, (uint32_t)str_hash(STR_HASH_SEED, inputs.text, strlen(inputs.text)));
	if (base.failed || str_copy(inputs.base, sizeof(inputs.base), base.data + 1) < 0 || !image_key_valid(inputs.base))
		return err_set(err, ERR_FAILED, "name the image of %s", inputs.path);
	*ret = inputs;
	inputs = (struct image_inputs){0};
	return 0;
}

/* The number of an entry among the images of base: BASE is 1, BASE-2 is 2; 0 for anything else. */
static unsigned number_of(const char *entry, const char *base)
{
	uint64_t number;
	size_t len = strlen(base);

	if (strncmp(entry, base, len))
		return 0;
	if (!entry[len])
		return 1;
	if (entry[len] != '-' || str_to_u64(entry + len + 1, 2, 1000000, &number) < 0)
		return 0;
	return (unsigned)number;
}

int image_newest(int images_fd, const struct image_inputs *inputs, unsigned *ret_number, char **ret_key, struct err *err)
{
	int again = openat(images_fd, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	auto_closedir DIR *dir = again >= 0 ? fdopendir(again) : NULL;
	auto_free char *key = NULL;
	unsigned best = 0;

	if (!dir) {
		int r = err_sys(err, "read the folder of images");

		clean_close(&again);
		return r;
	}
	for (const struct dirent *entry; (entry = readdir(dir));) {
		unsigned number = number_of(entry->d_name, inputs->base);
		auto_free char *name = str_format("%s/key", entry->d_name);
		auto_free char *text = NULL;

		/* Two different inputs with one hash differ in their text. */
		if (number <= best || !name || file_read(images_fd, name, KEY_TEXT_MAX, &text, NULL) < 0 ||
		    strcmp(text, inputs->text))
			continue;
		free(key);
		key = strdup(entry->d_name);
		if (!key)
			return err_num(err, ENOMEM, "find an image");
		best = number;
	}
	*ret_number = best;
	if (ret_key)
		*ret_key = take_ptr(&key);
	return 0;
}
