#!/usr/bin/env bats
# Inits that do not behave.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest calm
	isle start calm
	arm calm
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() {
	isle destroy -q --force two 2>/dev/null || :
	same_host
}

@test "init: one that reboots without end is slowed down, and stopped by the first stop" {
	make_init two reboot
	isle start two
	sleep 3
	[ "$(grep -c rebooted "$ISLE_PATH/guests/two/log/isle")" -lt 10 ] || flunk 'it is not slowed down'
	usable calm
	works timeout 20 "$ISLE" stop --kill two
	is state stopped "$(state two)"
	isle start two
	sleep 0.2
	works timeout 20 "$ISLE" stop two
	isle start two
	sleep 1.3
	works timeout 20 "$ISLE" destroy --force two
}

@test "init: one that ends at once leaves nothing" {
	make_init two quits
	for _ in 1 2 3; do
		run timeout 30 "$ISLE" start two
		[ "$status" -ne 124 ] || flunk 'the start hangs'
		wait_until 10 eval '[ "$(state two)" = stopped ]'
	done
	is 'groups left' '' "$(cgroups_left | grep '/two' || :)"
}

@test "init: one that ignores every signal is killed" {
	make_init two deaf
	isle start two
	run timeout 30 "$ISLE" stop --timeout 1 two
	is status 0 "$status"
	is state stopped "$(state two)"
}

@test "init: one that lies about being up, at length, harms nobody" {
	make_init two liar
	run timeout 30 "$ISLE" start --wait --timeout 3 two
	[ "$status" -ne 124 ] || flunk 'the wait has no end'
	works timeout 20 "$ISLE" stop --kill two
}

@test "init: one that is no program fails with a reason" {
	local files
	make_guest two --storage overlay
	files=$(files_of two)
	mkdir -p "$files/sbin"
	for trick in 'ln -s /dev/zero' mkfifo mkdir; do
		rm -rf "$files/sbin/init"
		$trick "$files/sbin/init"
		run timeout 30 "$ISLE" start two
		is "status with $trick" 1 "$status"
		says /sbin/init
	done
}

@test "init: a fork bomb stops at the guest's share, and others go on" {
	local made most
	most=$(cat /proc/sys/kernel/pid_max)
	inside calm 'cat /sys/fs/cgroup/pids.max 2>/dev/null; :' >/dev/null
	make_guest two --set limits.processes=300
	isle start two
	arm two
	timeout 30 "$ISLE" exec two -- /root/strike forks 1000 >"$BATS_TEST_TMPDIR/made" &
	local bomb=$!
	wait_until 10 test -s "$BATS_TEST_TMPDIR/made"
	made=$(cat "$BATS_TEST_TMPDIR/made")
	[ "$made" -lt 300 ] || flunk "$made processes with a limit of 300"
	usable calm
	works timeout 20 "$ISLE" stop --kill two
	wait "$bomb" || : # killed with the guest
	isle config two unset limits.processes
	isle start two
	arm two
	# Half of what the host can have: bounded before, whatever the host is.
	[ "$most" -le 65536 ] || most=65536
	made=$(timeout 60 "$ISLE" exec two -- sh -c "ulimit -s 64; /root/strike forks $((most / 2))")
	[ "$made" -lt $((most / 2)) ] || flunk "$made processes without a limit"
	works timeout 30 "$ISLE" stop --kill two
}

@test "init: inotify, keys and terminals are counted for the guest alone" {
	inside calm '/root/strike addkeys 100000; /root/strike inotify 100000; /root/strike ptys 100000' >"$BATS_TEST_TMPDIR/made"
	while read -r made; do
		[ "$made" -lt 100000 ] || flunk "$made without a bound"
	done <"$BATS_TEST_TMPDIR/made"
	make_guest two
	isle start two
	arm two
	[ "$(isle exec two -- /root/strike addkeys 50)" = 50 ] || flunk 'another guest has no keys left'
	[ "$(isle exec two -- /root/strike inotify 50)" = 50 ] || flunk 'another guest has no inotify left'
}
