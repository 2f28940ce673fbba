/* Frames under other names, for tests/hostile: static, so that it runs in any guest.
 * usage: spoof send INTERFACE VICTIM-MAC VICTIM-IPV4 VICTIM-IPV6 HOST-IPV4 HOST-IPV6
 *        spoof hear INTERFACE SECONDS
 * Each frame ends with its kind in clear, behind what its headers count: `hear` prints the kinds that arrive, a line each, until it hears
 * `end`, which like all `own-*` is honest. */
#define _GNU_SOURCE
#include <arpa/inet.h>
#include <errno.h>
#include <linux/if_packet.h>
#include <net/ethernet.h>
#include <net/if.h>
#include <netinet/in.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/socket.h>
#include <time.h>
#include <unistd.h>

#define MARK "ISLE-SPOOF "

typedef unsigned char byte;

static struct {
	int fd, index;
	byte mac[6], ip4[4], ip6[16], local[16];                               /* what is ours */
	byte his_mac[6], his_ip4[4], his_ip6[16], his_local[16];               /* the other guest's */
	byte host_ip4[4], host_ip6[16], host_local[16];
} net;

static struct {
	byte data[1500];
	size_t len;
} frame;

static const byte everybody[6] = {255, 255, 255, 255, 255, 255}, nodes[6] = {0x33, 0x33, 0, 0, 0, 1}, strange[6] = {0x1e, 0xee, 1, 2, 3, 4};
static const byte bridges[6] = {1, 0x80, 0xc2, 0, 0, 0}, nobody4[4], all4[4] = {255, 255, 255, 255}, elsewhere4[4] = {192, 0, 2, 1}, nobody6[16];
static const byte nodes6[16] = {0xff, 2, [15] = 1}, elsewhere6[16] = {0x20, 1, 0x0d, 0xb8, [15] = 1}, other_local[16] = {0xfe, 0x80, [8] = 1, 2, 3};

static void put(const void *data, size_t size)
{
	memcpy(frame.data + frame.len, data, size);
	frame.len += size;
}

static void put8(unsigned value)
{
	frame.data[frame.len++] = (byte)value;
}

static void put16(unsigned value)
{
	put8(value >> 8);
	put8(value & 255);
}

static void zeros(size_t count)
{
	memset(frame.data + frame.len, 0, count);
	frame.len += count;
}

static void ether(const byte *to, const byte *from, unsigned type)
{
	frame.len = 0;
	put(to, 6);
	put(from, 6);
	put16(type);
}

static void send_as(const char *kind)
{
	char mark[64];
	struct sockaddr_ll to = {.sll_family = AF_PACKET, .sll_ifindex = net.index, .sll_halen = 6};
	int size = snprintf(mark, sizeof(mark), MARK "%s;", kind);

	put(mark, (size_t)size);
	memcpy(to.sll_addr, frame.data, 6);
	if (sendto(net.fd, frame.data, frame.len, 0, (struct sockaddr *)&to, sizeof(to)) < 0)
		fprintf(stderr, "spoof: %s: %s\n", kind, strerror(errno));
}

static void arp(const byte *from, unsigned op, const byte *mac, const byte *ip, const byte *target)
{
	ether(everybody, from, 0x0806);
	put16(1);
	put16(0x0800);
	put8(6);
	put8(4);
	put16(op);
	put(mac, 6);
	put(ip, 4);
	zeros(6);
	put(target, 4);
}

/* flags: as in the header, with the offset in units of eight bytes */
static void ip4(const byte *from, const byte *to, int protocol, unsigned flags, size_t payload)
{
	size_t start = frame.len;
	unsigned long sum = 0;

	put16(0x4500);
	put16((unsigned)(20 + payload));
	put16(7);
	put16(flags);
	put16((unsigned)(64 << 8 | protocol));
	put16(0);
	put(from, 4);
	put(to, 4);
	for (size_t i = start; i < start + 20; i += 2)
		sum += (unsigned)(frame.data[i] << 8 | frame.data[i + 1]);
	while (sum >> 16)
		sum = (sum & 0xffff) + (sum >> 16);
	frame.data[start + 10] = (byte)(~sum >> 8);
	frame.data[start + 11] = (byte)~sum;
}

static void udp(unsigned from, unsigned to)
{
	put16(from);
	put16(to);
	put16(16);
	put16(0);
	zeros(8);
}

static void udp4(const byte *mac, const byte *from, unsigned source, unsigned port)
{
	ether(everybody, mac, 0x0800);
	ip4(from, all4, 17, 0, 16);
	udp(source, port);
}

static void ip6(const byte *from, unsigned next, size_t payload)
{
	ether(nodes, net.mac, 0x86dd);
	put16(0x6000);
	put16(0);
	put16((unsigned)payload);
	put8(next);
	put8(255);
	put(from, 16);
	put(nodes6, 16);
}

static void fragment(unsigned next, unsigned offset_and_more)
{
	put8(next);
	put8(0);
	put16(offset_and_more);
	put16(0);
	put16(99);
}

/* An ICMPv6 message with 4 bytes behind its head, a target, and a link-layer option. */
static void discovery(const byte *from, int type, const byte *target, const byte *mac)
{
	ip6(from, 58, 32);
	put8((unsigned)type);
	zeros(3);
	put8(type == 136 ? 0x60 : 0); /* solicited, override */
	zeros(3);
	put(target, 16);
	put8(type == 136 ? 2 : 1);
	put8(1);
	put(mac, 6);
}

static void advert(void)
{
	put8(134);
	zeros(3);
	put8(64);
	put8(0);
	put16(1800);
	zeros(8);
}

static void spoof_link(void)
{
	udp4(strange, net.ip4, 9, 9);
	send_as("mac-unknown");
	udp4(net.his_mac, net.ip4, 9, 9);
	send_as("mac-of-another");
	for (unsigned type = 0; type < 3; type++) {
		static const unsigned tag[] = {0x8100, 0x88a8, 0x9100};
		static const char *const kind[] = {"vlan", "vlan-802.1ad", "vlan-9100"};

		ether(everybody, net.mac, tag[type]);
		put16(5);
		put16(0x0800);
		ip4(net.ip4, all4, 17, 0, 16);
		udp(9, 9);
		send_as(kind[type]);
	}
	ether(everybody, net.mac, 0x8100);
	put16(0); /* priority only */
	put16(0x0806);
	zeros(28);
	send_as("vlan-priority");
	ether(bridges, net.mac, 38);
	put8(0x42);
	put8(0x42);
	put8(3);
	zeros(35);
	send_as("bpdu");
	ether(everybody, net.mac, 0x88cc);
	zeros(40);
	send_as("lldp");
	ether(everybody, net.mac, 0x8863);
	zeros(40);
	send_as("pppoe");
}

static void spoof_arp(void)
{
	arp(net.mac, 2, net.mac, net.host_ip4, net.his_ip4);
	send_as("arp-host");
	arp(net.mac, 1, net.mac, net.his_ip4, net.his_ip4);
	send_as("arp-of-another");
	arp(net.mac, 2, strange, net.ip4, net.his_ip4);
	send_as("arp-mac");
	arp(net.mac, 1, net.mac, nobody4, net.his_ip4);
	send_as("arp-probe-of-another");
	arp(net.mac, 2, net.mac, nobody4, net.his_ip4);
	send_as("arp-nobody");
	ether(everybody, net.mac, 0x0806);
	put16(6); /* IEEE 802 hardware */
	put16(0x0800);
	put8(6);
	put8(4);
	put16(2);
	put(net.mac, 6);
	put(net.host_ip4, 4);
	zeros(10);
	send_as("arp-802");
}

static void spoof_ip4(void)
{
	udp4(net.mac, net.his_ip4, 9, 9);
	send_as("ip4-of-another");
	udp4(net.mac, net.host_ip4, 9, 9);
	send_as("ip4-of-host");
	udp4(net.mac, elsewhere4, 9, 9);
	send_as("ip4-elsewhere");
	udp4(net.mac, nobody4, 9, 9);
	send_as("ip4-nobody");
	udp4(net.mac, net.ip4, 67, 68);
	send_as("dhcp4-reply");
	udp4(net.mac, net.ip4, 9, 68);
	send_as("dhcp4-other-port");
	ether(everybody, net.mac, 0x0800);
	ip4(net.ip4, all4, 17, 0x2000, 16);
	udp(67, 68);
	send_as("dhcp4-fragment");
	ether(everybody, net.mac, 0x0800);
	ip4(net.ip4, all4, 1, 0, 36);
	put16(0x0501);
	zeros(2);
	put(net.ip4, 4);
	zeros(28);
	send_as("redirect4");
	ether(everybody, net.mac, 0x0800);
	ip4(net.ip4, all4, 2, 0, 8);
	put8(0x11);
	zeros(7);
	send_as("igmp-query");
}

static void spoof_ip6(void)
{
	ip6(net.his_ip6, 17, 16);
	udp(9, 9);
	send_as("ip6-of-another");
	ip6(net.host_ip6, 17, 16);
	udp(9, 9);
	send_as("ip6-of-host");
	ip6(elsewhere6, 17, 16);
	udp(9, 9);
	send_as("ip6-elsewhere");
	ip6(net.his_local, 17, 16);
	udp(9, 9);
	send_as("ip6-local-of-another");
	ip6(other_local, 17, 16);
	udp(9, 9);
	send_as("ip6-local-other");
	discovery(net.ip6, 136, net.host_ip6, net.mac);
	send_as("na-host");
	discovery(net.local, 136, net.host_local, net.mac);
	send_as("na-host-local");
	discovery(net.ip6, 136, net.his_ip6, net.mac);
	send_as("na-of-another");
	discovery(net.host_local, 135, net.his_ip6, net.mac);
	send_as("ns-as-host");
	ip6(nobody6, 58, 24);
	put16(135 << 8);
	zeros(6);
	put(net.his_ip6, 16);
	send_as("dad-of-another");
	ip6(net.local, 58, 16);
	advert();
	send_as("ra");
	discovery(net.local, 137, net.host_ip6, net.mac);
	send_as("redirect6");
	ip6(net.local, 58, 24);
	put16(130 << 8);
	zeros(22);
	send_as("mld-query");
	ip6(net.local, 17, 16);
	udp(547, 546);
	send_as("dhcp6-reply");
	ip6(net.local, 17, 16);
	udp(9, 546);
	send_as("dhcp6-other-port");
}

/* The head of what is forbidden lies in a second fragment, and harmless bytes lie behind the end of the first. */
static void spoof_hidden(void)
{
	ip6(net.local, 44, 16);
	fragment(60, 1);
	put16(58 << 8); /* destination options: 8 bytes of padding, then ICMPv6 */
	put16(0x0104);
	zeros(4);
	put16(128 << 8); /* an echo request that is not there */
	zeros(14);
	send_as("ra-hidden");
	ip6(net.local, 44, 16);
	fragment(60, 1);
	put16(17 << 8);
	put16(0x0104);
	zeros(4);
	udp(9, 9);
	send_as("dhcp6-hidden");
	ip6(net.local, 44, 16);
	fragment(44, 1);
	fragment(17, 8 * 8);
	send_as("fragment-twice");
	ip6(net.local, 44, 16);
	fragment(58, 1);
	put16(136 << 8);
	zeros(6);
	put(net.ip6, 16); /* behind the end; the target is in a second fragment */
	send_as("na-fragment");
	ip6(net.local, 60, 16);
	put16(58 << 8);
	put16(0x0104);
	zeros(4);
	put16(134 << 8);
	zeros(6);
	send_as("ra-behind-options");
}

static void honest(void)
{
	udp4(net.mac, net.ip4, 9, 9);
	send_as("own-udp4");
	udp4(net.mac, nobody4, 68, 67);
	send_as("own-dhcp4");
	arp(net.mac, 1, net.mac, net.ip4, net.his_ip4);
	send_as("own-arp");
	arp(net.mac, 1, net.mac, nobody4, net.ip4);
	send_as("own-arp-probe");
	ether(everybody, net.mac, 0x0800);
	ip4(net.ip4, all4, 17, 0x2000, 16);
	udp(9, 9);
	send_as("own-fragment4");
	ether(everybody, net.mac, 0x0800);
	ip4(net.ip4, all4, 17, 2, 16);
	zeros(16);
	send_as("own-fragment4-second");
	ip6(net.ip6, 17, 16);
	udp(9, 9);
	send_as("own-udp6");
	ip6(net.local, 17, 16);
	udp(546, 547);
	send_as("own-dhcp6");
	ip6(net.ip6, 44, 24);
	fragment(17, 1);
	udp(9, 9);
	send_as("own-fragment6");
	ip6(net.ip6, 44, 24);
	fragment(17, 16);
	zeros(16);
	send_as("own-fragment6-second");
	ip6(net.ip6, 0, 16);
	put16(132 << 8); /* hop-by-hop options, SCTP behind them */
	put16(0x0104);
	zeros(12);
	send_as("own-options6");
	discovery(net.ip6, 136, net.ip6, net.mac);
	send_as("own-na");
	discovery(net.local, 135, net.his_ip6, net.mac);
	send_as("own-ns");
	ip6(nobody6, 58, 24);
	put16(135 << 8);
	zeros(6);
	put(net.local, 16);
	send_as("own-dad");
	ip6(other_local, 58, 28);
	put16(143 << 8);
	zeros(26);
	send_as("own-mld");
	udp4(net.mac, net.ip4, 9, 9);
	send_as("end");
}

static void eui64(const byte *mac, byte local[16])
{
	const byte made[16] = {0xfe, 0x80, [8] = mac[0] ^ 2, mac[1], mac[2], 0xff, 0xfe, mac[3], mac[4], mac[5]};

	memcpy(local, made, 16);
}

static int own_addresses(const char *interface)
{
	FILE *f = fopen("/proc/net/if_inet6", "r");
	char line[128], name[32];
	struct ifreq request = {0};
	int any = socket(AF_INET, SOCK_DGRAM, 0);

	strncpy(request.ifr_name, interface, sizeof(request.ifr_name) - 1);
	if (ioctl(any, SIOCGIFHWADDR, &request) < 0)
		return -1;
	memcpy(net.mac, request.ifr_hwaddr.sa_data, 6);
	eui64(net.mac, net.local);
	if (ioctl(any, SIOCGIFADDR, &request) == 0)
		memcpy(net.ip4, &((struct sockaddr_in *)&request.ifr_addr)->sin_addr, 4);
	close(any);
	while (f && fgets(line, sizeof(line), f)) {
		unsigned scope;

		if (sscanf(line, "%*32s %*x %*x %x %*x %31s", &scope, name) != 2 || scope != 0 || strcmp(name, interface) != 0)
			continue;
		for (int i = 0; i < 16; i++) {
			const char two[3] = {line[2 * i], line[2 * i + 1], 0};

			net.ip6[i] = (byte)strtoul(two, NULL, 16);
		}
	}
	if (f)
		fclose(f);
	return 0;
}

static int send_all(char **arg)
{
	byte *m = net.his_mac;

	net.fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	net.index = (int)if_nametoindex(arg[0]);
	if (net.fd < 0 || !net.index || own_addresses(arg[0]) < 0)
		return perror("spoof"), 1;
	if (sscanf(arg[1], "%2hhx:%2hhx:%2hhx:%2hhx:%2hhx:%2hhx", &m[0], &m[1], &m[2], &m[3], &m[4], &m[5]) != 6 ||
	    inet_pton(AF_INET, arg[2], net.his_ip4) != 1 || inet_pton(AF_INET6, arg[3], net.his_ip6) != 1 ||
	    inet_pton(AF_INET, arg[4], net.host_ip4) != 1 || inet_pton(AF_INET6, arg[5], net.host_ip6) != 1)
		return fprintf(stderr, "spoof: an address cannot be read\n"), 1;
	eui64(net.his_mac, net.his_local);
	memcpy(net.host_local, net.host_ip6, 16);
	net.host_local[0] = 0xfe;
	net.host_local[1] = 0x80;
	memset(net.host_local + 2, 0, 6);
	spoof_link();
	spoof_arp();
	spoof_ip4();
	spoof_ip6();
	spoof_hidden();
	honest();
	return 0;
}

/* Frames to the group that bridges keep for themselves, each with another source: they fill a bridge's table. */
static int send_flood(const char *interface, int count)
{
	net.fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	net.index = (int)if_nametoindex(interface);
	for (int i = 0; i < count; i++) {
		const byte from[6] = {0x02, 0xfd, 0xbf, (byte)(i >> 16), (byte)(i >> 8), (byte)i};
		const byte to[6] = {1, 0x80, 0xc2, 0, 0, i % 2 ? 0x0e : 3};

		ether(i % 4 < 2 ? to : everybody, from, 0x88cc);
		zeros(40);
		send_as("flood");
	}
	puts("sent");
	return 0;
}

static int hear(const char *interface, int seconds)
{
	struct sockaddr_ll at = {.sll_family = AF_PACKET, .sll_protocol = htons(ETH_P_ALL), .sll_ifindex = (int)if_nametoindex(interface)};
	int fd = socket(AF_PACKET, SOCK_RAW, htons(ETH_P_ALL));
	struct timeval limit = {.tv_sec = 1};
	time_t end = time(NULL) + seconds;

	if (fd < 0 || bind(fd, (struct sockaddr *)&at, sizeof(at)) < 0 || setsockopt(fd, SOL_SOCKET, SO_RCVTIMEO, &limit, sizeof(limit)) < 0)
		return perror("spoof"), 1;
	puts("listening");
	fflush(stdout);
	while (time(NULL) < end) {
		static char data[2048];
		ssize_t got = recv(fd, data, sizeof(data) - 1, 0);
		char *mark = got > 0 ? memmem(data, (size_t)got, MARK, strlen(MARK)) : NULL, *stop;

		if (!mark)
			continue;
		data[got] = '\0';
		mark += strlen(MARK);
		stop = strchr(mark, ';');
		if (!stop)
			continue;
		*stop = '\0';
		puts(mark);
		fflush(stdout);
		if (!strcmp(mark, "end"))
			return 0;
	}
	return fprintf(stderr, "spoof: heard no end\n"), 1;
}

int main(int argc, char **argv)
{
	if (argc == 8 && !strcmp(argv[1], "send"))
		return send_all(argv + 2);
	if (argc == 4 && !strcmp(argv[1], "flood"))
		return send_flood(argv[2], atoi(argv[3]));
	if (argc == 4 && !strcmp(argv[1], "hear"))
		return hear(argv[2], atoi(argv[3]));
	fprintf(stderr, "spoof: what?\n");
	return 2;
}
