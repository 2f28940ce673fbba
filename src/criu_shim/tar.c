/* criu's tar, which it starts for every tmpfs: spared where the directory is empty, and spared its gzip. */
#include "config.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "shim.h"

#define BLOCK  512
#define FOLDER "./" /* as tar names the directory itself */

/* Of POSIX's ustar format (pax(1)), which GNU's tar reads as well. Numbers are octal. */
struct header {
	char name[100], mode[8], uid[8], gid[8], size[12], mtime[12], sum[8], type, link[100], magic[6], version[2];
	char user[32], group[32], major[8], minor[8], prefix[155], rest[12];
};
_Static_assert(sizeof(struct header) == BLOCK, "a header is a block");

/* The end of an archive is two blocks of zeros. */
struct archive {
	struct header header;
	char end[2 * BLOCK];
};

static bool is_empty(int folder)
{
	int copy = openat(folder, ".", O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	DIR *entries = copy < 0 ? NULL : fdopendir(copy);
	int found = 0;

	if (!entries)
		return false;
	while (found <= 2 && readdir(entries)) /* itself and its parent are there always */
		found++;
	closedir(entries);
	return found <= 2;
}

static unsigned sum_of(const struct header *header)
{
	struct header blank = *header;
	const unsigned char *byte = (const unsigned char *)&blank;
	unsigned sum = 0;

	memset(blank.sum, ' ', sizeof(blank.sum));
	for (size_t i = 0; i < sizeof(blank); i++)
		sum += byte[i];
	return sum;
}

/* False for an owner or a time that does not fit. */
static bool describe(const struct stat *st, struct archive *ret)
{
	struct header *header = &ret->header;
	bool fits = st->st_uid <= 07777777 && st->st_gid <= 07777777 && st->st_mtime >= 0 && st->st_mtime <= 077777777777;

	*ret = (struct archive){.header = {.name = FOLDER, .type = '5', .magic = "ustar", .version = {'0', '0'}}};
	(void)snprintf(header->mode, sizeof(header->mode), "%07o", st->st_mode & 07777u);
	(void)snprintf(header->uid, sizeof(header->uid), "%07o", fits ? st->st_uid : 0);
	(void)snprintf(header->gid, sizeof(header->gid), "%07o", fits ? st->st_gid : 0);
	(void)snprintf(header->size, sizeof(header->size), "%011o", 0u);
	(void)snprintf(header->mtime, sizeof(header->mtime), "%011llo", fits ? (unsigned long long)st->st_mtime : 0);
	(void)snprintf(header->sum, sizeof(header->sum), "%06o", sum_of(header));
	header->sum[7] = ' ';
	return fits;
}

static void create(char **argv)
{
	struct archive archive;
	struct stat st;
	size_t kept = 0;

	if (is_empty(STDIN_FILENO) && fstat(STDIN_FILENO, &st) == 0 && describe(&st, &archive))
		_exit(write(STDOUT_FILENO, &archive, sizeof(archive)) == (ssize_t)sizeof(archive) ? 0 : 1);
	for (size_t i = 0; argv[i]; i++)
		if (strcmp(argv[i], "--gzip") != 0)
			argv[kept++] = argv[i];
	argv[kept] = NULL;
}

static bool is_of_empty(const struct archive *archive)
{
	static const char zeros[sizeof(archive->end)];
	char sum[sizeof(archive->header.sum)];

	(void)snprintf(sum, sizeof(sum), "%06o", sum_of(&archive->header));
	return strcmp(archive->header.name, FOLDER) == 0 && archive->header.type == '5' && strcmp(archive->header.sum, sum) == 0 &&
	       memcmp(archive->end, zeros, sizeof(zeros)) == 0;
}

/* As tar has it for root: with owner and permissions. */
static bool put_on(const char *folder, const struct header *header)
{
	int fd = open(folder, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	const struct timespec times[2] = {{.tv_nsec = UTIME_NOW}, {.tv_sec = (time_t)strtoull(header->mtime, NULL, 8)}};
	bool done = fd >= 0 && fchown(fd, (uid_t)strtoul(header->uid, NULL, 8), (gid_t)strtoul(header->gid, NULL, 8)) == 0 &&
		    fchmod(fd, (mode_t)strtoul(header->mode, NULL, 8)) == 0 && futimens(fd, times) == 0;

	if (fd >= 0)
		close(fd);
	return done;
}

static void extract(char **argv)
{
	struct archive archive = {0};
	ssize_t len = pread(STDIN_FILENO, &archive, sizeof(archive), lseek(STDIN_FILENO, 0, SEEK_CUR));
	const unsigned char *first = (const unsigned char *)&archive;
	const char *folder = NULL;
	size_t kept = 0;

	if (len < 2 || (first[0] == 0x1f && first[1] == 0x8b))
		return; /* gzip's, of a checkpoint that an isle made which did not do this */
	for (size_t i = 0; argv[i]; i++) {
		if (strcmp(argv[i], "--directory") == 0)
			folder = argv[i + 1];
		if (strcmp(argv[i], "--gzip") != 0)
			argv[kept++] = argv[i];
	}
	argv[kept] = NULL;
	if (len == (ssize_t)sizeof(archive) && folder && is_of_empty(&archive))
		_exit(put_on(folder, &archive.header) ? 0 : 1);
}

void tar_prepare(char **argv)
{
	for (size_t i = 1; argv[i]; i++) {
		if (strcmp(argv[i], "--create") == 0) {
			create(argv);
			return;
		}
		if (strcmp(argv[i], "--extract") == 0) {
			extract(argv);
			return;
		}
	}
}
