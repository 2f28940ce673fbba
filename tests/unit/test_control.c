/* The monitor's protocol: framing against hostile peers, and the socket in the run folder. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "../../src/run/control.h"

struct pair {
	int near, far;
	char data[CONTROL_DATA_MAX];
	struct control_header header;
};

static int setup(void **state)
{
	struct pair *p = calloc(1, sizeof(*p));
	int fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_SEQPACKET | SOCK_CLOEXEC, 0, fds), 0);
	p->near = fds[0];
	p->far = fds[1];
	*state = p;
	return 0;
}

static int teardown(void **state)
{
	struct pair *p = *state;

	close(p->near);
	if (p->far >= 0)
		close(p->far);
	free(p);
	return 0;
}

static void send_raw(struct pair *p, uint32_t magic, uint16_t kind, uint16_t length, size_t really)
{
	size_t size = sizeof(struct control_header) + really;
	char *packet = calloc(1, size);
	struct control_header header = {.magic = magic, .kind = kind, .length = length};

	memcpy(packet, &header, sizeof(header));
	assert_int_equal(send(p->far, packet, size, 0), size);
	free(packet);
}

static void test_round_trip(void **state)
{
	struct pair *p = *state;
	char big[CONTROL_DATA_MAX];

	memset(big, 'x', sizeof(big));
	assert_int_equal(control_send(p->far, CONTROL_RELEASE, NULL, 0), 0);
	assert_int_equal(control_send(p->far, CONTROL_INPUT, "a\0b", 3), 0);
	assert_int_equal(control_send(p->far, CONTROL_OUTPUT, big, sizeof(big)), 0);
	assert_int_equal(control_receive(p->near, &p->header, p->data), 0);
	assert_int_equal(p->header.kind, CONTROL_RELEASE);
	assert_int_equal(p->header.length, 0);
	assert_int_equal(control_receive(p->near, &p->header, p->data), 0);
	assert_int_equal(p->header.kind, CONTROL_INPUT);
	assert_int_equal(p->header.length, 3);
	assert_memory_equal(p->data, "a\0b", 3);
	assert_int_equal(control_receive(p->near, &p->header, p->data), 0);
	assert_int_equal(p->header.length, sizeof(big));
	assert_memory_equal(p->data, big, sizeof(big));
}

static void test_malformed(void **state)
{
	static const struct {
		uint32_t magic;
		uint16_t kind, length;
		size_t really;
	} bad[] = {
		{0x69736c30u, CONTROL_INPUT, 0, 0},                                         /* wrong magic */
		{0x316c7369u, CONTROL_INPUT, 0, 0},                                         /* of the other byte order */
		{CONTROL_MAGIC, 0, 0, 0},                                                   /* no kind */
		{CONTROL_MAGIC, CONTROL_END + 1, 0, 0},                                     /* an unknown one */
		{CONTROL_MAGIC, CONTROL_INPUT, 5, 4},                                       /* says more than there is */
		{CONTROL_MAGIC, CONTROL_INPUT, 3, 4},                                       /* says less */
		{CONTROL_MAGIC, CONTROL_INPUT, CONTROL_DATA_MAX + 1, CONTROL_DATA_MAX + 1}, /* oversize */
		{CONTROL_MAGIC, CONTROL_INPUT, CONTROL_DATA_MAX, CONTROL_DATA_MAX + 1},     /* oversize, denied */
		{CONTROL_MAGIC, CONTROL_INPUT, 65535, 65535},
	};
	struct pair *p = *state;

	for (size_t i = 0; i < sizeof(bad) / sizeof(*bad); i++) {
		send_raw(p, bad[i].magic, bad[i].kind, bad[i].length, bad[i].really);
		assert_int_equal(control_receive(p->near, &p->header, p->data), -EPROTO);
	}
	assert_int_equal(send(p->far, "isl1", 4, 0), 4); /* shorter than a header */
	assert_int_equal(control_receive(p->near, &p->header, p->data), -EPROTO);
	/* The stream is still in step after each. */
	assert_int_equal(control_send(p->far, CONTROL_RING, NULL, 0), 0);
	assert_int_equal(control_receive(p->near, &p->header, p->data), 0);
	assert_int_equal(p->header.kind, CONTROL_RING);
}

static void test_ends(void **state)
{
	struct pair *p = *state;

	assert_int_equal(control_send(p->far, CONTROL_DONE, "1234", 4), 0);
	close(p->far);
	p->far = -1;
	assert_int_equal(control_receive(p->near, &p->header, p->data), 0);
	assert_int_equal(control_receive(p->near, &p->header, p->data), -EPIPE);
	assert_int_equal(control_send(p->near, CONTROL_DONE, NULL, 0), -EPIPE); /* and no SIGPIPE */
	assert_int_equal(control_send(p->near, CONTROL_DONE, p->data, CONTROL_DATA_MAX + 1), -EMSGSIZE);
}

static void test_full(void **state)
{
	struct pair *p = *state;
	int r = 0, sent = 0;

	assert_int_equal(fcntl(p->far, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(fcntl(p->near, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(control_receive(p->near, &p->header, p->data), -EAGAIN);
	while (r == 0 && sent < 10000) {
		r = control_send(p->far, CONTROL_OUTPUT, p->data, CONTROL_DATA_MAX);
		sent += r == 0;
	}
	assert_int_equal(r, -EAGAIN);
	while (sent-- > 0)
		assert_int_equal(control_receive(p->near, &p->header, p->data), 0);
	assert_int_equal(control_receive(p->near, &p->header, p->data), -EAGAIN);
}

static int open_count(void)
{
	int count = 0;

	for (int fd = 0; fd < 256; fd++)
		count += fcntl(fd, F_GETFD) >= 0;
	return count;
}

static void test_descriptors_refused(void **state)
{
	struct pair *p = *state;
	struct control_header header = {.magic = CONTROL_MAGIC, .kind = CONTROL_RELEASE};
	union {
		struct cmsghdr header;
		char space[CMSG_SPACE(sizeof(int))];
	} extra = {.header = {.cmsg_level = SOL_SOCKET, .cmsg_type = SCM_RIGHTS, .cmsg_len = CMSG_LEN(sizeof(int))}};
	struct iovec part = {&header, sizeof(header)};
	struct msghdr message = {.msg_iov = &part, .msg_iovlen = 1, .msg_control = &extra, .msg_controllen = sizeof(extra)};
	int before = open_count(), passed = 0;

	memcpy(CMSG_DATA(&extra.header), &passed, sizeof(passed));
	assert_int_equal(sendmsg(p->far, &message, 0), sizeof(header));
	assert_int_equal(control_receive(p->near, &p->header, p->data), -EPROTO);
	assert_int_equal(open_count(), before);
}

/* A run folder whose path does not fit into sun_path. */
static void test_socket(void **state)
{
	struct pair *p = *state;
	char base[] = "/tmp/isle-control-XXXXXX", path[512], deep[200];
	struct err err = {0};
	struct stat st;
	int old;

	assert_non_null(mkdtemp(base));
	memset(deep, 'd', sizeof(deep) - 1);
	deep[sizeof(deep) - 1] = '\0';
	snprintf(path, sizeof(path), "%s/%s", base, deep);
	assert_int_equal(mkdir(path, 0700), 0);
	int run_fd = open(path, O_RDONLY | O_DIRECTORY | O_CLOEXEC);

	assert_true(run_fd >= 0);
	assert_int_equal(control_connect(run_fd, &err), -ENOENT);
	old = control_listen(run_fd, NULL);
	assert_true(old >= 0);
	assert_int_equal(fcntl(old, F_GETFD) & FD_CLOEXEC, FD_CLOEXEC);
	assert_int_equal(fstatat(run_fd, "control", &st, 0), 0);
	assert_int_equal(st.st_mode & 0777, 0600);
	assert_true(S_ISSOCK(st.st_mode));
	int now = control_listen(run_fd, NULL);

	assert_true(now >= 0);
	int client = control_connect(run_fd, NULL);

	assert_true(client >= 0);
	/* A monitor that is stopped, or busy with its guest's end, must not hold the client up for ever. */
	assert_int_equal(control_receive(client, &p->header, p->data), -EAGAIN);
	assert_int_equal(fcntl(old, F_SETFL, O_NONBLOCK), 0);
	assert_int_equal(accept(old, NULL, NULL), -1); /* the new one has it */
	int served = accept(now, NULL, NULL);

	assert_true(served >= 0);
	assert_int_equal(control_send(client, CONTROL_RING, NULL, 0), 0);
	assert_int_equal(control_receive(served, &p->header, p->data), 0);
	close(served);
	close(client);
	close(now);
	close(old);
	err = (struct err){0};
	assert_int_equal(control_connect(run_fd, &err), -ECONNREFUSED);
	assert_int_equal(unlinkat(run_fd, "control", 0), 0);
	assert_int_equal(unlinkat(run_fd, ".control", 0), -1); /* nothing else was left */
	close(run_fd);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rmdir(base), 0);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_round_trip, setup, teardown),
		cmocka_unit_test_setup_teardown(test_malformed, setup, teardown),
		cmocka_unit_test_setup_teardown(test_ends, setup, teardown),
		cmocka_unit_test_setup_teardown(test_full, setup, teardown),
		cmocka_unit_test_setup_teardown(test_descriptors_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_socket, setup, teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
