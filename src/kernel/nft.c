/* nftables: changes through libnftables, questions by single nfnetlink messages. */
#include "config.h"

#include <dlfcn.h>
#include <endian.h>
#include <errno.h>
#include <netinet/in.h> /* before linux/netfilter.h, which gives way to it */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <fcntl.h>
#include <nftables/libnftables.h>
#include <signal.h>
#include <string.h>
#include <sys/socket.h>
#include <sys/wait.h>
#include <unistd.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "nft.h"

#define TABLE_OWNED 0x2 /* NFT_TABLE_F_OWNER, of which older headers do not know */

struct nft_library {
	void *handle;
	__typeof__(nft_ctx_new) *ctx_new;
	__typeof__(nft_ctx_free) *ctx_free;
	__typeof__(nft_ctx_buffer_error) *buffer_error;
	__typeof__(nft_ctx_buffer_output) *buffer_output;
	__typeof__(nft_ctx_get_error_buffer) *error_text;
	__typeof__(nft_run_cmd_from_buffer) *run;
};

static int load(struct nft_library *lib, struct err *err)
{
	lib->handle = dlopen("libnftables.so.1", RTLD_NOW | RTLD_LOCAL);
	if (!lib->handle) {
		err_num(err, ELIBACC, "load libnftables.so.1");
		err_hint(err, "install the library: apt-get install libnftables1");
		return -ELIBACC;
	}
	lib->ctx_new = (__typeof__(lib->ctx_new))dlsym(lib->handle, "nft_ctx_new");
	lib->ctx_free = (__typeof__(lib->ctx_free))dlsym(lib->handle, "nft_ctx_free");
	lib->buffer_error = (__typeof__(lib->buffer_error))dlsym(lib->handle, "nft_ctx_buffer_error");
	lib->buffer_output = (__typeof__(lib->buffer_output))dlsym(lib->handle, "nft_ctx_buffer_output");
	lib->error_text = (__typeof__(lib->error_text))dlsym(lib->handle, "nft_ctx_get_error_buffer");
	lib->run = (__typeof__(lib->run))dlsym(lib->handle, "nft_run_cmd_from_buffer");
	if (!lib->ctx_new || !lib->ctx_free || !lib->buffer_error || !lib->buffer_output || !lib->error_text || !lib->run) {
		err_num(err, ELIBACC, "find libnftables' functions in libnftables.so.1");
		err_hint(err, "install a current library: apt-get install libnftables1");
		return -ELIBACC;
	}
	return 0;
}

/* The library tells its failures as text only: its first line, and what the kernel must have said by it. */
static int failure(const char *text, struct err *err)
{
	static const struct {
		const char *text;
		int num;
	} known[] = {
		{"File exists", EEXIST},
		{"Operation not permitted", EPERM},
		{"Permission denied", EACCES},
		{"Operation not supported", EOPNOTSUPP},
		{"No such file or directory", ENOENT},
	};
	const char *line = text;
	int num = EIO, length;

	if (str_starts(line, "internal:0:0-0: ")) /* no place in a file: noise */
		line += strlen("internal:0:0-0: ");
	if (str_starts(line, "Error: "))
		line += strlen("Error: ");
	length = (int)strcspn(line, "\n");
	for (size_t i = 0; i < sizeof(known) / sizeof(known[0]); i++) {
		if (strstr(text, known[i].text)) {
			num = known[i].num;
			break;
		}
	}
	err_num(err, num, "change nftables rules (%.*s)", length, line);
	if (num == EPERM || num == EACCES)
		err_hint(err, "run as root: nftables needs CAP_NET_ADMIN in this network namespace");
	else if (num == EOPNOTSUPP || num == ENOENT)
		err_hint(err, "load the kernel's nftables (nf_tables, nft_nat, nft_masq) or set nat = no in the network's file");
	return -num;
}

int nft_run(const char *commands, struct err *err)
{
	struct nft_library lib;
	struct nft_ctx *ctx;
	int result = load(&lib, err);

	if (result < 0)
		return result;
	ctx = lib.ctx_new(NFT_CTX_DEFAULT);
	if (!ctx)
		return err_num(err, ENOMEM, "start libnftables");
	if (lib.buffer_error(ctx) || lib.buffer_output(ctx))
		result = err_num(err, ENOMEM, "start libnftables");
	else if (lib.run(ctx, commands))
		result = failure(lib.error_text(ctx), err);
	lib.ctx_free(ctx);
	/* The library stays: a second use in this process finds it loaded. */
	return result;
}

static int family_number(const char *family)
{
	static const struct {
		const char *name;
		int number;
	} families[] = {
		{"inet", NFPROTO_INET},     {"ip", NFPROTO_IPV4},       {"ip6", NFPROTO_IPV6},
		{"bridge", NFPROTO_BRIDGE}, {"netdev", NFPROTO_NETDEV},
	};

	for (size_t i = 0; i < sizeof(families) / sizeof(families[0]); i++) {
		if (strcmp(families[i].name, family) == 0)
			return families[i].number;
	}
	return -EINVAL;
}

static void free_message(struct nl_msg **msg)
{
	nlmsg_free(*msg);
}
#define auto_message __attribute__((cleanup(free_message)))

static void free_socket(struct nl_sock **sock)
{
	nl_socket_free(*sock);
}
#define auto_socket __attribute__((cleanup(free_socket)))

static struct nl_msg *request(int message, int flags, const char *family)
{
	int number = family_number(family);
	struct nfgenmsg header = {.nfgen_family = (uint8_t)number, .version = NFNETLINK_V0};
	struct nl_msg *msg;

	if (number < 0)
		return NULL;
	msg = nlmsg_alloc_simple((NFNL_SUBSYS_NFTABLES << 8) | message, NLM_F_REQUEST | flags);
	if (msg && nlmsg_append(msg, &header, sizeof(header), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

struct answer {
	_Alignas(struct nlmsghdr) char bytes[4096];
	int len;
};

/* 1 when the kernel answers with the thing, 0 when it says that there is none. */
static int ask(struct nl_msg *msg, struct answer *ret)
{
	auto_socket struct nl_sock *sock = nl_socket_alloc();
	struct nlmsghdr *header = (struct nlmsghdr *)ret->bytes;
	ssize_t got;
	int fd, result;

	if (!sock)
		return -ENOMEM;
	if (nl_connect(sock, NETLINK_NETFILTER) < 0)
		return -EPROTONOSUPPORT;
	fd = nl_socket_get_fd(sock);
	if (send(fd, nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len, 0) < 0)
		return -errno;
	do {
		got = recv(fd, ret->bytes, sizeof(ret->bytes), 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if (got < (ssize_t)NLMSG_LENGTH(0))
		return -EBADMSG;
	ret->len = (int)got;
	if (header->nlmsg_type != NLMSG_ERROR)
		return 1;
	if (got < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)))
		return -EBADMSG;
	result = ((struct nlmsgerr *)NLMSG_DATA(header))->error;
	return result == -ENOENT ? 0 : result;
}

int nft_has_table(const char *family, const char *name)
{
	auto_message struct nl_msg *msg = request(NFT_MSG_GETTABLE, 0, family);
	struct answer answer;

	if (!msg || nla_put_string(msg, NFTA_TABLE_NAME, name) < 0)
		return -EINVAL;
	return ask(msg, &answer);
}

static bool put_element(struct nl_msg *msg, const struct nft_element *element)
{
	struct nlattr *list, *item, *key;

	if (!msg || nla_put_string(msg, NFTA_SET_ELEM_LIST_TABLE, element->table) < 0 ||
	    nla_put_string(msg, NFTA_SET_ELEM_LIST_SET, element->set) < 0 ||
	    !(list = nla_nest_start(msg, NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED)) ||
	    !(item = nla_nest_start(msg, NFTA_LIST_ELEM | NLA_F_NESTED)) ||
	    !(key = nla_nest_start(msg, NFTA_SET_ELEM_KEY | NLA_F_NESTED)) ||
	    nla_put(msg, NFTA_DATA_VALUE, (int)element->key_len, element->key) < 0)
		return false;
	nla_nest_end(msg, key);
	nla_nest_end(msg, item);
	nla_nest_end(msg, list);
	return true;
}

int nft_has_element(const struct nft_element *element)
{
	auto_message struct nl_msg *msg = request(NFT_MSG_GETSETELEM, 0, element->family);
	struct answer answer;

	return put_element(msg, element) ? ask(msg, &answer) : -EINVAL;
}

/* The attribute in there; NULL for one that is missing, and when there is nothing to look in. */
static struct nlattr *inner(struct nlattr *in, int type)
{
	return in ? nla_find(nla_data(in), nla_len(in), type) : NULL;
}

static bool read_u64(struct nlattr *attr, uint64_t *ret)
{
	uint64_t number;

	if (!attr || nla_len(attr) != sizeof(number))
		return false;
	memcpy(&number, nla_data(attr), sizeof(number));
	*ret = be64toh(number);
	return true;
}

int nft_read_counter(const struct nft_element *element, uint64_t *ret_packets, uint64_t *ret_bytes)
{
	auto_message struct nl_msg *msg = request(NFT_MSG_GETSETELEM, 0, element->family);
	struct answer answer;
	struct nlmsghdr *header = (struct nlmsghdr *)answer.bytes;
	int result = put_element(msg, element) ? ask(msg, &answer) : -EINVAL;

	if (result != 1)
		return result < 0 ? result : -ENOENT;
	if (!nlmsg_ok(header, answer.len))
		return -EBADMSG;
	struct nlattr *list = nlmsg_find_attr(header, sizeof(struct nfgenmsg), NFTA_SET_ELEM_LIST_ELEMENTS);
	struct nlattr *item = inner(list, NFTA_LIST_ELEM);
	struct nlattr *counter = inner(inner(item, NFTA_SET_ELEM_EXPR), NFTA_EXPR_DATA);

	return read_u64(inner(counter, NFTA_COUNTER_PACKETS), ret_packets) &&
			       read_u64(inner(counter, NFTA_COUNTER_BYTES), ret_bytes)
		       ? 0
		       : -ENODATA;
}

/* The messages of one transaction: a frame of two, and between them one for each element. */
struct transaction {
	struct nl_msg *msg[NFT_ELEMENTS_MAX + 2];
	struct iovec part[NFT_ELEMENTS_MAX + 2];
	size_t count;
};

static void transaction_clear(struct transaction *t)
{
	for (size_t i = 0; i < t->count; i++)
		nlmsg_free(t->msg[i]);
}
#define auto_transaction __attribute__((cleanup(transaction_clear)))

static bool transaction_add(struct transaction *t, struct nl_msg *msg)
{
	struct nlmsghdr *header;

	if (!msg)
		return false;
	header = nlmsg_hdr(msg);
	header->nlmsg_seq = (uint32_t)t->count;
	t->part[t->count] = (struct iovec){.iov_base = header, .iov_len = NLMSG_ALIGN(header->nlmsg_len)};
	t->msg[t->count++] = msg;
	return true;
}

static bool transaction_frame(struct transaction *t, int type)
{
	const struct nfgenmsg header = {.nfgen_family = AF_UNSPEC, .version = NFNETLINK_V0, .res_id = htons(NFNL_SUBSYS_NFTABLES)};
	struct nl_msg *msg = nlmsg_alloc_simple(type, NLM_F_REQUEST);

	if (msg && nlmsg_append(msg, (void *)&header, sizeof(header), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		msg = NULL;
	}
	return transaction_add(t, msg);
}

/* Works through the answers, which all are there when send(2) returns: the kernel makes a transaction in the sender's own call. */
static int first_failure(int fd)
{
	_Alignas(struct nlmsghdr) char answer[8192];
	size_t seen = 0;

	for (;;) {
		ssize_t got = recv(fd, answer, sizeof(answer), MSG_DONTWAIT);
		struct nlmsghdr *header = (struct nlmsghdr *)answer;
		int left = (int)got;

		if (got < 0 && errno == EINTR)
			continue;
		if (got < 0 && errno == EAGAIN)
			return seen ? 0 : -EBADMSG;
		if (got <= 0)
			return got < 0 ? -errno : -EPIPE;
		for (; nlmsg_ok(header, left); header = nlmsg_next(header, &left), seen++) {
			if (header->nlmsg_type == NLMSG_ERROR && ((struct nlmsgerr *)nlmsg_data(header))->error)
				return ((struct nlmsgerr *)nlmsg_data(header))->error;
		}
	}
}

static int make_transaction(int fd, struct transaction *t)
{
	struct msghdr message = {.msg_iov = t->part, .msg_iovlen = t->count};

	if (fd < 0)
		return -errno; /* of socket(2): EPROTONOSUPPORT where the kernel has no nfnetlink */
	return sendmsg(fd, &message, 0) < 0 ? -errno : first_failure(fd);
}

static int send_transaction(struct transaction *t)
{
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);

	return make_transaction(fd, t);
}

/* The kernel makes a transaction at once, but when the socket is closed it waits for its readers before it frees what was taken out
 * (nft_rcv_nl_event, 10 to 30 ms). A grandchild waits in the caller's place, holding nothing but that socket; it makes system calls
 * only, as a child of a process with threads must. */
static int send_apart(struct transaction *t)
{
	int answer[2], fd, result = -EPIPE;
	ssize_t got;
	pid_t child;

	if (pipe2(answer, O_CLOEXEC) < 0)
		return send_transaction(t);
	child = fork();
	if (child == 0) {
		sigset_t all;

		if (fork() != 0)
			_exit(0);
		sigfillset(&all);
		(void)sigprocmask(SIG_BLOCK, &all, NULL); /* the caller's Ctrl-C is not for it */
		if (dup2(answer[1], STDIN_FILENO) < 0 || close_range(STDIN_FILENO + 1, ~0u, 0) < 0)
			_exit(1);
		fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
		if (fd < 0)
			_exit(1); /* the caller tries it itself */
		result = make_transaction(fd, t);
		_exit(write(STDIN_FILENO, &result, sizeof(result)) != sizeof(result));
	}
	close(answer[1]);
	if (child > 0)
		(void)waitpid(child, NULL, 0); /* whatever became of it, the pipe tells */
	do {
		got = read(answer[0], &result, sizeof(result));
	} while (got < 0 && errno == EINTR);
	close(answer[0]);
	/* Somebody killed it, or there was none: again from here, where what is gone already is told. */
	return got == sizeof(result) ? result : send_transaction(t);
}

int nft_change_elements(bool add, const struct nft_element *elements, size_t count)
{
	auto_transaction struct transaction t = {0};
	const int type = add ? NFT_MSG_NEWSETELEM : NFT_MSG_DELSETELEM;
	const int flags = NLM_F_ACK | (add ? NLM_F_CREATE : 0);
	bool good;

	if (count == 0)
		return 0;
	if (count > NFT_ELEMENTS_MAX)
		return -E2BIG;
	good = transaction_frame(&t, NFNL_MSG_BATCH_BEGIN);
	for (size_t i = 0; good && i < count; i++) {
		struct nl_msg *msg = request(type, flags, elements[i].family);

		good = put_element(msg, &elements[i]) && transaction_add(&t, msg);
		if (!good)
			nlmsg_free(msg);
	}
	if (!good || !transaction_frame(&t, NFNL_MSG_BATCH_END))
		return -ENOMEM;
	return add ? send_transaction(&t) : send_apart(&t);
}

/* One that goes with the program that made it, and that nobody else may delete. */
static bool is_owned(struct nlmsghdr *header)
{
	struct nlattr *flags = nlmsg_find_attr(header, sizeof(struct nfgenmsg), NFTA_TABLE_FLAGS);

	return flags && nla_len(flags) == sizeof(uint32_t) && ntohl(nla_get_u32(flags)) & TABLE_OWNED;
}

/* The messages that delete what one part of the kernel's list names. */
static int add_deletions(struct transaction *t, const char *family, struct nlmsghdr *header, int left,
			 bool (*is_it)(const char *name))
{
	for (; nlmsg_ok(header, left); header = nlmsg_next(header, &left)) {
		if (header->nlmsg_type == NLMSG_DONE)
			return 1;
		if (header->nlmsg_type == NLMSG_ERROR)
			return ((struct nlmsgerr *)nlmsg_data(header))->error;
		struct nlattr *name = nlmsg_find_attr(header, sizeof(struct nfgenmsg), NFTA_TABLE_NAME);

		if (!name || !is_it(nla_get_string(name)) || is_owned(header) || t->count > NFT_ELEMENTS_MAX)
			continue;
		struct nl_msg *msg = request(NFT_MSG_DELTABLE, NLM_F_ACK, family);

		if (!msg || nla_put_string(msg, NFTA_TABLE_NAME, nla_get_string(name)) < 0 || !transaction_add(t, msg)) {
			nlmsg_free(msg);
			return -ENOMEM;
		}
	}
	return 0;
}

int nft_delete_tables(const char *family, bool (*is_it)(const char *name))
{
	auto_transaction struct transaction t = {0};
	auto_message struct nl_msg *msg = request(NFT_MSG_GETTABLE, NLM_F_DUMP, family);
	auto_close int fd = socket(AF_NETLINK, SOCK_RAW | SOCK_CLOEXEC, NETLINK_NETFILTER);
	_Alignas(struct nlmsghdr) char answer[32768];
	int r = 0;

	if (!msg || fd < 0)
		return msg ? -EPROTONOSUPPORT : -EINVAL;
	if (send(fd, nlmsg_hdr(msg), nlmsg_hdr(msg)->nlmsg_len, 0) < 0)
		return -errno;
	if (!transaction_frame(&t, NFNL_MSG_BATCH_BEGIN))
		return -ENOMEM;
	while (r == 0) {
		ssize_t got = recv(fd, answer, sizeof(answer), 0);

		if (got < 0 && errno == EINTR)
			continue;
		r = got <= 0 ? (got < 0 ? -errno : -EPIPE) : add_deletions(&t, family, (struct nlmsghdr *)answer, (int)got, is_it);
	}
	if (r < 0 || t.count == 1)
		return r < 0 ? r : 0;
	return transaction_frame(&t, NFNL_MSG_BATCH_END) ? send_transaction(&t) : -ENOMEM;
}
