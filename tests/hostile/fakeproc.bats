#!/usr/bin/env bats
# A /proc, /sys or /dev/pts that is none: what isle writes to the kernel must not end in files of the guest's.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	isle start one
	arm one
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() {
	isle destroy -q --force two 2>/dev/null || :
	same_host
}

knobs='proc/self/attr/exec proc/self/attr/apparmor/exec proc/self/attr/current proc/thread-self/attr/exec proc/thread-self/attr/apparmor/exec
	proc/self/oom_score_adj proc/self/uid_map proc/self/setgroups proc/sys/kernel/hostname proc/sys/net/ipv4/ip_forward proc/sys/net/ipv6/conf/eth0/accept_ra
	sys/fs/cgroup/cgroup.procs sys/fs/cgroup/guest/cgroup.procs sys/kernel/mm/ksm/run dev/console dev/null dev/pts/ptmx'

# It can fail: what isle wrote before its own /proc is mounted, or by a path through the guest's, would be in these files.
@test "fakeproc: folders full of knobs where the kernel's are to be stay as they were" {
	local files knob
	make_guest two --storage overlay
	files=$(files_of two)
	for knob in $knobs; do
		mkdir -p "$files/${knob%/*}"
		echo untouched >"$files/$knob"
		chmod 666 "$files/$knob"
	done
	works timeout 30 "$ISLE" start two
	works isle exec two -- true
	works isle stop --kill two
	for knob in $knobs; do
		is "/$knob" untouched "$(cat "$files/$knob")"
	done
}

# The label of who enters, and its groups, are written before the guest's mounts are around: CVE-2019-16884 was the other order.
@test "fakeproc: a guest that covers /proc is entered, and what enters is held all the same" {
	inside one 'mkdir -p /fake/self/attr/apparmor /fake/thread-self/attr/apparmor /fake/sys/kernel; for f in self/attr/exec self/attr/apparmor/exec thread-self/attr/exec \
		thread-self/attr/apparmor/exec self/oom_score_adj sys/kernel/hostname; do echo untouched >/fake/$f; chmod 666 /fake/$f; done; mount --bind /fake /proc'
	strike one calls
	works timeout 20 "$ISLE" exec one -- sh -c 'cat /fake/*/attr/exec /fake/*/attr/apparmor/exec /fake/self/oom_score_adj /fake/sys/kernel/hostname'
	is 'what is in the files' untouched "$(sort -u <<<"$output")"
	works timeout 30 "$ISLE" list --long
	works timeout 30 "$ISLE" restart --kill one
	arm one
	# Nothing there at all.
	inside one 'mount -t tmpfs none /proc'
	strike one calls
	works timeout 30 "$ISLE" restart --kill one
	arm one
}

@test "fakeproc: terminals that are none: isle exec on a terminal has a reason, and hangs on no fifo" {
	local trick
	for trick in 'mkfifo /dev/pts/ptmx' 'ln -s /dev/console /dev/pts/ptmx' ': >/dev/pts/ptmx' 'ln -s /proc/self/fd/0 /dev/pts/ptmx' 'mkdir /dev/pts/ptmx' 'ln -s /dev/zero /dev/pts/ptmx'; do
		inside one "mount -t tmpfs none /dev/pts; $trick"
		run timeout 20 script -qec "$ISLE exec one -- true" /dev/null
		[ "$status" -ne 124 ] || flunk "exec hangs: $trick"
		[ "$status" -ne 0 ] || flunk "it has a terminal: $trick"
		works timeout 20 "$ISLE" exec one -- umount /dev/pts
	done
	works timeout 20 script -qec "$ISLE exec one -- true" /dev/null
}

@test "fakeproc: a mount of the config's that leads through a link into /proc or /sys stays where the guest's are" {
	local target
	for target in /proc/sys/kernel /proc/self/attr /sys/fs/cgroup /dev/pts /proc; do
		isle destroy -q --force two 2>/dev/null || :
		make_guest two --storage overlay --set mount.trap.source=trap --set mount.trap.target=/way/x --set mount.trap.type=tmpfs
		ln -s "${target%/*}/" "$(files_of two)/way"
		mkdir -p "$(files_of two)/x"
		run timeout 30 "$ISLE" start two
		[ "$status" -ne 124 ] || flunk "the start hangs with $target"
		[ "$status" -eq 0 ] || [[ $output == *failed:* ]] || flunk "no reason: $output"
		same_host
	done
}
