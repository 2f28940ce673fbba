#!/usr/bin/env bats
# A file system of the guest's own that answers nobody: who asks it can then not even be killed before its daemon is. No command is held up
# for ever, and what remains of one holds neither the guest's lock nor its caller's streams.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	grep -qw fuse /proc/filesystems || return 0
	# Not every host lets anybody use it.
	mknod -m 666 "$E2E_ROOT/fuse" c 10 229
	mount --bind "$E2E_ROOT/fuse" /dev/fuse
	make_guest one --set limits.memory=256M
}

teardown_file() {
	! mountpoint -q /dev/fuse || umount /dev/fuse
	rm -f "$E2E_ROOT/fuse"
	end_of_file
}

setup() {
	grep -qw fuse /proc/filesystems || skip 'this kernel has no FUSE'
	isle start one
	arm one mire
	before
}

# Whatever hangs, the guest's end frees it.
teardown() {
	[ "$(state one)" = stopped ] || timeout 30 "$ISLE" stop --kill one
	same_host
}

nobody_hangs() {
	! grep -qs '^State:.D' /proc/[0-9]*/status
}

# Where a name in /proc/PID/fd does not tell what it is.
under_another_name() {
	inside one ': >/fuse; mount --bind /dev/fuse /fuse'
}

@test "fuse: a /dev that does not answer: a device is not added, with a reason" {
	works inside one '/root/mire mount /dev && : >/tmp/mute'
	# Read through a pipe: it has an end.
	fails 5 timeout 60 "$ISLE" device one add null --source /dev/null --target /dev/other
	says 'it holds that up'
	is 'its devices' '' "$(isle device one list)"
	works timeout 20 "$ISLE" stop --kill one
	wait_until 10 nobody_hangs
}

# Of a process by whose folder it gets there criu asks for the folder's attributes. It stops the guest's processes, but not what came in
# by isle exec.
@test "fuse: an overlay that leads a checkpoint into one: criu ends, and the guest goes on" {
	needs_criu
	under_another_name
	works isle exec one -- env ASIDE=yes FUSE=/fuse /root/mire mount /tmp/mire /mnt
	works inside one 'umount -l /fuse; cd /mnt; sleep 1000 >/dev/null 2>&1 </dev/null & : >/tmp/mute'
	fails 5 timeout 60 "$ISLE" checkpoint --timeout 2 one
	says 'it has not answered in 2 s'
	wait_until 10 nobody_hangs
	is state running "$(state one)"
	works isle exec one -- pidof sleep
	works timeout 20 "$ISLE" stop one
}

@test "fuse: a socket whose lock is held for ever: the guest can be stopped after a checkpoint that failed" {
	needs_criu
	under_another_name
	works inside one 'ip link set lo up; FUSE=/fuse /root/mire mount /tmp/mire; umount -l /fuse; /root/mire stuck /tmp/mire >/tmp/stuck 2>&1 </dev/null &'
	wait_until 10 inside one 'test -e /tmp/mute'
	fails 5 timeout 60 "$ISLE" checkpoint --timeout 2 one
	says 'it has not answered in 2 s'
	# Else it was no attack.
	is 'the attack' '' "$(inside one 'cat /tmp/stuck')"
	works timeout 20 "$ISLE" stop --kill one
	wait_until 10 nobody_hangs
}
