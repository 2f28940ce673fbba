/* Deleting links without waiting for the kernel to free them. */
#include "config.h"

#include <errno.h>
#include <linux/rtnetlink.h>
#include <net/if.h>
#include <signal.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <time.h>
#include <unistd.h>

#include "../base/str.h"
#include "netlink_batch.h"

#define POLL_FIRST_NS 50000
#define POLL_LAST_NS  1000000

struct removal {
	const char *name;
	int index; /* of the link that had the name at first; 0: none */
	uint32_t seq;
	pid_t child; /* 0: none, the request has its answer */
	int result;  /* -EINPROGRESS until known */
};

/* Asks without the kernel's link lock, in the socket's own namespace. 0: there is no link of this name. */
static int index_now(const struct netlink *nl, const char *name)
{
	struct ifreq request = {0};

	if (str_copy(request.ifr_name, sizeof(request.ifr_name), name) < 0 || ioctl(nl->fd, SIOCGIFINDEX, &request) < 0)
		return 0;
	return request.ifr_ifindex;
}

/* By number: the name may be another link's by the time that the kernel hears of it. */
static void add_removal(struct batch *b, const struct removal *removal)
{
	struct ifinfomsg header = {.ifi_family = AF_UNSPEC, .ifi_index = removal->index};

	batch_add(b, RTM_DELLINK, NLM_F_ACK, &header, sizeof(header));
	batch_say(b, ENODEV, "delete link %s", removal->name);
}

static int remove_waiting(struct netlink *nl, const struct removal *removal, struct err *err)
{
	struct batch b;

	batch_begin(&b, nl);
	add_removal(&b, removal);
	return batch_send(&b, NULL, NULL, err);
}

void netlink_reap(struct netlink *nl)
{
	size_t left = 0;

	for (size_t i = 0; i < nl->waiters; i++) {
		if (waitpid(nl->waiter[i], NULL, WNOHANG) == 0)
			nl->waiter[left++] = nl->waiter[i];
	}
	nl->waiters = left;
}

/* The kernel works on a request in the sender's own send(2): whoever sends it, waits. The child keeps no lock, pipe or terminal of
 * the caller's open meanwhile, and makes system calls only, as a child of a process with threads must. */
static void child_sends(int fd, const struct nlmsghdr *request)
{
	sigset_t all;

	sigfillset(&all);
	(void)sigprocmask(SIG_BLOCK, &all, NULL); /* the caller's Ctrl-C is not for it */
	if (dup2(fd, STDIN_FILENO) < 0 || close_range(STDIN_FILENO + 1, ~0u, 0) < 0)
		_exit(1);
	_exit(send(STDIN_FILENO, request, request->nlmsg_len, 0) < 0);
}

static void start_removal(struct netlink *nl, struct removal *removal)
{
	struct nlmsghdr *request;
	struct batch b;

	removal->index = index_now(nl, removal->name);
	if (!removal->index) {
		removal->result = 0;
		return;
	}
	netlink_reap(nl);
	batch_begin(&b, nl);
	add_removal(&b, removal);
	if (!b.failed && nl->waiters < NETLINK_WAITERS) {
		request = nlmsg_hdr(b.entry[0].msg);
		request->nlmsg_seq = removal->seq = ++nl->seq;
		removal->child = fork();
		if (removal->child == 0)
			child_sends(nl->fd, request);
		if (removal->child > 0)
			nl->waiter[nl->waiters++] = removal->child;
		else
			removal->child = 0;
	}
	batch_drop(&b);
}

/* Takes the answers that are there. A refusal comes at once; success comes when the kernel has freed the link. */
static void take_answers(struct netlink *nl, struct removal *removals, size_t count)
{
	ssize_t got;

	while ((got = recv(nl->fd, nl->buffer, sizeof(nl->buffer), MSG_DONTWAIT)) > 0) {
		struct nlmsghdr *header = (struct nlmsghdr *)nl->buffer;
		int left = (int)got;

		for (; nlmsg_ok(header, left); header = nlmsg_next(header, &left)) {
			int error;

			if (header->nlmsg_type != NLMSG_ERROR)
				continue;
			error = ((struct nlmsgerr *)nlmsg_data(header))->error;
			for (size_t i = 0; i < count; i++) {
				if (removals[i].child && removals[i].seq == header->nlmsg_seq)
					removals[i].result = error == -ENODEV ? 0 : error;
			}
		}
	}
}

/* True when the child ended before it sent: somebody killed it. */
static bool child_failed(const struct removal *removal)
{
	siginfo_t info = {0};

	return waitid(P_PID, (id_t)removal->child, &info, WEXITED | WNOHANG | WNOWAIT) < 0 || info.si_pid != 0;
}

/* Looks once at all; true when each is decided. */
static bool look(struct netlink *nl, struct removal *removals, size_t count)
{
	bool done = true;

	for (size_t i = 0; i < count; i++) {
		struct removal *removal = &removals[i];

		if (removal->result != -EINPROGRESS || !removal->child)
			continue;
		if (index_now(nl, removal->name) != removal->index) {
			removal->result = 0;
			continue;
		}
		if (child_failed(removal)) {
			take_answers(nl, removals, count); /* it was there before the child ended */
			removal->child = 0;
		}
		done = done && !removal->child;
	}
	take_answers(nl, removals, count);
	return done;
}

static void wait_gone(struct netlink *nl, struct removal *removals, size_t count)
{
	struct timespec pause = {.tv_nsec = POLL_FIRST_NS};

	while (!look(nl, removals, count)) {
		(void)nanosleep(&pause, NULL); /* woken early, it only looks early */
		pause.tv_nsec = 2 * pause.tv_nsec < POLL_LAST_NS ? 2 * pause.tv_nsec : POLL_LAST_NS;
	}
}

static int delete_some(struct netlink *nl, const char *const *names, size_t count, struct err *err)
{
	struct removal removals[NETLINK_WAITERS];
	int first = 0;

	for (size_t i = 0; i < count; i++) {
		removals[i] = (struct removal){.name = names[i], .result = -EINPROGRESS};
		start_removal(nl, &removals[i]);
	}
	wait_gone(nl, removals, count);
	for (size_t i = 0; i < count; i++) {
		/* Whatever went wrong with a child: asked again from here the kernel says what it has against it. */
		if (removals[i].result < 0)
			removals[i].result = remove_waiting(nl, &removals[i], first ? NULL : err);
		first = first ? first : removals[i].result;
	}
	return first;
}

int netlink_delete_all(struct netlink *nl, const char *const *names, size_t count, struct err *err)
{
	int first = 0;

	for (size_t i = 0; i < count; i += NETLINK_WAITERS) {
		size_t some = count - i < NETLINK_WAITERS ? count - i : NETLINK_WAITERS;
		int result = delete_some(nl, names + i, some, first ? NULL : err);

		first = first ? first : result;
	}
	return first;
}

int netlink_delete(struct netlink *nl, const char *name, struct err *err)
{
	return netlink_delete_all(nl, &name, 1, err);
}
