/* The table of the host's limits that many guests share, and what they must be for so many guests. */
#include "config.h"

#include "sysctl.h"

#define NAMESPACES_MEANS "each guest, with all of its users, may have this many namespaces of the kind"

/* A guest counts for one user of the host, the first of its ids: what the kernel counts by user is each guest's own, and needs no
 * more for more guests. The rest is one for the whole host. */
const struct sysctl_row sysctl_table[] = {
	{"fs.inotify.max_user_instances", 1024, 0, INT32_MAX, 128,
	 "systemd and desktop programs in a guest run out of inotify instances"},
	{"fs.inotify.max_user_watches", 131072, 0, INT32_MAX, 8192, "a guest's programs run out of inotify watches"},
	{"kernel.keys.maxkeys", 1000, 0, INT32_MAX, 200, "services of a guest that begin with keyrings of their own get none"},
	{"kernel.keys.maxbytes", 50000, 0, INT32_MAX, 20000, "services of a guest that begin with keyrings of their own get none"},
	{"kernel.keys.root_maxkeys", 100000, 100, INT32_MAX, 10000,
	 "no guest can be entered: isle has no keyring left to begin with"},
	{"kernel.pid_max", 4194304, 0, 4194304, 32768, "all guests together run out of process ids"},
	{"kernel.threads-max", 32768, 512, 1073741823, 8192, "all guests together run out of threads"},
	{"kernel.pty.max", 4096, 16, INT32_MAX, 1024, "all guests together run out of pseudo terminals"},
	{"fs.file-max", 100000, 4096, INT64_MAX, 100000, "all guests together run out of open files"},
	{"fs.nr_open", 1048576, 0, INT32_MAX, 524288, "guests' limits of open files are cut to this"},
	{"fs.aio-max-nr", 65536, 1024, INT64_MAX, 65536, "databases in several guests run out of asynchronous requests"},
	{"fs.mount-max", 100000, 0, INT32_MAX, 10000, "a guest with many services or containers runs out of mounts"},
	{"vm.max_map_count", 262144, 0, INT32_MAX, 65530,
	 "programs that map many files (search engines) refuse to start in guests"},
	{"user.max_user_namespaces", 2048, 0, INT32_MAX, 64, NAMESPACES_MEANS},
	{"user.max_mnt_namespaces", 2048, 0, INT32_MAX, 256, NAMESPACES_MEANS},
	{"user.max_net_namespaces", 2048, 0, INT32_MAX, 64, NAMESPACES_MEANS},
	{"user.max_pid_namespaces", 2048, 0, INT32_MAX, 64, NAMESPACES_MEANS},
	{"user.max_ipc_namespaces", 2048, 0, INT32_MAX, 64, NAMESPACES_MEANS},
	{"user.max_uts_namespaces", 2048, 0, INT32_MAX, 64, NAMESPACES_MEANS},
	{"user.max_cgroup_namespaces", 2048, 0, INT32_MAX, 64, NAMESPACES_MEANS},
	{"user.max_time_namespaces", 2048, 0, INT32_MAX, 64, NAMESPACES_MEANS},
	{"user.max_fanotify_groups", 128, 0, INT32_MAX, 16, "programs of a guest that watch whole file systems get no notices"},
	/* One table for all network namespaces: the host knows each guest, each guest the host and those it talks to. */
	{"net.ipv4.neigh.default.gc_thresh1", 256, 4, INT32_MAX, 128, "neighbours are forgotten and asked for again all the time"},
	{"net.ipv4.neigh.default.gc_thresh2", 1024, 8, INT32_MAX, 512, "neighbours are forgotten and asked for again all the time"},
	{"net.ipv4.neigh.default.gc_thresh3", 2048, 16, INT32_MAX, 1024,
	 "with many hundreds of guests on a bridge, neighbours are forgotten and connections stall"},
	{"net.ipv6.neigh.default.gc_thresh1", 256, 4, INT32_MAX, 128, "neighbours are forgotten and asked for again all the time"},
	{"net.ipv6.neigh.default.gc_thresh2", 1024, 8, INT32_MAX, 512, "neighbours are forgotten and asked for again all the time"},
	{"net.ipv6.neigh.default.gc_thresh3", 2048, 16, INT32_MAX, 1024,
	 "with many hundreds of guests on a bridge, neighbours are forgotten and connections stall"},
	{"net.core.fb_tunnels_only_for_init_net", 1, 0, 2, 0,
	 "every guest gets tunl0, gre0, sit0 and the like, when the host has their modules loaded"},
	{"net.netfilter.nf_conntrack_max", 65536, 512, INT32_MAX, 32768,
	 "the host forgets connections of guests behind its NAT, and refuses new ones"},
};
const size_t sysctl_count = sizeof(sysctl_table) / sizeof(sysctl_table[0]);

uint64_t sysctl_wanted(const struct sysctl_row *row, unsigned long guests)
{
	uint64_t most = sizeof(long) < 8 && row->most > INT32_MAX ? INT32_MAX : row->most, wanted;

	if (__builtin_mul_overflow(row->each, (uint64_t)guests, &wanted) || __builtin_add_overflow(row->base, wanted, &wanted))
		return most;
	return wanted < most ? wanted : most;
}
