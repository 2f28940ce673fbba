/* Plans: named sets of keys that many guests share, below a guest's own config; and the host's defaults below those. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/path.h"
#include "plan.h"

static int compare_names(const void *a, const void *b)
{
	return strcmp(*(char *const *)a, *(char *const *)b);
}

int plan_names(const struct store *store, char ***ret, struct err *err)
{
	auto_closedir DIR *dir = opendir(store->plans);
	char **names = calloc(1, sizeof(*names));
	size_t count = 0;

	for (struct dirent *entry; names && dir && (entry = readdir(dir));) {
		if (types_check_name("a plan", entry->d_name, STORE_NAME_MAX, NULL) < 0 || strchr(entry->d_name, '~'))
			continue;
		char **more = reallocarray(names, count + 2, sizeof(*names));
		char *name = more ? strdup(entry->d_name) : NULL;

		names = more ? more : names;
		names[count] = name;
		if (!name) {
			store_names_free(names);
			return err_num(err, ENOMEM, "list the plans");
		}
		names[++count] = NULL;
	}
	if (!names)
		return err_num(err, ENOMEM, "list the plans");
	qsort(names, count, sizeof(*names), compare_names);
	*ret = names;
	return 0;
}

static int no_plan(const struct store *store, const char *name, struct err *err)
{
	auto_buf struct buf list = {0};
	char **names = NULL;
	size_t count = 0;

	(void)err_set(err, ERR_NOT_FOUND, "there is no plan '%s'", name);
	if (plan_names(store, &names, NULL) < 0)
		return -ENOENT;
	for (; names[count]; count++)
		buf_addf(&list, "%s%s", count ? ", " : "", names[count]);
	const char *near = str_near(name, (const char *const *)names, count);

	if (near)
		(void)err_hint(err, "did you mean '%s'? The plans are: %.100s", near, list.data ? list.data : "");
	else if (count)
		(void)err_hint(err, "the plans are: %.140s", list.data ? list.data : "");
	else
		(void)err_hint(err, "there is none yet: a plan is a file in %s, see isle.conf(5)", store->plans);
	store_names_free(names);
	return -ENOENT;
}

/* Lays isle.conf over spec, if there is one. */
static int add_defaults(const struct store *store, struct spec *spec, struct err *err)
{
	auto_free char *text = NULL;
	size_t len;
	int r = file_read(AT_FDCWD, store->conf, SPEC_FILE_MAX, &text, &len);

	if (r == -ENOENT)
		return 0;
	if (r < 0)
		return err_num(err, r, "read %s", store->conf);
	return spec_parse_over(spec, SPEC_FROM_HOST, text, len, store->conf, err);
}

static int add_plan(const struct store *store, const char *name, struct spec *spec, struct err *err)
{
	auto_free char *path = path_join(store->plans, name);
	auto_free char *text = NULL;
	size_t len;
	int r = path ? file_read(AT_FDCWD, path, SPEC_FILE_MAX, &text, &len) : -ENOMEM;

	if (r == -ENOENT)
		return no_plan(store, name, err);
	if (r < 0)
		return err_num(err, r, "read the plan %s", path ? path : name);
	return spec_parse_over(spec, SPEC_FROM_PLAN, text, len, path, err);
}

/* own: what the guest says; NULL when it says nothing. The one that isle.conf names is the host's word. */
static int add_layers(const struct store *store, const char *own, struct spec *spec, struct err *err)
{
	int r = add_defaults(store, spec, err);
	const char *name = own ? own : spec->guest.plan;

	if (r < 0 || !name || !strcmp(name, PLAN_NONE))
		return r;
	auto_free char *copy = strdup(name);

	return copy ? add_plan(store, copy, spec, err) : err_num(err, ENOMEM, "read the plan %s", name);
}

int plan_open(const struct store *store, const char *name, struct spec **ret, struct err *err)
{
	struct spec *spec = spec_new();
	int r = spec ? add_layers(store, name, spec, err) : err_num(err, ENOMEM, "read a plan");

	if (r < 0) {
		spec_free(spec);
		return r;
	}
	*ret = spec;
	return 0;
}

int plan_parse(const struct store *store, const char *text, size_t len, const char *shown, struct spec **ret, struct err *err)
{
	struct spec *own = NULL, *whole = NULL;
	int r = spec_parse(text, len, shown, &own, err);

	if (r < 0)
		return r;
	if (!own->guest.plan && access(store->conf, F_OK) < 0) {
		*ret = own;
		return 0;
	}
	r = plan_open(store, own->guest.plan, &whole, err);
	spec_free(own);
	if (r < 0)
		return r;
	whole->file = strdup(shown);
	r = whole->file ? spec_parse_over(whole, SPEC_FROM_GUEST, text, len, shown, err) : err_num(err, ENOMEM, "read %s", shown);
	if (r == 0)
		r = spec_check(whole, err);
	if (r < 0) {
		spec_free(whole);
		return r;
	}
	*ret = whole;
	return 0;
}

int plan_load(const struct store *store, int dir_fd, const char *name, const char *shown, struct spec **ret, struct err *err)
{
	auto_free char *text = NULL;
	size_t len;
	int r = spec_read(dir_fd, name, shown, &text, &len, err);

	return r < 0 ? r : plan_parse(store, text, len, shown, ret, err);
}
