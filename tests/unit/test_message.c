/* Records and descriptors between processes, against peers that send what they should not. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/time.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/base/err.h"
#include "../../src/base/message.h"

struct pair {
	int near, far;
};

static int set_up(void **state)
{
	static struct pair p;

	if (socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, (int *)&p) < 0)
		return -1;
	*state = &p;
	return 0;
}

static int tear_down(void **state)
{
	const struct pair *p = *state;

	close(p->near);
	if (p->far >= 0)
		close(p->far);
	return 0;
}

/* The number that the next descriptor gets: it grows when one is left open. */
static int next_fd(void)
{
	int fd = open("/dev/null", O_RDONLY | O_CLOEXEC);

	assert_true(fd >= 0);
	close(fd);
	return fd;
}

static void test_whole(void **state)
{
	const struct pair *p = *state;
	int sent[2] = {open("/dev/null", O_RDONLY | O_CLOEXEC), open("/dev/zero", O_RDONLY | O_CLOEXEC)}, got[3];
	size_t count = 3;
	char text[4];

	assert_int_equal(message_send(p->far, "abc", 4, sent, 2), 0);
	assert_int_equal(message_receive(p->near, text, sizeof(text), got, &count), 0);
	assert_string_equal(text, "abc");
	assert_int_equal(count, 2);
	for (size_t i = 0; i < count; i++) {
		assert_int_equal(fcntl(got[i], F_GETFD), FD_CLOEXEC);
		close(got[i]);
		close(sent[i]);
	}
}

static void test_hostile(void **state)
{
	struct pair *p = *state;
	int fds[3] = {p->near, p->near, p->near}, got[1], before = next_fd();
	size_t count = 1;
	char text[4];

	assert_int_equal(message_send(p->far, "abc", 4, fds, 3), 0); /* more descriptors than there is room for */
	assert_int_equal(message_receive(p->near, text, sizeof(text), got, &count), -EPROTO);
	assert_int_equal(count, 0);
	count = 1;
	assert_int_equal(message_send(p->far, "ab", 3, fds, 1), 0); /* too short */
	assert_int_equal(message_receive(p->near, text, sizeof(text), got, &count), -EPROTO);
	count = 1;
	assert_int_equal(message_send(p->far, "abcd", 5, fds, 1), 0); /* too long */
	assert_int_equal(message_receive(p->near, text, sizeof(text), got, &count), -EPROTO);
	count = 0;
	assert_int_equal(message_send(p->far, "abc", 4, fds, 1), 0); /* none wanted */
	assert_int_equal(message_receive(p->near, text, sizeof(text), NULL, &count), -EPROTO);
	assert_int_equal(next_fd(), before);
	close(p->far);
	p->far = -1;
	assert_int_equal(message_receive(p->near, text, sizeof(text), NULL, &count), -EPIPE);
	assert_int_equal(message_send(p->near, "abc", 4, NULL, 0), -EPIPE);
}

static void test_patience(void **state)
{
	const struct pair *p = *state;
	const struct timeval patience = {.tv_usec = 20000};
	size_t count = 0;
	char text[4];

	assert_int_equal(setsockopt(p->near, SOL_SOCKET, SO_RCVTIMEO, &patience, sizeof(patience)), 0);
	assert_int_equal(message_receive(p->near, text, sizeof(text), NULL, &count), -EAGAIN);
}

/* A record without an end, from a process that may be the guest's. */
static void test_seal(void **state)
{
	struct err err;

	(void)state;
	memset(&err, 'x', sizeof(err));
	err_seal(&err);
	assert_int_equal(err.code, ERR_FAILED);
	assert_int_equal(strlen(err.step), sizeof(err.step) - 1);
	assert_int_equal(strlen(err.where), sizeof(err.where) - 1);
	assert_int_equal(strlen(err.what), sizeof(err.what) - 1);
	assert_int_equal(strlen(err.hint), sizeof(err.hint) - 1);
	err.code = ERR_TIMEOUT;
	err.sys = -4;
	err_seal(&err);
	assert_int_equal(err.code, ERR_TIMEOUT);
	assert_int_equal(err.sys, 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_whole, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_hostile, set_up, tear_down),
		cmocka_unit_test_setup_teardown(test_patience, set_up, tear_down),
		cmocka_unit_test(test_seal),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
