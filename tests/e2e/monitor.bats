#!/usr/bin/env bats
# The monitor beside each guest: small, and never a guest's undoing.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
}

setup() {
	[ "$(state one)" = running ] || isle start one
}

teardown_file() {
	end_of_file
}

@test "monitor: small, with no library of isle's in it" {
	monitor=$(monitor_pid one)
	is name isle-monitor "$(cat "/proc/$monitor/comm")"
	run cat "/proc/$monitor/maps"
	for library in libnl nftables json libarchive seccomp; do says_not "$library"; done
	private=$(awk '/^Private/ { n += $2 } END { print n }' "/proc/$monitor/smaps_rollup" 2>/dev/null || awk '/^Private/ { n += $2 } END { print n }' "/proc/$monitor/smaps")
	[ "$private" -lt 400 ] || flunk "$private KiB of its own"
}

@test "monitor: holds no folder, terminal or descriptor of its caller's" {
	monitor=$(monitor_pid one)
	is cwd / "$(readlink "/proc/$monitor/cwd")"
	run ls -l "/proc/$monitor/fd"
	# The guest's network it does hold: interfaces of the host may be in there when init ends.
	is networks "$(readlink "/proc/$(init_pid one)/ns/net")" "$(grep -o 'net:\[[0-9]*\]' <<<"$output" | sort -u)"
	says_not /dev/tty
	says_not "$BATS_TEST_TMPDIR"
	is 'controlling terminal' 0 "$(awk '{ print $7 }' "/proc/$monitor/stat")"
	is session "$monitor" "$(awk '{ print $6 }' "/proc/$monitor/stat")"
}

@test "monitor: is not in the guest's namespaces or groups" {
	monitor=$(monitor_pid one)
	for kind in mnt pid net uts ipc cgroup user; do
		is "namespace $kind" "$(readlink /proc/self/ns/$kind)" "$(readlink "/proc/$monitor/ns/$kind")"
	done
	run cat "/proc/$monitor/cgroup"
	says_not "isle-$E2E_TAG/one"
}

@test "monitor: kill -9 leaves the guest running; the next command gives it a new one" {
	monitor=$(monitor_pid one)
	init=$(init_pid one)
	kill -9 "$monitor"
	wait_until 5 gone "$monitor"
	is state running "$(state one)"
	is init "$init" "$(init_pid one)"
	# A command that takes the lock.
	isle freeze one
	isle unfreeze one
	new=$(monitor_pid one)
	isnt monitor "$monitor" "$new"
	is name isle-monitor "$(cat "/proc/$new/comm")"
	is init "$init" "$(init_pid one)"
	is answer hi "$(isle exec one -- echo hi)"
	works "$E2E_HERE/terminal" see:Connected type:'\x01q' -- "$ISLE" console one
}

@test "monitor: with a new one the console works and a reboot is a reboot" {
	monitor=$(monitor_pid one)
	kill -9 "$monitor"
	wait_until 5 gone "$monitor"
	works isle list
	isle freeze one
	isle unfreeze one
	monitor=$(monitor_pid one)
	isle exec one -- sh -c 'echo into-the-new-console >/dev/console'
	shows() { isle log --console one | grep -q into-the-new-console; }
	wait_until 5 shows
	init=$(init_pid one)
	run isle exec one -- reboot -f
	other_init() { [ "$(state one)" = running ] && [ "$(init_pid one)" != "$init" ]; }
	other_or_none() { other_init || [ "$(state one)" = stopped ]; }
	wait_until 20 other_or_none
	if [ "$(state one)" = stopped ]; then
		# Only a parent is told of the reboot for certain; who else asks may be too late.
		works isle log --events --lines 1 one
		says unknown
		skip "init's reaper was quicker than its new monitor"
	fi
	is monitor "$monitor" "$(monitor_pid one)"
	run isle exec one -- poweroff -f
	isle wait --timeout 20 one
	assert_nothing_left one
}

@test "monitor: kill -9 and then stop, restart, destroy" {
	for verb in 'stop --kill' 'stop' 'restart --kill' 'destroy --force'; do
		[ -e "$ISLE_PATH/guests/two" ] || make_guest two
		[ "$(state two)" = running ] || isle start two
		kill -9 "$(monitor_pid two)"
		# shellcheck disable=SC2086 # a verb and its option
		isle $verb two
		case $verb in
		restart*) is state running "$(state two)" ;;
		stop*) is state stopped "$(state two)" ;;
		esac
	done
	isle stop --kill one
	assert_nothing_left one
}

@test "monitor: the guest ends while none watches; the next command clears up" {
	monitor=$(monitor_pid one)
	init=$(init_pid one)
	kill -9 "$monitor"
	wait_until 5 gone "$monitor"
	kill -9 "$init"
	wait_until 5 gone "$init"
	works isle list
	isle start one
	is state running "$(state one)"
	isle stop --kill one
	assert_nothing_left one
}

@test "monitor: the end of the terminal that started the guest does not reach it" {
	isle stop --kill one
	run "$E2E_HERE/terminal" see:'started-here' hangup: -- bash -ic "'$ISLE' start one; echo started-\"\"here; sleep 1000"
	is state running "$(state one)"
	is monitor isle-monitor "$(cat "/proc/$(monitor_pid one)/comm")"
	is answer hi "$(isle exec one -- echo hi)"
}

@test "monitor: signals to the caller's process group do not reach it" {
	isle stop --kill one
	run setsid bash -c "'$ISLE' start one; trap '' TERM; kill -TERM 0; trap - INT; kill -HUP 0"
	is state running "$(state one)"
	monitor=$(monitor_pid one)
	kill -HUP "$monitor"
	kill -INT "$monitor"
	is answer hi "$(isle exec one -- echo hi)"
	is monitor "$monitor" "$(monitor_pid one)"
	gone "$monitor" && flunk 'it is gone' || :
}

@test "monitor: SIGTERM to it, as a host that shuts down sends, stops the guest cleanly" {
	isle exec one -- sh -c 'rm -f /root/marks; mkdir -p /etc/rc.stop && printf "#!/bin/sh\necho clean >>/root/marks\n" >/etc/rc.stop/mark && chmod 755 /etc/rc.stop/mark'
	kill -TERM "$(monitor_pid one)"
	isle wait --timeout 20 one
	assert_nothing_left one
	isle start one
	is marks clean "$(isle exec one -- cat /root/marks)"
}

@test "monitor: garbage on its socket harms nobody" {
	socket=$(find "$ISLE_PATH/run/one" -type s | head -n 1)
	[ -n "$socket" ]
	python3 - "$socket" <<'END'
import os, socket, sys
for size in (0, 1, 3, 8, 64, 4096, 60000):
    for _ in range(3):
        s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
        s.connect(sys.argv[1])
        try:
            s.send(os.urandom(size))
            s.settimeout(0.2)
            s.recv(100)
        except OSError:
            pass
        s.close()
keep = []
for _ in range(60):
    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
    s.settimeout(1)
    try:
        s.connect(sys.argv[1])
        keep.append(s)
    except OSError:
        break
END
	is answer hi "$(isle exec one -- echo hi)"
	works "$E2E_HERE/terminal" see:Connected type:'\x01q' -- "$ISLE" console one
	isle stop --kill one
	assert_nothing_left one
}

@test "monitor: uses no processor time while the guest is idle" {
	monitor=$(monitor_pid one)
	before=$(awk '{ print $14 + $15 }' "/proc/$monitor/stat")
	timeout 1 sh -c 'while :; do :; done' || :
	after=$(awk '{ print $14 + $15 }' "/proc/$monitor/stat")
	[ $((after - before)) -le 2 ] || flunk "$((after - before)) ticks in a second"
}
