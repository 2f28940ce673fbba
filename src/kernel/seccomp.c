/* Prepares the system call filter on the host, from the cache where it can, and applies it in the guest. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/filter.h>
#include <linux/seccomp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/syscall.h>
#include <sys/utsname.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/file.h"
#include "../base/log.h"
#include "../base/path.h"
#include "../base/self.h"
#include "../base/str.h"
#include "seccomp_rules.h"

/* isle's lists, in the order in which they are laid over each other. */
enum { LIST_DEFAULT, LIST_PRIVILEGED, LIST_CHECKPOINT, LIST_NESTING, LIST_ARCH32, LIST_COUNT };

static const char *const list_files[LIST_COUNT] = {
	[LIST_DEFAULT] = "default.list", [LIST_PRIVILEGED] = "privileged.list", [LIST_CHECKPOINT] = "checkpoint.list",
	[LIST_NESTING] = "nesting.list", [LIST_ARCH32] = "arch32.list",
};

#define LAYER_OWN (SECCOMP_LAYERS_MAX - 1)

/* What a compiled program was made from, as far as it can be asked cheaply. */
struct source {
	uint64_t device, inode, size, mtime, ctime;
};

/* Begins a cached program's file. Files are written and read by one machine only. */
struct cache_header {
	char magic[8];
	uint64_t key;  /* hash of the sources and options */
	uint64_t body; /* hash of library and instructions: a torn or damaged file is made anew */
	uint32_t count;
	uint32_t reserved;
	struct seccomp_library library;
};
#define CACHE_MAGIC "isleBPF1"

static bool list_wanted(const struct seccomp_request *request, int list)
{
	switch (list) {
	case LIST_DEFAULT:
		return true;
	case LIST_PRIVILEGED:
		return request->privileged;
	case LIST_CHECKPOINT:
		return request->checkpoint_ready && !request->nesting; /* what nests cannot be checkpointed whatever is refused */
	case LIST_NESTING:
		return request->nesting;
	case LIST_ARCH32:
		return request->arch32;
	default:
		return false;
	}
}

static bool list_is_own(const struct seccomp_request *request)
{
	return request->list && strcmp(request->list, "default") != 0;
}

/* A program in the place where it is installed uses the installed lists; one in its build tree the lists beside it. */
static char *lists_folder(void)
{
	static const char *const tree[] = {"config/seccomp", "../../config/seccomp"};
	char exe[4096];

	if (self_path(exe, sizeof(exe)) < 0)
		exe[0] = '\0';

	char *slash = strrchr(exe, '/');

	if (slash)
		*slash = '\0';
	if (slash && strcmp(exe, ISLE_BINDIR) != 0 && strcmp(exe, ISLE_LIBEXECDIR) != 0) {
		for (size_t i = 0; i < sizeof(tree) / sizeof(tree[0]); i++) {
			auto_free char *folder = path_join(exe, tree[i]);
			auto_free char *file = folder ? path_join(folder, list_files[LIST_DEFAULT]) : NULL;

			if (file && access(file, R_OK) == 0)
				return take_ptr(&folder);
		}
	}
	return path_join(ISLE_DATADIR, "seccomp");
}

static uint64_t nanoseconds(struct timespec time)
{
	return (uint64_t)time.tv_sec * 1000000000u + (uint64_t)time.tv_nsec;
}

static int source_find(int dir_fd, const char *name, struct source *ret)
{
	struct stat st;

	if (fstatat(dir_fd, name, &st, 0) < 0)
		return -errno;
	*ret = (struct source){
		.device = st.st_dev,
		.inode = st.st_ino,
		.size = (uint64_t)st.st_size,
		.mtime = nanoseconds(st.st_mtim),
		.ctime = nanoseconds(st.st_ctim),
	};
	return 0;
}

/* The lists are known by their inodes, sizes and times: reading and hashing them would take longer than all the rest. */
static int cache_key(const struct seccomp_request *request, int folder, const char *shown, uint64_t *ret, struct err *err)
{
	struct source sources[LIST_COUNT + 1] = {0};
	unsigned char options[] = {request->nesting, request->checkpoint_ready, request->privileged, request->arch32,
				   list_is_own(request)};
	struct utsname host;
	int r = 0;

	for (int i = 0; i < LIST_COUNT && r == 0; i++) {
		r = source_find(folder, list_files[i], &sources[i]);
		if (r < 0)
			return err_num(err, r, "find system call list %s/%s", shown, list_files[i]);
	}
	if (list_is_own(request))
		r = source_find(AT_FDCWD, request->list, &sources[LIST_COUNT]);
	if (r < 0)
		return err_num(err, r, "find system call list %s", request->list);
	if (uname(&host) < 0)
		return err_sys(err, "ask the kernel's release");

	uint64_t hash = str_hash(STR_HASH_SEED, CACHE_MAGIC, sizeof(CACHE_MAGIC));

	hash = str_hash(hash, PACKAGE_VERSION, sizeof(PACKAGE_VERSION));
	hash = str_hash(hash, sources, sizeof(sources));
	hash = str_hash(hash, options, sizeof(options));
	hash = str_hash(hash, host.release, strlen(host.release) + 1);
	hash = str_hash(hash, host.machine, strlen(host.machine) + 1);
	*ret = hash;
	return 0;
}

static int cache_name(const struct seccomp_request *request, uint64_t key, char *ret, size_t size)
{
	return str_print(ret, size, "%s/seccomp-%016llx.bpf", request->cache, (unsigned long long)key);
}

static uint64_t body_hash(const struct cache_header *header, const void *filter)
{
	uint64_t hash = str_hash(STR_HASH_SEED, &header->library, sizeof(header->library));

	return str_hash(hash, filter, header->count * sizeof(struct sock_filter));
}

static bool library_same(const struct seccomp_library *library)
{
	struct stat st;

	return memchr(library->path, 0, sizeof(library->path)) && stat(library->path, &st) == 0 &&
	       (uint64_t)st.st_size == library->size && nanoseconds(st.st_mtim) == library->mtime;
}

/* Whoever can write this file decides what guests may do: it must be root's (or this user's, in tests) alone. */
static bool cache_trusted(const struct stat *st)
{
	return S_ISREG(st->st_mode) && (st->st_uid == 0 || st->st_uid == geteuid()) && !(st->st_mode & 022);
}

/* -ENOENT for whatever is not usable: the caller makes it anew. */
static int cache_load(const char *name, uint64_t key, struct seccomp_program *ret)
{
	auto_close int fd = open(name, O_RDONLY | O_CLOEXEC | O_NOFOLLOW | O_NONBLOCK | O_NOCTTY);
	struct cache_header header;
	struct stat st;

	if (fd < 0 || fstat(fd, &st) < 0)
		return -ENOENT;
	if (!cache_trusted(&st)) {
		log_warn("%s is not a private file of root: made anew", name);
		return -ENOENT;
	}

	size_t size = (size_t)st.st_size;

	if (size <= sizeof(header) || size > sizeof(header) + BPF_MAXINSNS * sizeof(struct sock_filter))
		return -ENOENT;

	auto_free char *data = malloc(size);

	if (!data || read(fd, data, size) != (ssize_t)size)
		return -ENOENT;
	memcpy(&header, data, sizeof(header));
	if (memcmp(header.magic, CACHE_MAGIC, sizeof(header.magic)) != 0 || header.key != key || header.count == 0 ||
	    size != sizeof(header) + header.count * sizeof(struct sock_filter) ||
	    header.body != body_hash(&header, data + sizeof(header)) || !library_same(&header.library)) {
		log_info("%s is damaged or for another libseccomp: made anew", name);
		return -ENOENT;
	}
	memmove(data, data + sizeof(header), size - sizeof(header));
	ret->count = (unsigned short)header.count;
	ret->filter = take_ptr(&data);
	return 0;
}

/* A cache that cannot be written costs time at the next start, nothing else. */
static void cache_save(const char *name, uint64_t key, const struct seccomp_program *program)
{
	struct cache_header header = {.magic = CACHE_MAGIC, .key = key, .count = program->count};
	auto_buf struct buf data = {0};
	struct err err = {0};

	if (seccomp_library_find(&header.library, &err) < 0)
		return;
	header.body = body_hash(&header, program->filter);
	buf_add_bytes(&data, &header, sizeof(header));
	buf_add_bytes(&data, program->filter, program->count * sizeof(struct sock_filter));
	/* No fsync: a file that a crash tore fails its hash. */
	if (data.failed || file_replace_quick(AT_FDCWD, name, data.data, data.len, 0600, &err) < 0)
		log_info("cannot keep the system call filter: %s", err.what);
}

static int read_list(int dir_fd, const char *name, const char *shown, char **ret, struct err *err)
{
	int r = file_read(dir_fd, name, SECCOMP_LIST_MAX, ret, NULL);

	return r < 0 ? err_num(err, r, "read system call list %s", shown) : 0;
}

static int add_default_lists(const struct seccomp_request *request, int folder, struct seccomp_rules *rules, struct err *err)
{
	uint32_t fallback = rules->fallback;
	bool include;

	for (int i = 0; i < LIST_COUNT; i++) {
		auto_free char *text = NULL;

		if (!list_wanted(request, i))
			continue;
		rules->layer = (uint8_t)i;

		int r = read_list(folder, list_files[i], list_files[i], &text, err);

		if (r == 0)
			r = seccomp_list_parse(text, list_files[i], rules, &include, err);
		if (r < 0)
			return r;
	}
	if (list_is_own(request) && fallback)
		rules->fallback = fallback; /* the administrator's `default` line */
	return 0;
}

static int collect(const struct seccomp_request *request, int folder, struct seccomp_rules *rules, struct err *err)
{
	auto_free char *text = NULL;
	bool include = false;

	if (!list_is_own(request))
		return add_default_lists(request, folder, rules, err);

	int r = read_list(AT_FDCWD, request->list, request->list, &text, err);

	if (r < 0)
		return r;
	if (seccomp_lxc_is(text))
		return seccomp_lxc_parse(text, request->list, rules, err);
	rules->layer = rules->report_from = LAYER_OWN;
	r = seccomp_list_parse(text, request->list, rules, &include, err);
	if (r == 0 && include)
		return add_default_lists(request, folder, rules, err);
	if (r == 0 && rules->fallback == 0) {
		(void)err_set(err, ERR_FAILED, "read system call list %s: it has no 'default' line", request->list);
		err_hint(err, "begin it with 'include default', or say what happens to other calls: 'default ENOSYS'");
		return -EINVAL;
	}
	return r;
}

static int compile(const struct seccomp_request *request, int folder, struct seccomp_program *ret, struct err *err)
{
	__attribute__((cleanup(seccomp_rules_free))) struct seccomp_rules rules = {0};
	int r = collect(request, folder, &rules, err);

	if (r == 0)
		r = seccomp_compile(&rules, ret, err);
	if (r < 0)
		return r;
	if (rules.unknown && list_is_own(request))
		log_warn("%s: passed over system calls that this libseccomp does not know: %s", request->list, rules.unknown_names);
	else if (rules.unknown)
		log_debug("system calls that this libseccomp does not know: %s", rules.unknown_names);
	return 0;
}

int seccomp_prepare(const struct seccomp_request *request, struct seccomp_program *ret, struct err *err)
{
	struct seccomp_program program = {0};
	char name[4096] = "";
	uint64_t key = 0;

	if (request->list && strcmp(request->list, "none") == 0) {
		*ret = program;
		return 0;
	}

	auto_free char *lists = lists_folder();

	if (!lists)
		return err_num(err, ENOMEM, "find isle's system call lists");

	auto_close int folder = open(lists, O_PATH | O_DIRECTORY | O_CLOEXEC);

	if (folder < 0)
		return err_sys(err, "open isle's system call lists %s", lists);

	int r = cache_key(request, folder, lists, &key, err);

	if (r < 0)
		return r;
	if (request->cache && cache_name(request, key, name, sizeof(name)) == 0 && cache_load(name, key, &program) == 0) {
		*ret = program;
		return 0;
	}
	r = compile(request, folder, &program, err);
	if (r < 0)
		return r;
	if (*name)
		cache_save(name, key, &program);
	*ret = program;
	return 0;
}

int seccomp_apply(const struct seccomp_program *program, struct err *err)
{
	struct sock_fprog filter = {.len = program->count, .filter = program->filter};

	if (program->count == 0)
		return 0;
	/* Without SPEC_ALLOW, kernels before 5.16 would turn speculative stores off for all that the guest runs: a sandbox inside
	 * one process wants that and asks for it, a system does not (Documentation/userspace-api/spec_ctrl.rst). */
	if (syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, SECCOMP_FILTER_FLAG_SPEC_ALLOW, &filter) == 0)
		return 0;
	if (errno == EINVAL && syscall(SYS_seccomp, SECCOMP_SET_MODE_FILTER, 0, &filter) == 0)
		return 0;
	return err_sys(err, "load the system call filter");
}

void seccomp_free(struct seccomp_program *program)
{
	free(program->filter);
	*program = (struct seccomp_program){0};
}
