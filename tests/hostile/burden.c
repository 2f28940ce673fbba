/* What makes a guest hard to checkpoint, for tests/hostile: burden WHAT [NUMBER...]. It prints "ready" and stays until it is killed. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <linux/netfilter.h>
#include <linux/netfilter/nf_tables.h>
#include <linux/netfilter/nfnetlink.h>
#include <linux/netlink.h>
#include <sched.h>
#include <signal.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/resource.h>
#include <sys/socket.h>
#include <unistd.h>

#define STACK 16384
#define OWNED 2 /* NFT_TABLE_F_OWNER */

static int stay(void *unused)
{
	(void)unused;
	for (;;)
		pause();
	return 0;
}

/* So many processes that share so many sockets. */
static int descriptors(int processes, int count)
{
	struct rlimit limit;
	int fd = socket(AF_UNIX, SOCK_STREAM, 0), made = 0;

	getrlimit(RLIMIT_NOFILE, &limit);
	limit.rlim_cur = limit.rlim_max;
	setrlimit(RLIMIT_NOFILE, &limit);
	while (made < count && dup(fd) >= 0)
		made++;
	for (int i = 0; i < processes; i++) {
		char *stack = mmap(NULL, STACK, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

		if (stack == MAP_FAILED || clone(stay, stack + STACK, CLONE_FILES | CLONE_VM | SIGCHLD, NULL) < 0)
			return 1;
	}
	return made < count;
}

/* So many processes with the same pages, which are in memory once. */
static int memory(int mib, int processes)
{
	size_t size = (size_t)mib << 20;
	char *pages = mmap(NULL, size, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);

	if (pages == MAP_FAILED)
		return 1;
	for (size_t at = 0; at < size; at += sizeof(long))
		*(long *)(pages + at) = random() * (long)(at + 1);
	for (int i = 0; i < processes; i++) {
		pid_t pid = fork();

		if (pid == 0)
			stay(NULL);
		if (pid < 0)
			return 1;
	}
	return 0;
}

static struct nlmsghdr *message(char **at, int type, int flags, int family, int subsystem)
{
	struct nlmsghdr *header = (struct nlmsghdr *)*at;
	struct nfgenmsg *generic = NLMSG_DATA(header);

	*header = (struct nlmsghdr){.nlmsg_len = NLMSG_LENGTH(sizeof(*generic)), .nlmsg_type = (unsigned short)type, .nlmsg_flags = (unsigned short)(NLM_F_REQUEST | flags)};
	*generic = (struct nfgenmsg){.nfgen_family = (unsigned char)family, .version = NFNETLINK_V0, .res_id = htons((unsigned short)subsystem)};
	*at += NLMSG_ALIGN(header->nlmsg_len);
	return header;
}

static void attribute(char **at, struct nlmsghdr *header, int type, const void *data, size_t size)
{
	struct nlattr *attr = (struct nlattr *)*at;

	*attr = (struct nlattr){.nla_len = (unsigned short)(NLA_HDRLEN + size), .nla_type = (unsigned short)type};
	memcpy(*at + NLA_HDRLEN, data, size);
	*at += NLA_ALIGN(attr->nla_len);
	header->nlmsg_len += NLA_ALIGN(attr->nla_len);
}

/* A table of the packet filter with a name as criu gives them, which nobody but this process can delete. */
static int table(void)
{
	static char text[1024], answer[1024];
	char *at = text;
	unsigned flags = htonl(OWNED);
	int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_NETFILTER);
	struct sockaddr_nl kernel = {.nl_family = AF_NETLINK};

	message(&at, NFNL_MSG_BATCH_BEGIN, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	struct nlmsghdr *made = message(&at, NFNL_SUBSYS_NFTABLES << 8 | NFT_MSG_NEWTABLE, NLM_F_CREATE | NLM_F_ACK, NFPROTO_INET, 0);
	attribute(&at, made, NFTA_TABLE_NAME, "CRIU-4711", sizeof("CRIU-4711"));
	attribute(&at, made, NFTA_TABLE_FLAGS, &flags, sizeof(flags));
	message(&at, NFNL_MSG_BATCH_END, 0, AF_UNSPEC, NFNL_SUBSYS_NFTABLES);
	if (sendto(fd, text, (size_t)(at - text), 0, (struct sockaddr *)&kernel, sizeof(kernel)) < 0 || recv(fd, answer, sizeof(answer), 0) < 0)
		return 1;
	struct nlmsghdr *said = (struct nlmsghdr *)answer;

	return said->nlmsg_type != NLMSG_ERROR || ((struct nlmsgerr *)NLMSG_DATA(said))->error != 0;
}

int main(int argc, char **argv)
{
	const char *what = argc > 1 ? argv[1] : "";
	int one = argc > 2 ? atoi(argv[2]) : 0, two = argc > 3 ? atoi(argv[3]) : 0, status = 2;

	if (!strcmp(what, "descriptors"))
		status = descriptors(one, two);
	if (!strcmp(what, "memory"))
		status = memory(one, two);
	if (!strcmp(what, "table"))
		status = table();
	if (status) {
		fprintf(stderr, "burden: cannot make %s\n", what);
		return status;
	}
	puts("ready");
	fflush(stdout);
	return stay(NULL);
}
