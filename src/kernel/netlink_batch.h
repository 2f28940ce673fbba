/* Requests to rtnetlink, several in one send; for the netlink*.c files only. */
#pragma once

#include <linux/netlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>
#include <sys/types.h>

#include "../base/err.h"
#include "netlink.h"

#define BATCH_MAX       16
#define NETLINK_WAITERS 16
#define NETLINK_BUFFER  131072 /* the kernel fills packets of a dump up to 32 KiB; one link may have 64 KiB of other names */

struct netlink {
	struct nl_sock *sock;
	int fd;
	uint32_t seq;
	pid_t waiter[NETLINK_WAITERS]; /* children of netlink_delete, not reaped yet */
	size_t waiters;
	_Alignas(struct nlmsghdr) char buffer[NETLINK_BUFFER];
};

struct batch_entry {
	struct nl_msg *msg;
	bool done;
	int fine; /* an errno that is success here, 0: none */
	char what[160];
};

/* Messages are appended with batch_add and filled with batch_put*; a failed allocation is remembered until batch_send. */
struct batch {
	struct netlink *nl;
	bool failed;
	size_t count;
	struct batch_entry entry[BATCH_MAX];
};

void batch_begin(struct batch *b, struct netlink *nl);

/* A request of a type with its fixed header. flags: NLM_F_ACK or NLM_F_DUMP says how the kernel ends its answer; with neither,
 * the first message of the answer is the whole. */
void batch_add(struct batch *b, int type, int flags, const void *header, size_t len);

/* What the last request does, for errors; and an errno that is fine there. */
void batch_say(struct batch *b, int fine, const char *fmt, ...) __attribute__((format(printf, 3, 4)));

void batch_put(struct batch *b, int type, const void *data, size_t len);
void batch_put_u32(struct batch *b, int type, uint32_t value);
void batch_put_string(struct batch *b, int type, const char *s);
struct nlattr *batch_nest(struct batch *b, int type);
void batch_nest_end(struct batch *b, struct nlattr *nest);

/* Lets go of requests that are not to be sent. */
void batch_drop(struct batch *b);

/* Sends all, collects all answers, gives each message that is not an acknowledgement to fn (which may be NULL), frees the requests.
 * Returns the first failure, with the kernel's own words in err when it gave some. */
typedef void batch_fn(void *arg, struct nlmsghdr *header);
int batch_send(struct batch *b, batch_fn *fn, void *arg, struct err *err);

/* Reaps those children of netlink_delete that have ended. */
void netlink_reap(struct netlink *nl);
