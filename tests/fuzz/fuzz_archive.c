/* Tar archives by chance, unpacked into a folder: nothing beside it changes, and nothing comes into it that no archive may bring. */
#include "config.h"

#include <archive.h>
#include <dirent.h>
#include <stdio.h>
#include <sys/stat.h>

#include "../../src/base/file.h"
#include "../../src/unpack/unpack.h"
#include "fuzz.h"

#define BLOCK 512

/* A mutation that breaks a header's checksum is one that the reader turns away at once: each header gets the right one. */
static void mend_checksums(uint8_t *data, size_t size)
{
	for (size_t at = 0; at + BLOCK <= size; at += BLOCK) {
		unsigned sum = 0;
		char text[8];

		if (memcmp(data + at + 257, "ustar", 5) != 0)
			continue;
		memset(data + at + 148, ' ', 8);
		for (size_t i = 0; i < BLOCK; i++)
			sum += data[at + i];
		(void)snprintf(text, sizeof(text), "%06o", sum);
		memcpy(data + at + 148, text, 7);
	}
}

static void look(int dir_fd)
{
	DIR *dir = fdopendir(dup(dir_fd));

	demand(dir);
	for (const struct dirent *entry; (entry = readdir(dir));) {
		struct stat st;

		if (!strcmp(entry->d_name, ".") || !strcmp(entry->d_name, ".."))
			continue;
		demand(fstatat(dir_fd, entry->d_name, &st, AT_SYMLINK_NOFOLLOW) == 0);
		demand(S_ISREG(st.st_mode) || S_ISDIR(st.st_mode) || S_ISLNK(st.st_mode) || S_ISFIFO(st.st_mode));
		demand(st.st_uid <= 65535 && st.st_gid <= 65535);
		demand(st.st_size <= 1 << 20);
		if (!S_ISDIR(st.st_mode))
			continue;
		int fd = openat(dir_fd, entry->d_name, O_RDONLY | O_DIRECTORY | O_NOFOLLOW | O_CLOEXEC);

		if (fd < 0) /* a mode that shuts its owner out, where the owner is not root */
			continue;
		look(fd);
		close(fd);
	}
	closedir(dir);
}

/* The folder beside: one file, as it was made. */
static void look_beside(int scratch)
{
	static struct timespec made;
	struct stat st;
	char text[8] = "";

	if (!made.tv_sec) {
		demand(mkdirat(scratch, "beside", 0755) == 0);
		int fd = openat(scratch, "beside/file", O_WRONLY | O_CREAT | O_CLOEXEC, 0644);

		demand(fd >= 0 && write(fd, "good", 4) == 4);
		close(fd);
		demand(fstatat(scratch, "beside", &st, 0) == 0);
		made = st.st_mtim;
		return;
	}
	demand(fstatat(scratch, "beside", &st, 0) == 0 && (st.st_mode & 07777) == 0755);
	demand(st.st_mtim.tv_sec == made.tv_sec && st.st_mtim.tv_nsec == made.tv_nsec);
	int fd = openat(scratch, "beside/file", O_RDONLY | O_CLOEXEC);

	demand(fd >= 0 && read(fd, text, sizeof(text)) == 4 && memcmp(text, "good", 4) == 0);
	demand(fstat(fd, &st) == 0 && (st.st_mode & 07777) == 0644 && st.st_nlink == 1);
	close(fd);
}

static void unpack(int root, void *data, size_t size)
{
	const struct unpack_limits limits = {.bytes = 1 << 20, .entries = 100, .seconds = 10};
	struct archive *archive = archive_read_new();
	struct err err = {0};

	demand(archive && archive_read_support_format_tar(archive) >= ARCHIVE_WARN);
	demand(archive_read_support_filter_gzip(archive) >= ARCHIVE_WARN);
	if (archive_read_open_memory(archive, data, size) >= ARCHIVE_WARN && unpack_entries(archive, root, &limits, &err) < 0)
		demand(err.what[0]); /* a refusal has a reason */
	archive_read_free(archive);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	int scratch = fuzz_scratch(), next = fuzz_next_fd();
	uint8_t *copy = malloc(size + 1); /* never of no size */

	demand(copy);
	memcpy(copy, data, size);
	mend_checksums(copy, size);
	look_beside(scratch);
	demand(mkdirat(scratch, "root", 0755) == 0);
	int root = openat(scratch, "root", O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	demand(root >= 0);
	unpack(root, copy, size);
	look(root);
	close(root);
	look_beside(scratch);
	demand(file_remove_tree(scratch, "root", NULL) == 0);
	demand(fuzz_next_fd() == next);
	free(copy);
	return 0;
}
