#!/usr/bin/env bats
# What would end or disturb the whole machine, were it not for the guest's namespaces: reboots, signals to everybody, crashes.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest calm
	isle start calm
}
teardown_file() { end_of_file; }
setup() {
	before
	make_guest one
	isle start one
	arm_with one intrude
}
teardown() {
	isle destroy -q --force one
	same_host
}

@test "machine: halt, power off, restart, kexec and suspend end the guest at most" {
	local how boot
	boot=$(cat /proc/sys/kernel/random/boot_id)
	for how in cad-on cad-off suspend kexec; do
		run timeout 20 "$ISLE" exec one -- /root/intrude machine "$how"
		says_not HOLE
	done
	for how in restart halt off; do
		run timeout 20 "$ISLE" exec one -- /root/intrude machine "$how"
		says_not HOLE
	done
	inside one 'reboot -f' || :
	wait_until 20 eval '[ "$(state one)" = running ]'
	arm_with one intrude
	inside one 'poweroff -f' || :
	wait_until 20 eval '[ "$(state one)" = stopped ]'
	is 'the boot of the host' "$boot" "$(cat /proc/sys/kernel/random/boot_id)"
	is 'state of another guest' running "$(state calm)"
	isle start one
}

@test "machine: a signal to everybody reaches the guest's processes alone" {
	local monitor init
	monitor=$(monitor_pid one)
	init=$(init_pid calm)
	run timeout 20 "$ISLE" exec one -- /root/intrude machine kill
	kill -0 "$monitor"
	kill -0 "$init"
	works timeout 20 "$ISLE" exec one -- true
	# Numbers of the host's processes mean nothing inside.
	! inside one "kill -9 $monitor" 2>/dev/null || [ "$monitor" -lt 1000 ] || flunk 'a process of that number is there'
	kill -0 "$monitor"
}

# The handler of the host's core_pattern runs as the host's root, with the crashing process's names and files to work on. Only in a VM,
# where it may be set; there a crash on the machine itself shows that the handler works.
@test "machine: a crash in a guest does not run the host's core handler" {
	local pattern handler=$BATS_TEST_TMPDIR/handler
	[ "${ISLE_VM:-0}" = 1 ] || skip 'the core handler of this machine is not changed; tests/vm/run has one of its own'
	pattern=$(cat /proc/sys/kernel/core_pattern)
	printf '#!/bin/sh\necho "$1" >>%s/crashed\n' "$BATS_TEST_TMPDIR" >"$handler"
	chmod 755 "$handler"
	echo "|$handler %e" >/proc/sys/kernel/core_pattern
	run timeout 20 "$ISLE" exec one -- /root/intrude machine crash
	sleep 2
	run cat "$BATS_TEST_TMPDIR/crashed"
	says_not intrude
	(ulimit -c unlimited && "$HOSTILE_TOOLS/intrude" machine crash) || :
	wait_until 10 grep -q intrude "$BATS_TEST_TMPDIR/crashed"
	printf '%s\n' "$pattern" >/proc/sys/kernel/core_pattern
}

# Such a handler can be set in the first mount namespace only.
set_pattern() {
	nsenter -t 1 -m -- sh -c 'printf "%s\n" "$1" >/proc/sys/kernel/core_pattern' sh "$1"
}

# Since Linux 6.16 the handler may be a socket, which the kernel connects in the crashing process whatever its limit is.
@test "machine: a crash in a guest reaches no core handler that is a socket" {
	local pattern socket=/run/isle-test-core heard=$BATS_TEST_TMPDIR/heard listener
	[ "${ISLE_VM:-0}" = 1 ] || skip 'the core handler of this machine is not changed; tests/vm/run has one of its own'
	[ "$(printf '6.16\n%s\n' "$(uname -r)" | sort -V | head -n 1)" = 6.16 ] || skip 'this kernel has no core handlers that are sockets'
	pattern=$(cat /proc/sys/kernel/core_pattern)
	python3 - "$socket" "$heard" <<-'END' 3>&- &
		import os, socket, sys
		s = socket.socket(socket.AF_UNIX)
		s.bind(sys.argv[1])
		s.listen(8)
		while True:
		    c = s.accept()[0]
		    while c.recv(65536):
		        pass
		    open(sys.argv[2], "a").write("crash\n")
	END
	listener=$!
	wait_until 10 test -S "$socket"
	set_pattern "@$socket"
	is 'the handler' "@$socket" "$(cat /proc/sys/kernel/core_pattern)"
	# Those that run already, and those that are started now.
	run timeout 20 "$ISLE" exec one -- /root/intrude machine crash
	isle restart --kill one
	arm_with one intrude
	run timeout 20 "$ISLE" exec one -- /root/intrude machine crash
	sleep 2
	[ ! -e "$heard" ] || flunk "the host's handler has heard of $(wc -l <"$heard") crashes in a guest"
	works isle doctor
	says 'core program'
	(ulimit -c unlimited && "$HOSTILE_TOOLS/intrude" machine crash) || :
	wait_until 10 test -s "$heard"
	set_pattern "$pattern"
	kill "$listener"
	wait "$listener" || :
	rm -f "$socket"
}
