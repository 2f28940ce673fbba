#!/usr/bin/env bats
# What guests are shown of themselves by lxcfs, and what is promised to them against what the host has.

load lib
bats_require_minimum_version 1.5.0

LXCFS=/var/lib/lxcfs

# The host's lxcfs, as systemd would run it; its process and mount are this file's own.
lxcfs_start() { # [OPTION...]
	mkdir -p "$LXCFS"
	lxcfs -f "$@" -p "$BATS_FILE_TMPDIR/lxcfs.pid" "$LXCFS" >"$BATS_FILE_TMPDIR/lxcfs.log" 2>&1 3>&- &
	disown
	wait_until 10 test -r "$LXCFS/proc/meminfo"
}

lxcfs_stop() { # [SIGNAL]
	local pid
	pid=$(cat "$BATS_FILE_TMPDIR/lxcfs.pid" 2>/dev/null) || return 0
	rm -f "$BATS_FILE_TMPDIR/lxcfs.pid"
	! kill "-${1:-TERM}" "$pid" 2>/dev/null || wait_until 10 gone "$pid"
	[ "${1:-TERM}" = KILL ] || umount -l "$LXCFS" 2>/dev/null || :
}

needs_lxcfs() {
	needs lxcfs
	[ -e /dev/fuse ] || skip 'this host has no /dev/fuse'
	# The host's own stays where it is: this mount namespace is the tests'.
	! mountpoint -q "$LXCFS" || umount -l "$LXCFS"
	lxcfs_start
}

teardown() {
	local names
	names=$(isle list -1)
	# shellcheck disable=SC2086 # names have no blanks
	[ -z "$names" ] || isle destroy --force $names
	lxcfs_stop KILL
	umount -l "$LXCFS" 2>/dev/null || :
}

teardown_file() {
	end_of_file
}

# What a guest's /proc/meminfo says, in KiB: NAME FIELD
meminfo() {
	isle exec "$1" -- sed -n "s/^$2: *\([0-9]*\) kB/\1/p" /proc/meminfo
}

@test "lxcfs: free, nproc, cpuinfo and top agree with the limits" {
	needs_lxcfs
	make_guest a --set limits.memory=96M --set limits.cpus=0.5 --set limits.swap=0
	isle start a
	is memory 98304 "$(meminfo a MemTotal)"
	is swap 0 "$(meminfo a SwapTotal)"
	is nproc 1 "$(isle exec a -- nproc)"
	is cpuinfo 1 "$(isle exec a -- grep -c '^processor' /proc/cpuinfo)"
	is stat 1 "$(isle exec a -- grep -c '^cpu[0-9]' /proc/stat)"
	is online 0 "$(isle exec a -- cat /sys/devices/system/cpu/online)"
	[ "$(isle exec a -- cat /proc/uptime | cut -d. -f1)" -lt 100 ]
	isle exec a -- top -b -n 1 | grep '^Mem: ' >"$BATS_TEST_TMPDIR/top"
	used=$(sed 's/^Mem: \([0-9]*\)K used.*/\1/' "$BATS_TEST_TMPDIR/top")
	[ "$used" -lt 98304 ] || flunk "$(cat "$BATS_TEST_TMPDIR/top")"
	# A live change is seen at once.
	isle limit a memory=64M
	is memory 65536 "$(meminfo a MemTotal)"
}

# How the files of lxcfs are mounted in a guest.
covered() {
	isle exec "$1" -- awk '/lxcfs/ { print $5, $6 }' /proc/self/mountinfo | sort
}

@test "lxcfs: a guest that slept sees its own size too, and can write no more to it than before" {
	needs_lxcfs
	needs_criu
	make_guest a --set limits.memory=96M --set limits.cpus=0.5
	isle start a
	before=$(covered a)
	[[ $before == */proc/meminfo\ ro* ]] || flunk "$before"
	for _ in 1 2; do
		isle checkpoint -q a
		isle start a
		is 'mounts of lxcfs' "$before" "$(covered a)"
		is memory 98304 "$(meminfo a MemTotal)"
		is nproc 1 "$(isle exec a -- nproc)"
	done
}

@test "lxcfs: free and nproc of Debian, whose init has groups of its own" {
	needs_debian
	needs_lxcfs
	make_debian d --set limits.memory=384M --set limits.cpus=0.6
	isle start --wait d
	is memory 393216 "$(meminfo d MemTotal)"
	is nproc 1 "$(isle exec d -- nproc)"
	is getconf 1 "$(isle exec d -- getconf _NPROCESSORS_ONLN)"
	[ "$(isle exec d -- sh -c 'command -v free >/dev/null || exit 0; free -k' | awk '/^Mem/ { print $2 }')" = 393216 ] ||
		run ! isle exec d -- sh -c 'command -v free'
}

@test "lxcfs: its files are read-only in the guest, and nothing else of it is there" {
	needs_lxcfs
	make_guest a --set limits.memory=96M
	isle start a
	isle exec a -- cat /proc/self/mountinfo >"$BATS_TEST_TMPDIR/mounts"
	grep -q ' /proc/meminfo ro,' "$BATS_TEST_TMPDIR/mounts"
	run ! grep -q '/run/host/.lxcfs' "$BATS_TEST_TMPDIR/mounts"
	run ! isle exec a -- mount -o remount,bind,rw /proc/meminfo
	run ! isle exec a -- ls /run/host/.lxcfs
}

@test "lxcfs: more CPUs than the host has are all of them, and a list is a list" {
	needs_lxcfs
	make_guest a --set limits.cpus=512
	isle start a
	is nproc "$(nproc)" "$(isle exec a -- nproc)"
	isle limit a cpus=0.3
	is nproc 1 "$(isle exec a -- nproc)"
	isle limit a cpuset=all
	is nproc "$(nproc)" "$(isle exec a -- nproc)"
	isle limit a cpuset=auto
	is nproc 1 "$(isle exec a -- nproc)"
	isle limit a cpuset= cpus=
	is nproc "$(nproc)" "$(isle exec a -- nproc)"
}

@test "lxcfs: guest.lxcfs=no shows the host's figures, also live; yes needs it; nesting has none" {
	needs_lxcfs
	make_guest a --set limits.memory=96M --set guest.lxcfs=no
	host=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)
	isle start a
	is memory "$host" "$(meminfo a MemTotal)"
	isle config a set guest.lxcfs=auto
	is memory 98304 "$(meminfo a MemTotal)"
	isle config a set guest.lxcfs=no
	is memory "$host" "$(meminfo a MemTotal)"
	make_guest b --set security.nesting=yes --set limits.memory=96M
	isle start b
	is memory "$host" "$(meminfo b MemTotal)"
	lxcfs_stop
	make_guest c --set guest.lxcfs=yes
	fails 1 isle start c
	says 'lxcfs is not mounted'
	says 'apt install lxcfs'
}

@test "lxcfs: guests get the files of one that was started anew, and the host's while there is none" {
	needs_lxcfs
	make_guest a --set limits.memory=96M
	host=$(sed -n 's/^MemTotal: *\([0-9]*\) kB/\1/p' /proc/meminfo)
	isle start a
	is memory 98304 "$(meminfo a MemTotal)"
	# As in a crash: the mount stays, and answers nobody.
	lxcfs_stop KILL
	run isle exec a -- cat /proc/meminfo
	[ "$status" -ne 0 ]
	works isle doctor
	says 'isle doctor --lxcfs'
	isle doctor --lxcfs
	is memory "$host" "$(meminfo a MemTotal)"
	umount -l "$LXCFS"
	lxcfs_start
	# Any command that changes the guest will do.
	isle limit a processes=200
	is memory 98304 "$(meminfo a MemTotal)"
	# As when it is restarted in good order.
	lxcfs_stop
	lxcfs_start
	run isle exec a -- cat /proc/meminfo
	[ "$status" -ne 0 ]
	isle doctor --lxcfs
	is memory 98304 "$(meminfo a MemTotal)"
	# One layer only: what was there before is gone.
	is layers 1 "$(isle exec a -- cat /proc/self/mountinfo | grep -c ' /proc/meminfo ')"
}

@test "lxcfs: a guest that slept has its own size again, as before" {
	needs_criu
	needs_lxcfs
	make_guest a --set limits.memory=96M --set limits.cpus=0.5
	isle start a
	for what in 'the same' another no; do
		isle checkpoint -q a
		[ "$what" = 'the same' ] || lxcfs_stop
		[ "$what" != another ] || lxcfs_start
		isle start a
		isle exec a -- cat /proc/self/mountinfo >"$BATS_TEST_TMPDIR/mounts"
		if [ "$what" = no ]; then
			[ "$(meminfo a MemTotal)" -gt 98304 ] || flunk 'of whom is this?'
			continue
		fi
		is "memory by $what" 98304 "$(meminfo a MemTotal)"
		is "nproc by $what" 1 "$(isle exec a -- nproc)"
		is "layers by $what" 1 "$(grep -c ' /proc/meminfo ' "$BATS_TEST_TMPDIR/mounts")"
		grep -q ' /proc/meminfo ro,nosuid,nodev,noexec' "$BATS_TEST_TMPDIR/mounts" || flunk "$what: $(grep /proc/meminfo "$BATS_TEST_TMPDIR/mounts")"
		run ! isle exec a -- mount -o remount,bind,rw /proc/meminfo
	done
	lxcfs_start
	isle doctor --lxcfs
	is 'memory after all' 98304 "$(meminfo a MemTotal)"
}

@test "lxcfs: doctor tells of one that leaves guests the host's load" {
	needs_lxcfs
	works isle doctor
	says 'lxcfs -l'
	says 'load average'
	lxcfs_stop
	lxcfs_start -l
	works isle doctor
	says_not 'load average'
}

@test "lxcfs: a guest that has its own mounts in /proc holds up nobody" {
	needs_lxcfs
	make_guest a --set limits.memory=96M
	isle start a
	isle exec a -- sh -c 'echo mine >/tmp/mine; mount --bind /tmp/mine /proc/meminfo; mount -t tmpfs none /proc/pressure'
	lxcfs_stop
	lxcfs_start
	isle limit a processes=200
	is swaps 1 "$(isle exec a -- grep -c ^Filename /proc/swaps)"
	is own mine "$(isle exec a -- cat /proc/meminfo)"
}

@test "totals: what is promised against what the host has" {
	make_guest a --set limits.memory=96M --set limits.cpus=1.5 --set limits.processes=100
	make_guest b --set limits.memory=32M --set limits.cpus=1
	isle start a
	isle list --totals --json >"$BATS_TEST_TMPDIR/totals"
	is running 100663296 "$(jq .memory.running "$BATS_TEST_TMPDIR/totals")"
	is all 134217728 "$(jq .memory.all "$BATS_TEST_TMPDIR/totals")"
	is cpus 1.5 "$(jq .cpus.running "$BATS_TEST_TMPDIR/totals")"
	is cpus 2.5 "$(jq .cpus.all "$BATS_TEST_TMPDIR/totals")"
	is host "$(nproc --all)" "$(jq ".cpus.host | floor" "$BATS_TEST_TMPDIR/totals")"
	is host "$(awk '/^MemTotal/ { printf "%.0f", $2 * 1024 }' /proc/meminfo)" "$(jq .memory.host "$BATS_TEST_TMPDIR/totals")"
	is processes 100 "$(jq .processes.running "$BATS_TEST_TMPDIR/totals")"
	is counts '2 1' "$(jq -r '"\(.guests) \(.running)"' "$BATS_TEST_TMPDIR/totals")"
	is unlimited 1 "$(jq .swap.unlimited "$BATS_TEST_TMPDIR/totals")"
	is uncounted 2 "$(jq .disk_uncounted "$BATS_TEST_TMPDIR/totals")"
	works isle list --totals
	says 'PROMISED'
	says '96 MiB'
	says 'The disk of 2 is not counted yet'
	isle usage --record
	works isle list --totals
	says_not 'not counted yet'
	# Of some guests it would say nothing against what the host has.
	fails 2 isle list --totals a
	says 'of all guests'
	fails 2 isle list --totals --running
	says "--running does not go with it"
	# More than a number can hold is not little.
	make_guest c d --set limits.memory=16000P
	[ "$(isle list --totals --json | jq '.memory.all >= 18446744073709551000')" = true ]
	isle destroy c d
	# Oversold.
	isle limit a memory=900T
	works isle doctor --json
	is level warn "$(jq -r '.findings[] | select(.topic == "promised" and .name == "memory") | .level' <<<"$output")"
	is cpus good "$(jq -r '.findings[] | select(.topic == "promised" and .name == "cpus") | .level' <<<"$output")"
	isle limit a cpus=500
	works isle doctor
	says 'each gets less'
}
