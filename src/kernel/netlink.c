/* The rtnetlink socket: opening it in a namespace, sending requests and collecting their answers. */
#include "config.h"

#include <errno.h>
#include <fcntl.h>
#include <sched.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/socket.h>

#include "../base/clean.h"
#include "netlink_batch.h"

static int connect_socket(struct netlink *nl, struct err *err)
{
	int result, on = 1;

	nl->sock = nl_socket_alloc();
	if (!nl->sock)
		return err_num(err, ENOMEM, "open a netlink socket");
	result = nl_connect(nl->sock, NETLINK_ROUTE);
	if (result < 0)
		return err_num(err, result == -NLE_NOMEM ? ENOMEM : EPROTONOSUPPORT, "open a netlink socket (%s)",
			       nl_geterror(result));
	nl->fd = nl_socket_get_fd(nl->sock);

	(void)setsockopt(nl->fd, SOL_NETLINK, NETLINK_EXT_ACK, &on, sizeof(on)); /* only makes errors less clear */
	(void)setsockopt(nl->fd, SOL_NETLINK, NETLINK_CAP_ACK, &on, sizeof(on));
	if (setsockopt(nl->fd, SOL_NETLINK, NETLINK_GET_STRICT_CHK, &on, sizeof(on)) < 0)
		return err_sys(err, "ask netlink for filtered dumps");
	return 0;
}

static int connect_inside(struct netlink *nl, int netns_fd, struct err *err)
{
	auto_close int home = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	int result;

	if (home < 0)
		return err_sys(err, "open /proc/thread-self/ns/net");
	if (setns(netns_fd, CLONE_NEWNET) < 0)
		return err_sys(err, "enter a guest's network namespace");
	result = connect_socket(nl, err);
	/* A process that cannot come home would configure the guest's network in place of the host's: nothing may follow. */
	if (setns(home, CLONE_NEWNET) < 0)
		abort();
	return result;
}

int netlink_open(int netns_fd, struct netlink **ret, struct err *err)
{
	struct netlink *nl = malloc(sizeof(*nl));
	int result;

	if (!nl)
		return err_num(err, ENOMEM, "open a netlink socket");
	nl->sock = NULL;
	nl->fd = -1;
	nl->seq = 0;
	nl->waiters = 0;
	result = netns_fd < 0 ? connect_socket(nl, err) : connect_inside(nl, netns_fd, err);
	if (result < 0) {
		netlink_free(nl);
		return result;
	}
	*ret = nl;
	return 0;
}

void netlink_free(struct netlink *nl)
{
	if (!nl)
		return;
	netlink_reap(nl);
	if (nl->sock)
		nl_socket_free(nl->sock);
	free(nl);
}

void batch_begin(struct batch *b, struct netlink *nl)
{
	b->nl = nl;
	b->failed = false;
	b->count = 0;
}

static struct nl_msg *last_message(struct batch *b)
{
	return b->failed ? NULL : b->entry[b->count - 1].msg;
}

void batch_add(struct batch *b, int type, int flags, const void *header, size_t len)
{
	struct batch_entry *entry = &b->entry[b->count];

	if (b->failed)
		return;
	if (b->count == BATCH_MAX) {
		b->failed = true;
		return;
	}
	*entry = (struct batch_entry){.msg = nlmsg_alloc_simple(type, NLM_F_REQUEST | flags)};
	if (!entry->msg) {
		b->failed = true;
		return;
	}
	b->count++;
	if (nlmsg_append(entry->msg, (void *)header, len, NLMSG_ALIGNTO) < 0)
		b->failed = true;
}

void batch_say(struct batch *b, int fine, const char *fmt, ...)
{
	va_list args;

	if (b->failed)
		return;
	b->entry[b->count - 1].fine = fine;
	va_start(args, fmt);
	/* A text that is too long is cut: it only describes. */
	(void)vsnprintf(b->entry[b->count - 1].what, sizeof(b->entry[0].what), fmt, args);
	va_end(args);
}

void batch_put(struct batch *b, int type, const void *data, size_t len)
{
	if (!b->failed && nla_put(last_message(b), type, len, data) < 0)
		b->failed = true;
}

void batch_put_u32(struct batch *b, int type, uint32_t value)
{
	batch_put(b, type, &value, sizeof(value));
}

void batch_put_string(struct batch *b, int type, const char *s)
{
	batch_put(b, type, s, strlen(s) + 1);
}

struct nlattr *batch_nest(struct batch *b, int type)
{
	struct nlattr *nest = b->failed ? NULL : nla_nest_start(last_message(b), type);

	if (!nest)
		b->failed = true;
	return nest;
}

void batch_nest_end(struct batch *b, struct nlattr *nest)
{
	if (!b->failed)
		nla_nest_end(last_message(b), nest);
}

/* The kernel's own sentence about a failure, NULL when it has none. */
static const char *kernel_words(struct nlmsghdr *header)
{
	struct nlmsgerr *error = nlmsg_data(header);
	size_t skip = sizeof(*error);
	struct nlattr *attr;

	if (!(header->nlmsg_flags & NLM_F_ACK_TLVS))
		return NULL;
	if (!(header->nlmsg_flags & NLM_F_CAPPED))
		skip += NLMSG_ALIGN(error->msg.nlmsg_len) - sizeof(error->msg);
	if ((size_t)nlmsg_datalen(header) < skip)
		return NULL;
	attr = nla_find((struct nlattr *)((char *)error + skip), nlmsg_datalen(header) - skip, NLMSGERR_ATTR_MSG);
	if (!attr || nla_len(attr) < 1 || ((char *)nla_data(attr))[nla_len(attr) - 1])
		return NULL;
	return nla_data(attr);
}

static int describe(struct err *err, int result, const struct batch_entry *entry, const char *words)
{
	return words ? err_num(err, result, "%s (%s)", entry->what, words) : err_num(err, result, "%s", entry->what);
}

static int send_all(struct batch *b, struct err *err)
{
	struct iovec part[BATCH_MAX];
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};
	struct msghdr message = {.msg_name = &kernel, .msg_namelen = sizeof(kernel), .msg_iov = part, .msg_iovlen = b->count};

	for (size_t i = 0; i < b->count; i++) {
		struct nlmsghdr *header = nlmsg_hdr(b->entry[i].msg);

		header->nlmsg_seq = ++b->nl->seq;
		part[i] = (struct iovec){.iov_base = header, .iov_len = NLMSG_ALIGN(header->nlmsg_len)};
	}
	if (sendmsg(b->nl->fd, &message, 0) < 0)
		return err_sys(err, "%s", b->entry[0].what);
	return 0;
}

/* Takes one message of an answer; returns 0, or the failure that it tells. */
static int take(struct batch *b, struct nlmsghdr *header, batch_fn *fn, void *arg, struct err *err)
{
	uint32_t which = header->nlmsg_seq - (b->nl->seq - (uint32_t)b->count + 1);
	struct batch_entry *entry;
	int result = 0;

	if (which >= b->count)
		return 0; /* the rest of an answer that an earlier failure left behind */
	entry = &b->entry[which];
	if (header->nlmsg_flags & NLM_F_DUMP_INTR)
		result = -EAGAIN;
	if (header->nlmsg_type == NLMSG_ERROR) {
		entry->done = true;
		result = ((struct nlmsgerr *)nlmsg_data(header))->error;
		if (result && result != -entry->fine)
			return describe(err, result, entry, kernel_words(header));
		return 0;
	}
	if (header->nlmsg_type == NLMSG_DONE) {
		entry->done = true;
		if (nlmsg_datalen(header) >= (int)sizeof(int) && *(int *)nlmsg_data(header) < 0)
			result = *(int *)nlmsg_data(header);
		return result ? describe(err, result, entry, NULL) : 0;
	}
	if (!(nlmsg_hdr(entry->msg)->nlmsg_flags & (NLM_F_ACK | NLM_F_DUMP)))
		entry->done = true;
	if (fn)
		fn(arg, header);
	return result ? describe(err, result, entry, NULL) : 0;
}

static bool all_done(const struct batch *b)
{
	for (size_t i = 0; i < b->count; i++) {
		if (!b->entry[i].done)
			return false;
	}
	return true;
}

static int collect(struct batch *b, batch_fn *fn, void *arg, struct err *err)
{
	int first = 0;

	while (!all_done(b)) {
		ssize_t got = recv(b->nl->fd, b->nl->buffer, sizeof(b->nl->buffer), MSG_TRUNC);
		struct nlmsghdr *header = (struct nlmsghdr *)b->nl->buffer;
		int left = (int)got;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0)
			return err_sys(err, "%s", b->entry[0].what);
		if (got == 0 || (size_t)got > sizeof(b->nl->buffer))
			return err_num(err, got ? EMSGSIZE : EPIPE, "%s", b->entry[0].what);
		for (; nlmsg_ok(header, left); header = nlmsg_next(header, &left)) {
			/* Only the first failure is told: those that follow are its consequences. */
			int result = take(b, header, fn, arg, first ? NULL : err);

			first = first ? first : result;
		}
	}
	return first;
}

void batch_drop(struct batch *b)
{
	for (size_t i = 0; i < b->count; i++)
		nlmsg_free(b->entry[i].msg);
	b->count = 0;
}

int batch_send(struct batch *b, batch_fn *fn, void *arg, struct err *err)
{
	int result = b->failed ? err_num(err, ENOMEM, "build a netlink request") : send_all(b, err);

	if (result == 0)
		result = collect(b, fn, arg, err);
	batch_drop(b);
	return result;
}
