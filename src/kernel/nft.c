/* nftables: changes through libnftables, questions by single nfnetlink messages. */
#include "config.h"

#include <dlfcn.h>
#include <errno.h>
#include <netinet/in.h> /* before linux/netfilter.h, which gives way to it */
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <netlink/attr.h>
#include <netlink/msg.h>
#include <netlink/netlink.h>
#include <nftables/libnftables.h>
#include <string.h>
#include <sys/socket.h>

#include "../base/clean.h"
#include "../base/str.h"
#include "nft.h"

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
		err_num(err, EOPNOTSUPP, "load libnftables.so.1");
		err_hint(err, "install the library: apt-get install libnftables1");
		return -EOPNOTSUPP;
	}
	lib->ctx_new = (__typeof__(lib->ctx_new))dlsym(lib->handle, "nft_ctx_new");
	lib->ctx_free = (__typeof__(lib->ctx_free))dlsym(lib->handle, "nft_ctx_free");
	lib->buffer_error = (__typeof__(lib->buffer_error))dlsym(lib->handle, "nft_ctx_buffer_error");
	lib->buffer_output = (__typeof__(lib->buffer_output))dlsym(lib->handle, "nft_ctx_buffer_output");
	lib->error_text = (__typeof__(lib->error_text))dlsym(lib->handle, "nft_ctx_get_error_buffer");
	lib->run = (__typeof__(lib->run))dlsym(lib->handle, "nft_run_cmd_from_buffer");
	if (!lib->ctx_new || !lib->ctx_free || !lib->buffer_error || !lib->buffer_output || !lib->error_text || !lib->run) {
		err_num(err, EOPNOTSUPP, "find libnftables' functions in libnftables.so.1");
		err_hint(err, "install a current library: apt-get install libnftables1");
		return -EOPNOTSUPP;
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

static struct nl_msg *question(int message, const char *family)
{
	int number = family_number(family);
	struct nfgenmsg header = {.nfgen_family = (uint8_t)number, .version = NFNETLINK_V0};
	struct nl_msg *msg;

	if (number < 0)
		return NULL;
	msg = nlmsg_alloc_simple((NFNL_SUBSYS_NFTABLES << 8) | message, NLM_F_REQUEST);
	if (msg && nlmsg_append(msg, &header, sizeof(header), NLMSG_ALIGNTO) < 0) {
		nlmsg_free(msg);
		return NULL;
	}
	return msg;
}

/* 1 when the kernel answers with the thing, 0 when it says that there is none. */
static int ask(struct nl_msg *msg)
{
	auto_socket struct nl_sock *sock = nl_socket_alloc();
	_Alignas(struct nlmsghdr) char answer[4096];
	struct nlmsghdr *header = (struct nlmsghdr *)answer;
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
		got = recv(fd, answer, sizeof(answer), 0);
	} while (got < 0 && errno == EINTR);
	if (got < 0)
		return -errno;
	if (got < (ssize_t)NLMSG_LENGTH(0))
		return -EBADMSG;
	if (header->nlmsg_type != NLMSG_ERROR)
		return 1;
	if (got < (ssize_t)NLMSG_LENGTH(sizeof(struct nlmsgerr)))
		return -EBADMSG;
	result = ((struct nlmsgerr *)NLMSG_DATA(header))->error;
	return result == -ENOENT ? 0 : result;
}

int nft_has_table(const char *family, const char *name)
{
	auto_message struct nl_msg *msg = question(NFT_MSG_GETTABLE, family);

	if (!msg || nla_put_string(msg, NFTA_TABLE_NAME, name) < 0)
		return -EINVAL;
	return ask(msg);
}

int nft_has_element(const struct nft_element *element)
{
	auto_message struct nl_msg *msg = question(NFT_MSG_GETSETELEM, element->family);
	struct nlattr *list, *item, *key;

	if (!msg || nla_put_string(msg, NFTA_SET_ELEM_LIST_TABLE, element->table) < 0 ||
	    nla_put_string(msg, NFTA_SET_ELEM_LIST_SET, element->set) < 0 ||
	    !(list = nla_nest_start(msg, NFTA_SET_ELEM_LIST_ELEMENTS | NLA_F_NESTED)) ||
	    !(item = nla_nest_start(msg, NFTA_LIST_ELEM | NLA_F_NESTED)) ||
	    !(key = nla_nest_start(msg, NFTA_SET_ELEM_KEY | NLA_F_NESTED)) ||
	    nla_put(msg, NFTA_DATA_VALUE, (int)element->key_len, element->key) < 0)
		return -EINVAL;
	nla_nest_end(msg, key);
	nla_nest_end(msg, item);
	nla_nest_end(msg, list);
	return ask(msg);
}
