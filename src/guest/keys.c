/* The key table: every key of a guest's config file. */
#include "config.h"

#include <string.h>

#include "keys.h"
#include "spec.h"

#define AT(field)       offsetof(struct spec, field)
#define AT_NET(field)   offsetof(struct spec_network, field)
#define AT_MOUNT(field) offsetof(struct spec_mount, field)
#define AT_DEV(field)   offsetof(struct spec_device, field)

const struct section_info section_table[SECTION_COUNT] = {
	[SECTION_GUEST] = {"guest", false, NULL, "What the guest is: its init, its name, when it starts and how it stops."},
	[SECTION_LIMITS] = {"limits", false, NULL,
			    "What the guest may use of the host. A limit is put on the guest's cgroup before its init runs and is "
			    "read back; one "
			    "that this kernel cannot hold is refused at the start. Without a key there is no limit, but where it "
			    "says otherwise. unlimited is the same as no key at all, but for what a plan has, which it lifts."},
	[SECTION_SECURITY] =
		{"security", false, NULL,
		 "What the guest may do to the host. The defaults assume that the guest's root is hostile; each key here either "
		 "tightens or gives up some of that, and says which."},
	[SECTION_NETWORK] =
		{"network", true, "eth0",
		 "One network interface. The section's name is the interface's name inside the guest: [network eth0]. A guest "
		 "without such a section has nothing but its loopback interface."},
	[SECTION_MOUNT] = {"mount", true, "data",
			   "One file system or folder of the host that the guest sees. The section's name is free: [mount data]. "
			   "Mounts are made "
			   "in the order of the file, in the guest's own mount namespace."},
	[SECTION_DEVICE] =
		{"device", true, "gpu",
		 "One device of the host that is given to the guest. The section's name is free: [device gpu]. Whoever is root in "
		 "the guest then does with the device whatever its driver allows, and a driver's fault is the host's: give away only "
		 "what the guest may break. A block device is given with all that is on it; it must be in use neither by the host nor "
		 "by another guest. isle device adds and removes devices of a running guest. What no section gives cannot be opened, "
		 "by the root of a privileged guest neither: a BPF program on the guest's control group allows null, zero, full, "
		 "random, urandom, tty, terminals, net/tun, fuse, and what these sections name."},
};

static const char *const apparmor_choices[] = {
	[APPARMOR_AUTO] = "auto", [APPARMOR_REQUIRE] = "require", [APPARMOR_NONE] = "none", NULL};
static const char *const lxcfs_choices[] = {[LXCFS_AUTO] = "auto", [LXCFS_YES] = "yes", [LXCFS_NO] = "no", NULL};
static const char *const on_shutdown_choices[] = {[ON_SHUTDOWN_STOP] = "stop", [ON_SHUTDOWN_CHECKPOINT] = "checkpoint", NULL};
const char *const storage_choices[] = {[STORAGE_DIR] = "dir", [STORAGE_OVERLAY] = "overlay", NULL};
static const char *const spoofing_choices[] = {
	[SPOOFING_DENY] = "deny", [SPOOFING_ADDRESSES] = "addresses", [SPOOFING_ALLOW] = "allow", NULL};
static const char *const network_choices[] = {[NETWORK_BRIDGE] = "bridge", [NETWORK_NONE] = "none", NULL};
static const char *const device_choices[] = {[DEVICE_NODE] = "node", [DEVICE_NIC] = "nic", NULL};
static const char *const arch_choices[] = {
	"amd64", "x86_64",  "i386",    "i686",    "arm64", "aarch64", "armhf",    "armel",
	"arm",   "ppc64el", "ppc64le", "riscv64", "s390x", "loong64", "mips64el", NULL,
};

const struct key key_table[] = {
	/* guest */
	{SECTION_GUEST, "id", &type_id, AT(guest.id), .internal = true,
	 .doc = "The guest's identity, made by create and never changed, not by rename either. Its machine-id, MAC addresses and "
		"address leases come from it."},
	{SECTION_GUEST, "init", &type_command, AT(guest.init), .fallback = "/sbin/init", .lxc = "lxc.init.cmd", .own = true,
	 .doc = "The program that becomes process 1 of the guest, with its arguments. Quotes keep blanks together.",
	 .example = "/lib/systemd/systemd --log-level=info"},
	{SECTION_GUEST, "hostname", &type_hostname, AT(guest.hostname), .lxc = "lxc.uts.name", .own = true,
	 .doc = "The host name that the guest begins with. Without it, the guest's name.", .example = "www.example.org"},
	{SECTION_GUEST, "autostart", &type_bool, AT(guest.autostart), .fallback = "no", .live = FACET_FREE, .lxc = "lxc.start.auto",
	 .doc = "Whether the guest starts when the host does.", .example = "yes"},
	{SECTION_GUEST, "start-order", &type_number, AT(guest.start_order), .max = 1000000, .fallback = "100", .live = FACET_FREE,
	 .lxc = "lxc.start.order",
	 .doc = "Its place among the guests that start with the host: lower numbers first, equal numbers together.",
	 .example = "10"},
	{SECTION_GUEST, "start-delay", &type_duration, AT(guest.start_delay), .fallback = "0", .live = FACET_FREE,
	 .lxc = "lxc.start.delay",
	 .doc = "How long isle autostart waits after starting it before it starts the guests of the next order.", .example = "5s"},
	{SECTION_GUEST, "on-shutdown", &type_choice, AT(guest.on_shutdown), .choices = on_shutdown_choices, .fallback = "stop",
	 .live = FACET_FREE,
	 .doc = "What becomes of the guest when the host goes down, or isle stop --all and isle autostart --shutdown end all guests. checkpoint: "
		"its processes go to disk and it wakes where it was when it is started the next time, at boot with autostart = yes; when it "
		"cannot be put to sleep it is stopped, and that is said. A kernel that was changed by the reboot may not wake it: isle start "
		"--cold then boots it anew.",
	 .example = "checkpoint"},
	{SECTION_GUEST, "groups", &type_words, AT(guest.groups), .live = FACET_FREE, .lxc = "lxc.group",
	 .doc = "Names by which isle autostart --groups chooses guests. The group onboot starts before guests without a group.",
	 .example = "onboot"},
	{SECTION_GUEST, "image", &type_name, AT(guest.image), .max = 200, .internal = true,
	 .doc = "The image that the guest was cloned from. A guest on overlay storage stands on it for as long as it lives.",
	 .example = "debian-bookworm-amd64-1c9e2f60a3b75d84"},
	{SECTION_GUEST, "template", &type_string, AT(guest.template_name), .max = 1000, .internal = true,
	 .doc = "The template that made the image, by name or path.", .example = "debian"},
	{SECTION_GUEST, "storage", &type_choice, AT(guest.storage), .choices = storage_choices, .fallback = "dir", .internal = true,
	 .doc = "How the root file system is kept. dir is a copy of the image that shares nothing with other guests; overlay "
		"stands on the image and keeps only what differs, so that guests of one image also share its files in memory."},
	{SECTION_GUEST, "arch", &type_name, AT(guest.arch), .choices = arch_choices, .lxc = "lxc.arch", .own = true,
	 .doc = "The machine that uname(2) shows to the guest, for 32-bit systems on a 64-bit host. Without it, the host's.",
	 .example = "i386"},
	{SECTION_GUEST, "stop-signal", &type_signal, AT(guest.stop_signal), .live = FACET_FREE, .lxc = "lxc.signal.halt",
	 .doc = "The signal that asks the guest's init to shut down. Without it, by what the init is: SIGRTMIN+3 for systemd, "
		"SIGUSR2 for busybox, SIGPWR for others.",
	 .example = "SIGPWR"},
	{SECTION_GUEST, "stop-timeout", &type_duration, AT(guest.stop_timeout), .max = 86400000, .fallback = "60s",
	 .live = FACET_FREE,
	 .doc = "How long stop waits for the guest to shut down before it kills it. A systemd host that goes down waits "
		"90 s for all guests together.",
	 .example = "2m"},
	{SECTION_GUEST, "environment", &type_environment, AT(guest.environment), .lxc = "lxc.environment", .own = true,
	 .doc = "Variables in the environment of the guest's init, beside container=isle and what systemd expects.",
	 .example = "LANG=C.UTF-8 \"MOTTO=slow and steady\""},
	{SECTION_GUEST, "checkpoint-ready", &type_bool, AT(guest.checkpoint_ready), .fallback = "yes",
	 .doc = "Whether the guest is started so that checkpoint can freeze it to disk later. A few features that cannot be "
		"frozen are kept from its init; say no when the guest needs them.",
	 .example = "no"},
	{SECTION_GUEST, "console-log", &type_size, AT(guest.console_log), .min = 4096, .max = 1 << 30, .fallback = "1M",
	 .doc = "How much of the console's output is kept on disk before the file is rotated; one old file is kept.",
	 .example = "16M"},
	{SECTION_GUEST, "description", &type_string, AT(guest.description), .max = 500, .live = FACET_FREE, .own = true,
	 .doc = "A line for people; isle only shows it.", .example = "mail relay, ask Ada before a restart"},
	{SECTION_GUEST, "plan", &type_name, AT(guest.plan), .max = 63, .live = FACET_FREE, .own = true,
	 .doc = "The plan that says what this config does not: a file of that name in /etc/isle/plans, see PLANS. A change of it holds at "
		"once for limits that do.",
	 .example = "small"},
	{SECTION_GUEST, "lxcfs", &type_choice, AT(guest.lxcfs), .choices = lxcfs_choices, .fallback = "auto", .live = FACET_LXCFS,
	 .doc = "Whether the guest sees its own size: its memory, CPUs, swap, load and uptime in /proc and /sys/devices/system/cpu, as "
		"free, top and nproc show them, instead of the host's. lxcfs, which must be mounted on /var/lib/lxcfs, makes these files; "
		"the load is the guest's own only where lxcfs runs with -l, and nproc --all shows the host's CPUs. auto: where it is mounted, but not with security.nesting, since containers inside could then mount no /proc; yes: else "
		"the start is refused; no: never.",
	 .example = "yes"},

	/* limits */
	{SECTION_LIMITS, "memory", &type_size, AT(limits.memory), .min = 16 << 20, .live = FACET_CGROUP,
	 .lxc = "lxc.cgroup2.memory.max lxc.cgroup.memory.limit_in_bytes",
	 .doc = "Most memory that the guest may use, its page cache included. Beyond it the kernel reclaims, then kills inside "
		"the guest. Without it, all of the host's but an eighth (256M at least, 4G at most), so that no guest takes the host's "
		"last. On cgroup v1 buffers of sockets are counted by themselves: an eighth of it beside the rest.",
	 .example = "512M"},
	{SECTION_LIMITS, "memory-high", &type_size, AT(limits.memory_high), .min = 16 << 20, .live = FACET_CGROUP,
	 .lxc = "lxc.cgroup2.memory.high",
	 .doc = "From here on the guest is slowed down and must give up memory, but nothing is killed. It needs the memory controller "
		"of cgroup v2.",
	 .example = "448M"},
	{SECTION_LIMITS, "memory-guarantee", &type_size, AT(limits.memory_guarantee), .min = 1 << 20, .live = FACET_CGROUP,
	 .lxc = "lxc.cgroup2.memory.low",
	 .doc = "Memory that the kernel leaves to the guest when the host is short of it, as long as others have any to give up "
		"(memory.low). It needs the memory controller of cgroup v2.",
	 .example = "256M"},
	{SECTION_LIMITS, "swap", &type_size, AT(limits.swap), .live = FACET_CGROUP, .lxc = "lxc.cgroup2.memory.swap.max",
	 .doc = "Most of the host's swap that the guest may use beside its memory.", .example = "0"},
	{SECTION_LIMITS, "cpus", &type_cpus, AT(limits.cpus), .min = 10, .max = 8192000, .live = FACET_CGROUP,
	 .lxc = "lxc.cgroup2.cpu.max",
	 .doc = "How much processor time the guest may take: 1.5 is one and a half CPUs' worth, on whichever CPUs it runs.",
	 .example = "1.5"},
	{SECTION_LIMITS, "cpu-weight", &type_number, AT(limits.cpu_weight), .min = 1, .max = 10000, .live = FACET_CGROUP,
	 .lxc = "lxc.cgroup2.cpu.weight",
	 .doc = "The guest's share when guests compete for CPUs; one that has no weight counts as 100.", .example = "200"},
	{SECTION_LIMITS, "cpuset", &type_cpuset, AT(limits.cpuset), .live = FACET_CGROUP,
	 .lxc = "lxc.cgroup2.cpuset.cpus lxc.cgroup.cpuset.cpus",
	 .doc = "The only CPUs of the host that the guest runs on, numbered from 0. auto:2 means two CPUs that isle chooses at the start, "
		"those with the least of isle's guests on them; isle limit shows which. auto alone means as many as cpus, rounded up; all is no "
		"limit. Without this key it is auto for a guest that has cpus and sees its own size by lxcfs, so that nproc and whatever else "
		"counts CPUs agrees with cpus; else all. isle limit --balance, which isle-balance.timer calls, moves guests whose CPUs isle has "
		"chosen by what they use; all lets a guest go wherever there is time, at the price of an nproc that is the host's.",
	 .example = "0-3,8"},
	{SECTION_LIMITS, "processes", &type_count, AT(limits.processes), .min = 8, .max = 4194304, .live = FACET_CGROUP,
	 .lxc = "lxc.cgroup2.pids.max lxc.cgroup.pids.max",
	 .doc = "Most processes and threads that the guest may have at once. Without it, a quarter of what the host can have, "
		"16384 at most.",
	 .example = "4096"},
	{SECTION_LIMITS, "io-weight", &type_number, AT(limits.io_weight), .min = 1, .max = 10000, .live = FACET_CGROUP,
	 .lxc = "lxc.cgroup2.io.weight lxc.cgroup2.io.bfq.weight",
	 .doc = "The guest's share when guests compete for a disk; one that has no weight counts as 100. The disk of the guest's root must "
		"be scheduled by BFQ, to which 1000 is the most, or have cost control (io.cost.qos): otherwise the kernel weighs nothing and the "
		"start is refused.",
	 .example = "200"},
	{SECTION_LIMITS, "io-read", &type_disk_bytes, AT(limits.io_read), .min = 4096, .live = FACET_CGROUP,
	 .doc = "Most bytes that the guest reads a second from the disk that its root file system is on, or from each disk that is named. "
		"What the kernel has in memory costs nothing.",
	 .example = "20M, /dev/vdb:100M"},
	{SECTION_LIMITS, "io-write", &type_disk_bytes, AT(limits.io_write), .min = 4096, .live = FACET_CGROUP,
	 .doc = "Most bytes that the guest writes a second, as io-read. On cgroup v1 the kernel counts only direct and synchronous writes, "
		"not those that it writes back later.",
	 .example = "10M"},
	{SECTION_LIMITS, "io-read-ops", &type_disk_ops, AT(limits.io_read_ops), .min = 1, .live = FACET_CGROUP,
	 .doc = "Most reads a second, as io-read.", .example = "500"},
	{SECTION_LIMITS, "io-write-ops", &type_disk_ops, AT(limits.io_write_ops), .min = 1, .live = FACET_CGROUP,
	 .doc = "Most writes a second, as io-write.", .example = "500, /dev/vdb:2000"},
	{SECTION_LIMITS, "hugepages", &type_size, AT(limits.hugepages), .live = FACET_CGROUP,
	 .doc = "Most memory in huge pages, of each size that the host has; it is cut to whole pages. 0: none.", .example = "64M"},
	{SECTION_LIMITS, "open-files", &type_count, AT(limits.open_files), .min = 64, .max = 1 << 30, .lxc = "lxc.prlimit.nofile",
	 .doc = "The hard limit of open files of each process in the guest (RLIMIT_NOFILE). Without it, 524288 or what the host "
		"allows.",
	 .example = "65536"},
	{SECTION_LIMITS, "locked-memory", &type_size, AT(limits.locked_memory), .max = INT64_MAX, .lxc = "lxc.prlimit.memlock",
	 .doc = "Most memory that a process may lock (RLIMIT_MEMLOCK), and all of a user's together. Without it, 8M, which a process may "
		"raise to 64M.",
	 .example = "256M"},
	{SECTION_LIMITS, "file-size", &type_size, AT(limits.file_size), .min = 4096, .max = INT64_MAX, .lxc = "lxc.prlimit.fsize",
	 .doc = "The largest file that a process may write (RLIMIT_FSIZE).", .example = "10G"},
	{SECTION_LIMITS, "message-queues", &type_size, AT(limits.message_queues), .max = 1 << 30, .lxc = "lxc.prlimit.msgqueue",
	 .doc = "Bytes that a user's POSIX message queues may take (RLIMIT_MSGQUEUE). Without it, 819200.", .example = "1M"},
	{SECTION_LIMITS, "pending-signals", &type_number, AT(limits.pending_signals), .min = 64, .max = 1 << 30,
	 .lxc = "lxc.prlimit.sigpending",
	 .doc = "Signals that may wait for a user's processes (RLIMIT_SIGPENDING). Without it, 65536.", .example = "16384"},
	{SECTION_LIMITS, "terminals", &type_number, AT(limits.terminals), .min = 8, .max = 1048576, .fallback = "1024",
	 .doc = "Most pseudo terminals in the guest's /dev/pts. The host has kernel.pty.max of them for all guests together.",
	 .example = "64"},
	{SECTION_LIMITS, "namespaces", &type_number, AT(limits.namespaces), .min = 8, .max = INT32_MAX, .fallback = "1024",
	 .doc = "Most namespaces of each kind that each user of the guest may have beside the guest's own (user.max_*_namespaces inside). "
		"The guest's root may raise it, but all users of the guest together never get beyond what the host's user.max_*_namespaces "
		"give one user. A privileged guest has only the host's.",
	 .example = "64"},

	/* security */
	{SECTION_SECURITY, "privileged", &type_bool, AT(security.privileged), .fallback = "no", .own = true,
	 .doc = "Whether the guest runs without a user namespace of its own. Its root is then the host's root, held back by "
		"dropped capabilities and filters alone; say yes only to a guest that is trusted like the host. It makes and opens no "
		"device beyond those that every guest has, yet on a kernel without AppArmor it can mount what the host has mounted.",
	 .example = "yes"},
	{SECTION_SECURITY, "nesting", &type_bool, AT(security.nesting), .fallback = "no",
	 .doc = "Whether guests may run inside this guest: Docker, podman, LXC, systemd-nspawn. That weakens what holds it. It may "
		"then make namespaces of every kind, user namespaces too, and call bpf(2), so that more of the kernel can be "
		"attacked. /proc and /sys are as the kernel shows them: nothing is masked, and nothing in /proc/sys is read-only, so "
		"only ownership keeps its root, who is nobody on the host, from the host's settings, and the memory map in "
		"/sys/firmware and the boot's id can be read. The AppArmor profile loses its rules about mounts of proc and "
		"sys. It cannot be checkpointed. Ids, capabilities, the call filter's other refusals, devices, network and limits stay.",
	 .example = "yes"},
	{SECTION_SECURITY, "ids", &type_number, AT(security.ids), .min = 65536, .max = UINT32_MAX - 131071, .internal = true,
	 .doc = "The first of the 65,536 user and group ids of the host that are the guest's alone.", .example = "524288"},
	{SECTION_SECURITY, "keep-capabilities", &type_caps, AT(security.keep_caps),
	 .doc = "Capabilities that the guest keeps although isle drops them by default.", .example = "sys_time"},
	{SECTION_SECURITY, "drop-capabilities", &type_caps, AT(security.drop_caps), .lxc = "lxc.cap.drop",
	 .doc = "Capabilities that the guest loses beside those that isle drops by default.", .example = "net_raw, sys_nice"},
	{SECTION_SECURITY, "seccomp", &type_profile, AT(security.seccomp), .fallback = "default", .lxc = "lxc.seccomp.profile",
	 .doc = "The list of system calls that the guest may make: default; the path of a list of your own, in isle's language "
		"or in version 2 of LXC's; or none, which leaves the guest all of the kernel to attack.",
	 .example = "/etc/isle/seccomp/strict"},
	{SECTION_SECURITY, "apparmor", &type_choice, AT(security.apparmor), .choices = apparmor_choices, .fallback = "auto",
	 .doc = "Whether the guest runs under an AppArmor profile of its own: auto where the kernel has AppArmor, require to refuse to start "
		"where it has not, none for never.",
	 .example = "require"},
	{SECTION_SECURITY, "time-namespace", &type_bool, AT(security.time_namespace), .fallback = "yes",
	 .doc = "Whether the guest's uptime and monotonic clock begin at its own start instead of the host's.", .example = "no"},

	/* network */
	{SECTION_NETWORK, "type", &type_choice, AT_NET(type), .choices = network_choices, .fallback = "bridge",
	 .lxc = "lxc.net.N.type",
	 .doc = "bridge: a veth pair whose host end is a port of the bridge in link. none: the section is kept and no interface "
		"is made.",
	 .example = "bridge"},
	{SECTION_NETWORK, "link", &type_name, AT_NET(link), .max = 15, .fallback = "isle0", .lxc = "lxc.net.N.link",
	 .doc = "The network that the interface is on: a file of that name in /etc/isle/networks; isle0 is made at its first use.",
	 .example = "isle0"},
	{SECTION_NETWORK, "address", &type_address, AT_NET(address), .max = 4, .fallback = "auto", .lxc = "lxc.net.N.ipv4.address",
	 .doc = "The IPv4 address. auto: one of the network's, the same at every start. none: no IPv4.", .example = "10.0.3.20/24"},
	{SECTION_NETWORK, "address6", &type_address, AT_NET(address6), .max = 6, .fallback = "auto",
	 .lxc = "lxc.net.N.ipv6.address",
	 .doc = "The IPv6 address. auto: one of the network's, the same at every start. none: no IPv6.",
	 .example = "fd00:10:3::20/64"},
	{SECTION_NETWORK, "gateway", &type_ip, AT_NET(gateway), .max = 4, .lxc = "lxc.net.N.ipv4.gateway",
	 .doc = "Where the IPv4 default route points. Without it, the network's own address.", .example = "10.0.3.1"},
	{SECTION_NETWORK, "gateway6", &type_ip, AT_NET(gateway6), .max = 6, .lxc = "lxc.net.N.ipv6.gateway",
	 .doc = "Where the IPv6 default route points. Without it, the network's own address.", .example = "fd00:10:3::1"},
	{SECTION_NETWORK, "default-route", &type_bool, AT_NET(default_route),
	 .doc = "Whether the default routes go through this interface. Without it, yes for the first [network] section and no "
		"for the others.",
	 .example = "yes"},
	{SECTION_NETWORK, "mtu", &type_number, AT_NET(mtu), .min = 68, .max = 65535, .lxc = "lxc.net.N.mtu",
	 .doc = "The largest packet in bytes. Without it, the bridge's. IPv6 needs 1280.", .example = "1400"},
	{SECTION_NETWORK, "mac", &type_mac, AT_NET(mac), .lxc = "lxc.net.N.hwaddr",
	 .doc = "The hardware address. Without it, one made from the guest's id and the section's name, the same at every start.",
	 .example = "02:00:5e:10:00:01"},
	{SECTION_NETWORK, "spoofing", &type_choice, AT_NET(spoofing), .choices = spoofing_choices, .fallback = "deny",
	 .doc = "What the guest may send under another's name. deny: nothing; its frames carry its own MAC and IP addresses, also "
		"in ARP and neighbour discovery, and no VLAN tags, router advertisements or DHCP server's replies. addresses: the "
		"same, but any IP address, for a guest that has its addresses from elsewhere or routes for others. allow: whatever it "
		"likes, which a guest needs that puts this interface into a bridge of its own. isle-network(5) has the details.",
	 .example = "addresses"},
	{SECTION_NETWORK, "isolated", &type_bool, AT_NET(isolated), .fallback = "no",
	 .doc = "Whether the guest is kept from all other isolated guests on the same network; it reaches the host, the outside and "
		"guests that are not isolated.",
	 .example = "yes"},

	/* mount */
	{SECTION_MOUNT, "source", &type_string, AT_MOUNT(source), .lxc = "lxc.mount.entry",
	 .doc = "What is mounted: a path on the host, or, when type is given, the file system's source (any word where it has "
		"none).",
	 .example = "/srv/data"},
	{SECTION_MOUNT, "target", &type_path, AT_MOUNT(target),
	 .doc = "Where it is seen inside the guest. Links in the guest's own root are followed inside the guest only.",
	 .example = "/data"},
	{SECTION_MOUNT, "type", &type_name, AT_MOUNT(type),
	 .doc = "A file system's type, such as tmpfs. Without it, source is a path of the host that is seen at target as well (a "
		"bind mount).",
	 .example = "tmpfs"},
	{SECTION_MOUNT, "options", &type_words, AT_MOUNT(options),
	 .doc = "ro, rw, nosuid, nodev, noexec as in mount(8); rec: with what is mounted below the source; optional: no error "
		"when the source is missing; create=dir or create=file: make the target when it is missing; idmap: files keep "
		"the owners that they have on the host, seen through the guest's ids. Other words are given to the file system "
		"of type.",
	 .example = "ro,optional,create=dir"},

	/* device */
	{SECTION_DEVICE, "type", &type_choice, AT_DEV(type), .choices = device_choices, .fallback = "node",
	 .doc = "node: a character or block device, for which a node is made in the guest's /dev. nic: a network interface of the "
		"host, which moves into the guest and comes back when the guest ends or the device is removed; nobody configures it.",
	 .example = "node"},
	{SECTION_DEVICE, "source", &type_string, AT_DEV(source), .max = 255, .lxc = "lxc.mount.entry",
	 .doc = "The device on the host: a node's path (links are followed), or an interface's name.",
	 .example = "/dev/dri/renderD128"},
	{SECTION_DEVICE, "target", &type_string, AT_DEV(target), .max = 100,
	 .doc = "Where it is in the guest: a path below /dev, or the interface's name. Without it, as on the host.",
	 .example = "/dev/dri/renderD128"},
	{SECTION_DEVICE, "mode", &type_mode, AT_DEV(mode), .fallback = "0660",
	 .doc = "The permissions of the guest's node, which is the guest's alone: the host's own stays as it is.",
	 .example = "0666"},
	{SECTION_DEVICE, "uid", &type_number, AT_DEV(uid), .max = 65535, .fallback = "0",
	 .doc = "The node's owner, as the guest counts.", .example = "1000"},
	{SECTION_DEVICE, "gid", &type_number, AT_DEV(gid), .max = 65535, .fallback = "0",
	 .doc = "The node's group, as the guest counts.", .example = "44"},
	{SECTION_DEVICE, "access", &type_access, AT_DEV(access), .fallback = "rw", .lxc = "lxc.cgroup2.devices.allow",
	 .doc = "What the guest may do with a node, as root too: r read, w write, m make further nodes of it, which only privileged "
		"guests can.",
	 .example = "rwm"},
	{SECTION_DEVICE, "optional", &type_bool, AT_DEV(optional), .fallback = "no",
	 .doc = "Whether the guest starts without the device when the host has none.", .example = "yes"},
};
_Static_assert(sizeof key_table / sizeof key_table[0] <= KEYS_MAX, "KEYS_MAX must grow with the table");
const size_t key_count = sizeof key_table / sizeof key_table[0];

const struct key *key_find(enum section section, const char *name)
{
	for (size_t i = 0; i < key_count; i++)
		if (key_table[i].section == section && !strcmp(key_table[i].name, name))
			return &key_table[i];
	return NULL;
}
