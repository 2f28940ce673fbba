/* Guests on disk: opening them, whatever became of their config. */
#include "config.h"

#include <errno.h>
#include <signal.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "../../src/base/proc.h"
#include "../../src/guest/record.h"
#include "scratch.h"

#define ID    "0123456789abcdef0123456789abcdef"
#define GOOD  "[guest]\nid = " ID "\nstop-timeout = 5\n"
#define FAULT GOOD "what is this\n"

static void put(const struct store *store, const char *text)
{
	assert_int_equal(file_replace_quick(store->guests_fd, "web1/config", text, strlen(text), 0600, NULL), 0);
}

static struct store *open_store(const struct scratch *scratch)
{
	struct store *store = NULL;

	assert_int_equal(store_open(scratch->path, true, &store, NULL), 0);
	assert_int_equal(mkdirat(store->guests_fd, "web1", 0700), 0);
	return store;
}

static void test_faulty_config(void **state)
{
	struct store *store = open_store(*state);
	struct guest *guest = NULL;
	struct err err = {0};

	put(store, FAULT);
	assert_true(guest_open(store, "web1", &guest, &err) < 0);
	assert_string_equal(err.where, "web1/config:4");
	err_clear(&err);
	assert_int_equal(guest_open_any(store, "web1", &guest, &err), 0);
	assert_int_equal(err.code, ERR_NONE);
	assert_true(guest->faulty);
	assert_string_equal(guest->spec->guest.id, ID);
	/* Mended while the lock was waited for. */
	put(store, GOOD);
	assert_int_equal(guest_lock(guest, 0, &err), 0);
	assert_false(guest->faulty);
	assert_int_equal(guest->spec->guest.stop_timeout, 5000);
	guest_free(guest);
	store_free(store);
}

static void test_no_config(void **state)
{
	struct store *store = open_store(*state);
	struct guest *guest = NULL;

	assert_int_equal(guest_open(store, "web1", &guest, NULL), -ENOENT);
	assert_int_equal(guest_open_any(store, "web1", &guest, NULL), 0);
	assert_true(guest->faulty);
	assert_null(guest->spec->guest.id);
	guest_free(guest);
	assert_int_equal(guest_open_any(store, "web2", &guest, NULL), -ENOENT);
	store_free(store);
}

/* A stop that is killed while it waits for init has stopped nobody; one that waits still holds the lock. */
static void test_killed_stop(void **state)
{
	struct store *store = open_store(*state);
	struct record record = {.phase = "stopping"}, seen;
	int lock = -1;

	record.init_pid = fork();
	if (record.init_pid == 0)
		for (;;)
			pause();
	record.init_start = proc_start_time(record.init_pid);
	assert_int_equal(proc_boot_id(record.boot_id), 0);
	assert_int_equal(mkdirat(store->run_fd, "web1", 0700), 0);
	assert_int_equal(record_save(store, "web1", &record, NULL), 0);
	assert_int_equal(guest_state(store, "web1", &seen), STATE_RUNNING);
	assert_int_equal(seen.init_pid, record.init_pid);
	assert_int_equal(store_lock_name(store, "web1", 0, &lock, NULL), 0);
	assert_int_equal(guest_state(store, "web1", NULL), STATE_STOPPING);
	close(lock);
	assert_int_equal(kill(record.init_pid, SIGKILL), 0);
	assert_int_equal(waitpid(record.init_pid, NULL, 0), record.init_pid);
	assert_int_equal(guest_state(store, "web1", NULL), STATE_BROKEN);
	store_free(store);
}

/* What ran when the host went down runs no more, whatever the pids of that boot are now; its folder is the next start's to clear.
 */
static void test_record_of_another_boot(void **state)
{
	struct store *store = open_store(*state);
	struct record record = {.phase = "running", .boot_id = "00000000-0000-0000-0000-000000000000"}, seen;
	int lock = -1;

	record.init_pid = record.monitor_pid = getpid();
	record.init_start = record.monitor_start = proc_start_time(getpid());
	assert_int_equal(mkdirat(store->run_fd, "web1", 0700), 0);
	assert_int_equal(record_save(store, "web1", &record, NULL), 0);
	assert_int_equal(record_load(store, "web1", &seen), -ESTALE);
	assert_int_equal(guest_state(store, "web1", &seen), STATE_STOPPED);
	assert_int_equal(seen.init_pid, 0);
	assert_int_equal(store_lock_name(store, "web1", 0, &lock, NULL), 0);
	assert_int_equal(guest_state(store, "web1", NULL), STATE_STARTING);
	close(lock);
	store_free(store);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		scratch_test(test_faulty_config),
		scratch_test(test_no_config),
		scratch_test(test_killed_stop),
		scratch_test(test_record_of_another_boot),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
