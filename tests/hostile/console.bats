#!/usr/bin/env bats
# What a guest writes, and what of it reaches the administrator's terminal and disk.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	isle start one
	arm one
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() { same_host; }

ticks() {
	awk '{ print $14 + $15 }' "/proc/$(monitor_pid one)/stat"
}

@test "console: a flood costs the monitor little and the log is capped" {
	local start end size
	start=$(ticks)
	inside one 'timeout 3 yes "$(printf "\033[2J\033]0;title\007")AAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAAA" >/dev/console' || :
	end=$(ticks)
	[ $((end - start)) -lt $((E2E_SLOW > 1 ? 250 : 150)) ] || flunk "the monitor used $((end - start)) of 300 ticks"
	size=$(du -sk "$ISLE_PATH/guests/one/log" | cut -f1)
	[ "$size" -lt 4096 ] || flunk "the log has $size KiB"
	start=$(ticks)
	isle exec one -- /root/strike bytes 2
	end=$(ticks)
	[ $((end - start)) -lt $((E2E_SLOW > 1 ? 190 : 150)) ] || flunk "the monitor used $((end - start)) of 200 ticks for single bytes"
	usable one
}

# After a flood the log leaves out what comes, for a while.
logged() {
	inside one 'printf "\033]0;pwned\007\033[31mred\r\n" >/dev/console'
	isle log --raw one | grep -q pwned
}

@test "console: escapes in the log do not reach a terminal" {
	wait_until 20 logged
	works script -qec "$ISLE log one" /dev/null
	says_not $'\033]0;pwned'
	# Nor does what a pager or tail passes on.
	works isle log one
	says_not $'\033'
	says '\x1b]0;pwned'
	works isle log --raw one
	says $'\033]0;pwned'
}

@test "console: modes, locks and stopped output do not harm the monitor" {
	strike one console
	isle exec one -- sh -c 'stty -F /dev/console raw -echo 0 2>/dev/null; :'
	works timeout 20 "$ISLE" list --long
	printf 'x%.0s' {1..20000} | timeout 5 "$ISLE" console one >/dev/null 2>&1 || :
	kill -0 "$(monitor_pid one)"
	works timeout 30 "$ISLE" stop --kill one
	isle start one
	arm one
}

@test "console: the guest has one terminal of the host's, its own" {
	is 'terminals' '' "$(inside one 'for p in /dev/pts/[0-9]*; do [ -e $p ] && echo $p; done; :')"
	! inside one 'mkdir -p /mnt/pts; mount --bind /dev/console/.. /mnt/pts' 2>/dev/null || flunk "the folder of the host's terminals is bound"
	is 'what the console shows of others' 1 "$(inside one 'mkdir -p /mnt/d; mount -t devpts d /mnt/d 2>/dev/null; ls /mnt/d | wc -l')"
}

@test "console: names with escapes do not reach the terminal" {
	inside one 'hostname "$(printf "x\033[2Jy")"' || :
	works isle list --long
	says_not $'\033'
	works isle info one
	says_not $'\033'
	fails 2 isle create -q -t busybox $'bad\033[2J'
	says_not $'\033'
}
