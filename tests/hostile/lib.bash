# What the tests of hostile guests share: arming a guest, and looking at the host before and after.
# shellcheck shell=bash

# shellcheck source=tests/e2e/lib.bash
. "${BATS_TEST_DIRNAME:?}/../e2e/lib.bash"

: "${HOSTILE_TOOLS:?start the tests by tests/hostile/run}"

# Brings the attacker's tool into a running guest: GUEST [TOOL]
arm() {
	isle exec "$1" -- sh -c 'cat >/root/$0; chmod 755 /root/$0' "${2:-strike}" <"$HOSTILE_TOOLS/${2:-strike}"
}

# Another tool: GUEST TOOL (intrude, canary)
arm_with() {
	isle exec "$1" -- sh -c "cat >/root/$2; chmod 755 /root/$2" <"$HOSTILE_TOOLS/$2"
}

# intrude GUEST WHAT [ARGUMENT...]: as strike does.
intrude() {
	local guest=$1
	shift
	works timeout 60 "$ISLE" exec "$guest" -- /root/intrude "$@"
	says_not HOLE
}

# strike GUEST WHAT [ARGUMENT...]: the attack runs and nothing of it works.
strike() {
	local guest=$1
	shift
	works timeout 60 "$ISLE" exec "$guest" -- /root/strike "$@"
	says_not HOLE
}

# inside GUEST SCRIPT: a shell script as the guest's root.
inside() {
	timeout 60 "$ISLE" exec "$1" -- sh -c "$2"
}

# The guest's own files as the host has them, for what its root left there before a stop: NAME
files_of() {
	printf '%s/guests/%s/upper' "$ISLE_PATH" "$1"
}

# A guest with the attacker's tool as its init: NAME KIND (reboot, deaf, quits, liar).
make_init() {
	local name=$1 kind=$2 files
	shift 2
	make_guest "$name" --storage overlay "$@"
	files=$(files_of "$name")
	mkdir -p "$files/sbin"
	cp "$HOSTILE_TOOLS/strike" "$files/sbin/strike"
	ln -sfn "/sbin/strike-$kind" "$files/sbin/init"
	ln -fn "$files/sbin/strike" "$files/sbin/strike-$kind"
}

# How the host is: what no guest may change. Values that count or change by themselves are left out. It takes a quarter of a second.
host_picture() (
	set +e
	echo '[sysctls]'
	find /proc/sys -path '/proc/sys/net/*/conf' -prune -o -path '/proc/sys/net/*/neigh' -prune -o -path '*/random' -prune -o -path '*/sched_domain' -prune -o \
		-type f -perm -600 ! -name ns_last_pid ! -name flush ! -name 'compact_*' ! -name stat_refresh -print0 | xargs -0 grep -s '' | sort
	cat /proc/sys/net/ipv[46]/conf/{all,default,lo}/* 2>/dev/null
	echo '[rules]'
	nft list ruleset 2>/dev/null | sed 's/counter packets [0-9]* bytes [0-9]*//' | grep -v "is$E2E_TAG-"
	echo '[links]'
	ip -o link show | grep -v " is$E2E_TAG-" | sed 's/^[0-9]*: //; s/ state [A-Z]*//; s/<[^>]*>//'
	ip route show table all | grep -v "dev is$E2E_TAG-\|fe80:\|^anycast\|^multicast" | sed "s/ linkdown//"
	ip -6 -o addr | awk '{ print $2, $4 }' | grep -v "^is$E2E_TAG-\| fe80:"
	ip -6 route show default
	echo '[listeners]'
	ss -Hltnup 2>/dev/null | awk '{ print $1, $4, $6 }' | sort
	ss -Hlx 2>/dev/null | awk '{ print $1, $5 }' | grep -v '/\.\{0,1\}control$' | sort # isle's own
	echo '[processes]'
	strays
	echo '[programs]'
	sha256sum "$ISLE" "$(dirname "$ISLE")"/isle-monitor /usr/libexec/isle/* 2>/dev/null
	stat -c '%n %a %u %g %s' "$ISLE"
	echo '[nodes]'
	stat -c '%n %F %a %u %g %t %T' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty /dev/fuse /dev/net/tun 2>/dev/null
	echo '[knobs]'
	cat /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /sys/kernel/uevent_helper /proc/sys/kernel/hostname 2>/dev/null
	ls /proc/sys/fs/binfmt_misc 2>/dev/null
	true
)

# Names of processes that nobody here has started: in a guest's user namespace but outside its control group, or left behind by their
# parent in the control group of these tests. In one process, since this is done twice a test.
strays() {
	find /proc/[0-9]*/ns/user -printf '%p %l\n' 2>/dev/null | awk -v tag="$E2E_TAG" -v user="$(readlink /proc/self/ns/user)" -v parent="$PPID" '
		function text(path, line, all) {
			all = ""
			while ((getline line <path) > 0)
				all = all line "\n"
			close(path)
			return all
		}
		BEGIN { own = text("/proc/self/cgroup") }
		{
			split($1, part, "/")
			folder = "/proc/" part[3]
			groups = text(folder "/cgroup")
			name = text(folder "/comm")
			sub(/\n$/, "", name)
			if (groups == "" || name == "")
				next
			if ($2 != "" && $2 != user) {
				if (!index(groups, tag))
					print "foreign " name
			} else if (groups == own && name != "isle-monitor" && part[3] != parent && text(folder "/status") ~ /\nPPid:\t1\n/)
				print "left " name
		}' | sort
}

# Files of the system that were changed, made or taken away since the test began. In a VM nobody else is at work; elsewhere only those
# are looked at that no build or installation touches, and where packages are being installed it cannot be told, and is not.
changed_files() {
	local changed then=$BATS_TEST_TMPDIR/then folders=(/etc /root/.ssh /root/.profile /root/.bashrc /boot /home /srv)
	[ "${ISLE_VM:-0}" != 1 ] || folders+=(/root /opt /var/spool)
	changed=$({
		find "${folders[@]}" -xdev -name .cache -prune -o -cnewer "$then" ! -path /root ! -name '*_history' -print
		[ "${ISLE_VM:-0}" != 1 ] || find /usr -xdev -maxdepth 2 -cnewer "$then"
	} 2>/dev/null || :)
	if [ -n "$changed" ] && [ -n "$(find /var/lib/dpkg /var/log/dpkg.log -maxdepth 1 -cnewer "$then" 2>/dev/null)" ]; then
		echo '# packages are being installed: changed files are not looked at' >&3
		return
	fi
	[ -z "$changed" ] || printf '%s\n' "$changed"
}

before() {
	# Beyond the grain of file systems' clocks: what was changed before the test is older.
	: >"$BATS_TEST_TMPDIR/then"
	touch -d '+20 milliseconds' "$BATS_TEST_TMPDIR/then" 2>/dev/null || :
	host_picture >"$BATS_TEST_TMPDIR/host"
	mount_table >"$BATS_TEST_TMPDIR/mounts"
}

# Nothing of it has changed, and no file of the system. compare.bats shows that it would tell.
same_host() {
	local changed
	# A process that ends after its parent is left behind for a moment.
	same_picture || ! grep -q '^[<>] \(left\|foreign\) ' "$BATS_TEST_TMPDIR/difference" || wait_until 2 same_picture 2>/dev/null || :
	[ ! -s "$BATS_TEST_TMPDIR/difference" ] || flunk 'the host has changed:' "$(cat "$BATS_TEST_TMPDIR/difference")" || return 1
	# Others on this machine may take mounts away meanwhile.
	changed=$(mount_table | comm -13 "$BATS_TEST_TMPDIR/mounts" -)
	[ -z "$changed" ] || flunk 'the host has new mounts:' "$changed" || return 1
	changed=$(changed_files)
	[ -z "$changed" ] || flunk 'files of the host have changed:' "$changed"
}

same_picture() {
	host_picture | diff "$BATS_TEST_TMPDIR/host" - >"$BATS_TEST_TMPDIR/difference"
}

# The host and another guest can still be worked with: GUEST
usable() {
	works timeout 20 "$ISLE" exec "$1" -- true
	works timeout 20 "$ISLE" list --long
}
