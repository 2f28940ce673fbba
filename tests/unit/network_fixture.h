/* A store in a folder of its own, and processes that race; for the tests of networks. Included after cmocka.h. */
#pragma once

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../src/base/file.h"
#include "../../src/base/str.h"
#include "../../src/guest/network.h"
#include "netns.h"

#define RACERS 12

/* A store in a folder of its own. */
static inline int make_store(void **state)
{
	struct store *s = calloc(1, sizeof(*s));

	assert_non_null(s);
	s->root = strdup("/tmp/isle-test-network-XXXXXX");
	assert_non_null(s->root);
	assert_non_null(mkdtemp(s->root));
	s->networks = str_format("%s/networks", s->root);
	s->leases = str_format("%s/leases", s->root);
	s->run = str_format("%s/run", s->root);
	assert_int_equal(mkdir(s->run, 0700), 0);
	s->run_fd = open(s->run, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(s->run_fd >= 0);
	*state = s;
	return 0;
}

static inline int end_store(void **state)
{
	struct store *s = *state;

	close(s->run_fd);
	assert_int_equal(file_remove_tree(AT_FDCWD, s->root, NULL), 0);
	free(s->root);
	free(s->networks);
	free(s->leases);
	free(s->run);
	free(s);
	return 0;
}

static inline int make_store_in_netns(void **state)
{
	close(netns_fresh());
	return make_store(state);
}

static inline int no_error(int result, const struct err *err)
{
	if (result < 0)
		print_message("%s: %s\n", err->what, strerror(-result));
	return result;
}

static inline void write_file(const struct store *s, const char *name, const char *text)
{
	int fd;

	(void)mkdir(s->networks, 0755); /* a test's second file finds it made */
	fd = open(s->networks, O_RDONLY | O_DIRECTORY | O_CLOEXEC);
	assert_true(fd >= 0);
	assert_int_equal(file_replace(fd, name, text, strlen(text), 0644, NULL), 0);
	close(fd);
}

/* Runs body in `count` processes at once; each has its number and a slot of shared memory. */
struct slot {
	int result;
	struct network network;
	struct lease lease;
};
typedef void race_fn(const struct store *s, int number, struct slot *slot);
static inline struct slot *race(const struct store *s, int count, race_fn *body)
{
	struct slot *slots = mmap(NULL, (size_t)count * sizeof(*slots), PROT_READ | PROT_WRITE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
	pid_t children[64];
	int gate[2], status;

	assert_ptr_not_equal(slots, MAP_FAILED);
	assert_int_equal(pipe(gate), 0);
	for (int i = 0; i < count; i++) {
		children[i] = fork();
		assert_true(children[i] >= 0);
		if (children[i] == 0) {
			char byte;

			close(gate[1]);
			(void)!read(gate[0], &byte, 1); /* ends for all at once, when the parent closes its side */
			body(s, i, &slots[i]);
			_exit(0);
		}
	}
	close(gate[0]);
	close(gate[1]);
	for (int i = 0; i < count; i++) {
		assert_int_equal(waitpid(children[i], &status, 0), children[i]);
		assert_int_equal(status, 0);
	}
	return slots;
}

static inline struct network lab(const struct store *s, const char *addresses)
{
	struct network n;
	struct err err = {0};
	char text[128];

	assert_int_equal(str_print(text, sizeof(text), "[network]\n%s\n", addresses), 0);
	assert_int_equal(no_error(network_parse(s, "lab", text, &n, &err), &err), 0);
	return n;
}

#define IN_STORE(test) cmocka_unit_test_setup_teardown(test, make_store, end_store)
#define IN_NETNS(test) cmocka_unit_test_setup_teardown(test, make_store_in_netns, end_store)
