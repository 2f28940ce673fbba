#!/usr/bin/env bats
# isle autostart: which guests, in which order, with which pauses.
load lib
bats_require_minimum_version 1.5.0

# dns is of group onboot, which comes first whatever the order; late1 and late2 are of one order; idle is not marked.
setup_file() {
	make_guest early --set guest.autostart=yes --set guest.start-order=10 --set guest.start-delay=2s
	make_guest late1 late2 --set guest.autostart=yes --set guest.start-order=20
	make_guest dns --set guest.autostart=yes --set guest.start-order=50 --set guest.groups=onboot,names
	make_guest idle --set guest.start-order=5
}

teardown_file() {
	end_of_file
}

teardown() {
	isle stop --all --kill -q || :
}

# When init was started, in ticks of 10 ms since the boot.
begun() {
	sed 's/.*) //' "/proc/$(init_pid "$1")/stat" | cut -d' ' -f20
}

@test "autostart --list: the order, and the pause after each" {
	works isle autostart --list
	is plan $'dns 0\nearly 2\nlate1 0\nlate2 0' "$output"
	works isle autostart --list --groups names
	is 'of one group' 'dns 0' "$output"
	works isle autostart --list --groups ,names
	is 'groups in the order asked for' $'early 2\nlate1 0\nlate2 0\ndns 0' "$output"
	works isle autostart --list --all-groups
	is 'whatever the group' $'early 2\nlate1 0\nlate2 0\ndns 0' "$output"
	works isle autostart --list --ignore-auto --all-groups
	is 'marked or not' $'idle 0\nearly 2\nlate1 0\nlate2 0\ndns 0' "$output"
	is 'for scripts' '[["dns",50,0],["early",10,2],["late1",20,0],["late2",20,0]]' \
		"$(isle autostart --list --json | jq -c 'map([.name, .order, .delay * 1])')"
	isle config early set guest.start-delay=500ms
	is 'part of a second' 'early 0.500' "$(isle autostart --list --all-groups | grep early)"
	isle config early set guest.start-delay=2s
	ln -sf "$ISLE" "$BATS_TEST_TMPDIR/isle-autostart"
	works "$BATS_TEST_TMPDIR/isle-autostart" -L
	is 'as LXC users call it' $'dns 0\nearly 2\nlate1 0\nlate2 0' "$output"
}

@test "autostart: starts them so, and waits after each order" {
	works isle autostart
	for name in dns early late1 late2; do is "state of $name" running "$(state $name)"; done
	is 'the one that is not marked' stopped "$(state idle)"
	[ "$(begun dns)" -le "$(begun early)" ] || flunk 'group onboot was not first'
	for name in late1 late2; do
		[ $(($(begun $name) - $(begun early))) -ge 200 ] || flunk "no pause of 2 s before $name"
	done
	# Once more: what runs is passed over, and nobody waits for it.
	pid=$(init_pid early)
	before=$(milliseconds)
	works isle autostart
	is 'early still runs' "$pid" "$(init_pid early)"
	[ $(($(milliseconds) - before)) -lt $((2000 * E2E_SLOW)) ] || flunk 'it waited for guests that were up'
}

@test "autostart: after the last order nobody waits" {
	isle config late1 set guest.start-delay=10m
	works timeout 120 "$ISLE" autostart --groups onboot,
	isle config late1 unset guest.start-delay
	is 'state of the last' running "$(state late2)"
}

@test "autostart: one that cannot start keeps no other, and the status tells" {
	isle config early set guest.init=/no/such/init guest.start-delay=0
	run isle autostart
	isle config early unset guest.init
	isle config early set guest.start-delay=2s
	is status 1 "$status"
	says "cannot start or end guest 'early'"
	for name in dns late1 late2; do is "state of $name" running "$(state $name)"; done
	is 'state of the one that cannot' stopped "$(state early)"
	isle stop --all --kill -q
	assert_nothing_left dns early late1 late2 idle
}

both_held() {
	[ "$(grep -c 'lets it go on' "$BATS_TEST_TMPDIR/held")" = 2 ]
}

# Its process is its child here, and so a zombie when it has ended.
@test "autostart: SIGTERM ends it: what was begun is made whole, and no later order follows" {
	local status=0
	isle config early set guest.start-order=30
	hold_at 'host name' autostart --groups ,
	wait_until 30 both_held
	# shellcheck disable=SC2154 # hold_at sets command
	kill -TERM "$command"
	wait_until 20 gone "$command" || { kill -KILL "$command" && flunk 'it goes on'; }
	wait "$command" || status=$?
	is status 143 "$status"
	sed -n 's/.*CONT \([0-9]*\) .*/\1/p' "$BATS_TEST_TMPDIR/held" | xargs kill -CONT
	works isle wait --state running --timeout 60 late1 late2
	is 'the later one' stopped "$(state early)"
	isle config early set guest.start-order=10
}

@test "autostart --shutdown and --kill: the last order first" {
	isle start dns early late1 late2 idle
	works isle autostart --shutdown --list --all-groups
	is plan $'dns 0\nlate2 0\nlate1 0\nearly 0' "$output"
	works isle autostart --shutdown --groups names
	is 'dns, asked by its group' stopped "$(state dns)"
	is 'another' running "$(state late1)"
	works isle autostart --kill --all-groups
	for name in early late1 late2; do is "state of $name" stopped "$(state $name)"; done
	is 'the one that is not marked' running "$(state idle)"
}

@test "autostart --reboot: those that run, with a new init" {
	isle start late1
	pid=$(init_pid late1)
	works isle autostart --reboot --all-groups
	is 'late1' running "$(state late1)"
	isnt "late1's init" "$pid" "$(init_pid late1)"
	is 'one that did not run' stopped "$(state late2)"
}

@test "autostart: guest.on-shutdown = checkpoint: put to sleep by the host's shutdown, woken by its boot" {
	needs_criu
	isle autostart
	isle config early set guest.on-shutdown=checkpoint
	isle config late1 set guest.on-shutdown=checkpoint
	begin_count early
	pid=$(isle exec early -- cat /tmp/counter)
	# One that cannot be put to sleep is stopped, and it is said.
	isle exec late1 -- sh -c 'sleep 1000 >/dev/null 2>&1 & kill -STOP $!
		until grep -q "^State:.T" /proc/$!/status; do :; done'
	works isle stop --all
	says 'late1: is stopped, since it could not be put to sleep'
	says 'it is stopped (job control or SIGSTOP)'
	is 'state of early' checkpointed "$(state early)"
	is 'state of late1' stopped "$(state late1)"
	is 'state of late2' stopped "$(state late2)"
	isle log late1 | grep -q 'could not be put to sleep' || flunk 'its log does not tell'
	isle autostart
	is 'the same process' "$pid" "$(isle exec early -- cat /tmp/counter)"
	counts early
	works isle autostart --shutdown
	is 'state of early' checkpointed "$(state early)"
	isle start early
	# By name it is stopped, and --kill kills.
	isle stop -k early
	is 'state of early' stopped "$(state early)"
	isle start early
	isle stop --all --kill -q
	is 'state of early' stopped "$(state early)"
	isle start early
	isle freeze early
	works isle stop --all
	says 'it is frozen'
	is 'state of early' stopped "$(state early)"
	isle config early unset guest.on-shutdown
	isle config late1 unset guest.on-shutdown
}
