# What the tests of hostile guests share: arming a guest, and looking at the host before and after.
# shellcheck shell=bash

# shellcheck source=tests/e2e/lib.bash
. "${BATS_TEST_DIRNAME:?}/../e2e/lib.bash"

: "${HOSTILE_TOOLS:?start the tests by tests/hostile/run}"

# Brings the attacker's tool into a running guest.
arm() {
	isle exec "$1" -- sh -c 'cat >/root/strike; chmod 755 /root/strike' <"$HOSTILE_TOOLS/strike"
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

# How the host is: what no guest may change. Values that count or change by themselves are left out.
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
	echo '[programs]'
	sha256sum "$ISLE" "$(dirname "$ISLE")"/isle-monitor 2>/dev/null
	stat -c '%n %a %u %g %s' "$ISLE"
	echo '[nodes]'
	stat -c '%n %F %a %u %g %t %T' /dev/null /dev/zero /dev/full /dev/random /dev/urandom /dev/tty
	echo '[knobs]'
	cat /proc/sys/kernel/core_pattern /proc/sys/kernel/modprobe /sys/kernel/uevent_helper /proc/sys/kernel/hostname 2>/dev/null
	ls /proc/sys/fs/binfmt_misc 2>/dev/null
	true
)

before() {
	: >"$BATS_TEST_TMPDIR/then"
	host_picture >"$BATS_TEST_TMPDIR/host"
	mount_table >"$BATS_TEST_TMPDIR/mounts"
}

# Nothing of it has changed, and no file of the system.
same_host() {
	local changed
	host_picture | diff "$BATS_TEST_TMPDIR/host" - >"$BATS_TEST_TMPDIR/difference" ||
		flunk 'the host has changed:' "$(cat "$BATS_TEST_TMPDIR/difference")" || return 1
	# Others on this machine may take mounts away meanwhile.
	changed=$(mount_table | comm -13 "$BATS_TEST_TMPDIR/mounts" -)
	[ -z "$changed" ] || flunk 'the host has new mounts:' "$changed" || return 1
	changed=$(find /etc /boot /usr/local -xdev -newer "$BATS_TEST_TMPDIR/then" -type f 2>/dev/null)
	[ -z "$changed" ] || flunk 'files of the host have changed:' "$changed"
}

# The host and another guest can still be worked with: GUEST
usable() {
	works timeout 20 "$ISLE" exec "$1" -- true
	works timeout 20 "$ISLE" list --long
}
