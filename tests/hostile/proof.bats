#!/usr/bin/env bats
# That the attacks can work: with a defence switched off, the same ones find their hole.
load lib
bats_require_minimum_version 1.5.0

setup() { before; }
teardown() {
	isle destroy -q --force one 2>/dev/null || :
	same_host
}
teardown_file() { end_of_file; }

# found WORD GUEST WHAT...: a tool finds a hole with that word in it.
found() {
	local word=$1
	shift
	run timeout 60 "$ISLE" exec "$@"
	[ "$(grep -c "HOLE.*$word" <<<"$output")" -gt 0 ] || flunk "nothing was found: $word" "$output"
}

@test "proof: without the list of system calls, namespaces, files' watchers and families of sockets are found" {
	make_guest one --set security.seccomp=none --set guest.checkpoint-ready=no
	isle start one
	arm one
	found 'unshare' one -- /root/strike calls
	found 'userfaultfd' one -- /root/strike calls
	found 'x32 calls\|socket\|io_uring' one -- /root/strike calls
}

@test "proof: the caller's keys are found outside, and an abstract socket where the network is the same" {
	local listener
	"$HOSTILE_TOOLS/strike" listen isle-hostile-proof 3>&- &
	listener=$!
	wait_until 5 grep -q isle-hostile-proof /proc/net/unix
	run "$HOSTILE_TOOLS/strike" connect isle-hostile-proof
	kill "$listener"
	wait "$listener" || :
	says HOLE
}

@test "proof: a nested user namespace without masks finds the mounts that it must not get" {
	make_guest one --set security.nesting=yes
	isle start one
	arm_with one intrude
	found '/proc without masks' one -- /root/intrude nest masked
}

@test "proof: a privileged guest's processes are the host's root" {
	make_guest one --privileged
	isle start one
	is 'first id' 0 "$(isle exec one -- awk '{ print $2 }' /proc/self/uid_map)"
	is 'owner of its init' 0 "$(stat -c %u "/proc/$(init_pid one)")"
}
