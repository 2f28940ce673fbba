#!/usr/bin/env bats
# A guest that makes its checkpoint long, large or impossible to undo: the command ends in time, the host's disk is not filled by it, and
# whoever administers the guest can go on.
# shellcheck disable=SC2154 # hold_at sets command and walker
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	has_criu || return 0
	make_guest one --set limits.memory=256M --set limits.processes=600
}
teardown_file() { end_of_file; }

setup() {
	needs_criu
	isle start one
	arm one burden
	before
}

teardown() {
	! mountpoint -q "$ISLE_PATH/guests/one/checkpoints" || umount "$ISLE_PATH/guests/one/checkpoints"
	[ "$(state one)" = stopped ] || isle stop --kill one
	same_host
}

# burden WHAT [NUMBER...]: until the guest has it.
burden() {
	isle exec one -- sh -c "/root/burden $* >/tmp/burden 2>&1 </dev/null &"
	wait_until 30 inside one 'grep -q ready /tmp/burden'
}

@test "asleep: descriptors without end: the look beforehand ends in time, and the guest can be stopped" {
	local end
	burden descriptors 400 15000
	end=$((SECONDS + 15 * E2E_SLOW))
	for how in '--check' ''; do
		# shellcheck disable=SC2086 # no word, or one
		fails 5 timeout 60 "$ISLE" checkpoint --timeout 2 $how one
		says 'more than can be looked at'
	done
	[ "$SECONDS" -lt "$end" ] || flunk 'it takes too long'
	is state running "$(state one)"
}

# criu's own failure, had it met the end of the disk, would have other words.
@test "asleep: memory that many processes share: the images end before the disk does" {
	local folder=$ISLE_PATH/guests/one/checkpoints
	burden memory 100 40
	mkdir -p "$folder"
	mount -t tmpfs -o size=1000m none "$folder"
	run timeout 60 "$ISLE" checkpoint one
	is 'what is left of the images' '' "$(find "$folder" -mindepth 1)"
	umount "$folder"
	is status 1 "$status"
	says 'the disk is full but for'
	is state running "$(state one)"
	works isle exec one -- true
}

@test "asleep: a table of the packet filter that nobody can delete keeps no command from its work" {
	burden table
	hold_at 'criu post-dump' checkpoint one
	kill -KILL "$command" "$(ps -o pid= --ppid "$command" | head -n 1)"
	wait "$command" || :
	works timeout 30 "$ISLE" config one set limits.processes=300
	works timeout 30 "$ISLE" exec one -- true
	works timeout 30 "$ISLE" freeze one
	works timeout 30 "$ISLE" unfreeze one
}

# criu would save them, and fail to make them again at each start from then on.
@test "asleep: an interface under another name, or another under its name: refused beforehand, and said which" {
	inside one 'ip link set eth0 down; ip link set eth0 name eth7; ip link add eth0 type veth peer name eth8'
	for how in '--check' ''; do
		# shellcheck disable=SC2086 # no word, or one
		fails 1 timeout 30 "$ISLE" checkpoint $how one
		says "calls its interface eth0 'eth7'"
	done
	inside one 'ip link delete eth7'
	fails 1 timeout 30 "$ISLE" checkpoint one
	says 'eth0 is not the one that isle made'
	is state running "$(state one)"
	inside one 'ip link delete eth0'
	works timeout 30 "$ISLE" checkpoint one
	works timeout 30 "$ISLE" start one
	works isle exec one -- true
}
