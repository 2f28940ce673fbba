/* isle image: the cache of templates' results. */
#include "config.h"

#include <errno.h>
#include <json-c/json.h>
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "../base/str.h"
#include "../guest/image.h"
#include "verbs.h"

static struct json_object *names_json(char *const *names)
{
	struct json_object *array = json_object_new_array();

	for (; names && *names; names++)
		json_object_array_add(array, json_object_new_string(*names));
	return array;
}

static struct json_object *image_json(const char *key, const struct image_info *info)
{
	struct json_object *object = json_object_new_object();

	json_object_object_add(object, "key", json_object_new_string(key));
	json_object_object_add(object, "template", json_object_new_string(info->template_path));
	json_object_object_add(object, "args", names_json(info->args));
	json_object_object_add(object, "arch", json_object_new_string(info->arch));
	json_object_object_add(object, "bytes", json_object_new_int64((int64_t)info->bytes));
	json_object_object_add(object, "created", json_object_new_int64((int64_t)info->created));
	json_object_object_add(object, "guests", names_json(info->guests));
	return object;
}

static void print_image(const char *key, const struct image_info *info, int width)
{
	char size[16], date[32] = "-";
	time_t created = (time_t)info->created;
	struct tm tm;
	size_t guests = 0;

	while (info->guests[guests])
		guests++;
	str_show_size(info->bytes, size);
	if (localtime_r(&created, &tm))
		(void)strftime(date, sizeof(date), "%Y-%m-%d %H:%M", &tm);
	printf("%-*s  %10s  %s  %zu\n", width, key, size, date, guests);
}

static int image_list_run(struct call *call, const struct store *store, struct err *err)
{
	struct json_object *array = call->json ? json_object_new_array() : NULL;
	char **keys = NULL;
	int width = 3;
	int r = image_list(store, &keys, err);

	for (size_t i = 0; r == 0 && keys[i]; i++)
		if ((int)strlen(keys[i]) > width)
			width = (int)strlen(keys[i]);
	if (r == 0 && !call->json && !call->quiet)
		printf("%-*s  %10s  %-16s  %s\n", width, "KEY", "SIZE", "CREATED", "GUESTS");
	for (size_t i = 0; r == 0 && keys[i]; i++) {
		struct image_info info;

		r = image_info(store, keys[i], &info, err);
		if (r == -ENOENT) {
			r = 0; /* removed this moment */
			err_clear(err);
			continue;
		}
		if (r < 0)
			break;
		if (array)
			json_object_array_add(array, image_json(keys[i], &info));
		else
			print_image(keys[i], &info, width);
		image_info_free(&info);
	}
	if (r == 0 && array)
		printf("%s\n", json_object_to_json_string_ext(array, JSON_C_TO_STRING_PRETTY | JSON_C_TO_STRING_NOSLASHESCAPE));
	json_object_put(array);
	store_names_free(keys);
	return r;
}

static int need_keys(const struct call *call, struct err *err)
{
	return call->argc < 2 ? call_usage(call, err, "which image?") : 0;
}

static int image_remove_run(struct call *call, const struct store *store, struct err *err)
{
	int r = need_keys(call, err);

	for (int i = 1; r == 0 && i < call->argc; i++) {
		r = image_remove(store, call->argv[i], err);
		if (r == 0 && !call->quiet)
			printf("%s: removed\n", call->argv[i]);
	}
	return r;
}

static int image_refresh_run(struct call *call, const struct store *store, struct err *err)
{
	const enum template_output output = call->quiet || call->json ? TEMPLATE_QUIET
					    : call->verbose           ? TEMPLATE_VERBOSE
								      : TEMPLATE_PROGRESS;
	int r = need_keys(call, err);

	for (int i = 1; r == 0 && i < call->argc; i++) {
		auto_free char *key = NULL;

		r = image_refresh(store, call->argv[i], output, &key, err);
		if (r == 0 && !call->quiet)
			printf("%s: made anew as %s\n", call->argv[i], key);
	}
	return r;
}

static int run_image(struct call *call, struct err *err)
{
	static const struct {
		const char *name;
		int (*run)(struct call *call, const struct store *store, struct err *err);
	} acts[] = {{"list", image_list_run}, {"remove", image_remove_run}, {"refresh", image_refresh_run}};
	const char *names[] = {"list", "remove", "refresh"};
	const struct store *store;
	const char *act = call->argc ? call->argv[0] : "list";

	for (size_t i = 0; i < sizeof(acts) / sizeof(acts[0]); i++) {
		if (strcmp(acts[i].name, act))
			continue;
		int r = call_store(call, &store, err);

		return r < 0 ? r : acts[i].run(call, store, err);
	}
	const char *near = str_near(act, names, sizeof(names) / sizeof(names[0]));

	return call_usage(call, err, "images are listed, removed or refreshed, not '%s'%s%s%s", act, near ? "; did you mean '" : "",
			  near ? near : "", near ? "'?" : "");
}

const struct verb verb_image = {
	.name = "image",
	.group = GROUP_STORAGE,
	.synopsis = "[list | remove KEY... | refresh KEY...]",
	.summary = "Show, remove or renew the images that guests are cloned from.",
	.headline = "work on images",
	.text = "An image is what a template made, kept so that it is made only once. 'list' shows them all with their size on disk and the number of "
		"guests that were made from each; --json adds the template, its options and the guests' names.\n"
		"\n"
		"'remove' takes images away. One that a guest on overlay storage stands on is refused.\n"
		"\n"
		"'refresh' runs an image's template again. New guests are made from the result; those that there are keep what they stand on.",
	.examples = "isle image list\nisle image remove debian-bookworm-amd64-1a2b3c4d",
	.max = -1,
	.complete = COMPLETE_IMAGE,
	.args = "list|remove|refresh IMAGE",
	.needs_root = true,
	.run = run_image,
};
