#!/usr/bin/env bats
# Control groups: own limits, other groups, and trees without end.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one --set limits.processes=200
	isle start one
	arm one
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() { same_host; }

@test "cgroups: the guest's own limits are not its own to change" {
	inside one 'cd /sys/fs/cgroup; for f in *; do case $f in cgroup.procs | cgroup.threads | cgroup.subtree_control) ;; *) (echo max >$f) 2>/dev/null && echo $f; (echo 1 >$f) 2>/dev/null && echo $f; esac; done; :' >"$BATS_TEST_TMPDIR/written"
	is 'what can be written' '' "$(cat "$BATS_TEST_TMPDIR/written")"
}

@test "cgroups: nor are those that it finds in hierarchies of v1, nor its figures" {
	[ -d /sys/fs/cgroup/memory ] || skip 'this host has no hierarchy of v1'
	inside one 'mkdir -p /mnt/v1
		for c in memory cpu,cpuacct cpu cpuacct cpuset pids blkio hugetlb; do
			mount -t cgroup -o $c none /mnt/v1 2>/dev/null || continue
			echo mounted >>/tmp/mounted
			for f in /mnt/v1/*; do for v in -1 0 1 1000000000; do (echo $v >$f) 2>/dev/null && echo $c:$f; done; done
			mkdir /mnt/v1/below 2>/dev/null && echo $c:below
			umount /mnt/v1
		done; :' >"$BATS_TEST_TMPDIR/written"
	is 'what can be written' '' "$(cat "$BATS_TEST_TMPDIR/written")"
	[ "$(isle exec one -- sh -c 'cat /tmp/mounted 2>/dev/null | wc -l')" -gt 0 ] || skip 'it can mount none of them'
}

@test "cgroups: it sees no group but its own, and leaves it for none" {
	is 'its group' '0::/' "$(inside one 'grep ^0: /proc/1/cgroup')"
	! inside one 'echo 1 >/sys/fs/cgroup/../cgroup.procs' 2>/dev/null || flunk 'it is in another group'
	! inside one 'ls -d /sys/fs/cgroup/../isle* || ls -d /sys/fs/cgroup/isle*' >/dev/null 2>&1 || flunk 'it sees groups of others'
	inside one 'umount /sys/fs/cgroup; mkdir -p /mnt/c; mount -t cgroup2 c /mnt/c && ls /mnt/c' >"$BATS_TEST_TMPDIR/list" 2>/dev/null || :
	! grep -q isle "$BATS_TEST_TMPDIR/list" || flunk 'a fresh mount shows the groups of others'
	isle restart --kill one
	arm one
}

@test "cgroups: wide and deep trees are bounded, and gone after a stop" {
	local wide deep
	wide=$(isle exec one -- /root/strike groups wide 100000 /sys/fs/cgroup)
	[ "$wide" -lt 10000 ] || flunk "$wide groups can be made"
	isle restart --kill one
	arm one
	deep=$(isle exec one -- /root/strike groups deep 100000 /sys/fs/cgroup)
	[ "$deep" -lt 200 ] || flunk "groups can be nested $deep deep"
	works timeout 30 "$ISLE" stop --kill one
	is 'groups left' '' "$(cgroups_left)"
	isle start one
	arm one
}

@test "cgroups: an init that hides deep in groups of long names can still be entered" {
	inside one 'd=/sys/fs/cgroup; for i in 1 2 3 4 5 6 7 8 9 10 11 12 13 14; do d=$d/$(printf "%0200d" $i); mkdir $d; done; echo 1 >$d/cgroup.procs'
	works timeout 10 "$ISLE" exec one -- true
	works timeout 30 "$ISLE" restart --kill one
	arm one
}

@test "cgroups: a guest that has frozen itself is stopped" {
	inside one 'mkdir /sys/fs/cgroup/x; echo 1 >/sys/fs/cgroup/x/cgroup.procs; (sleep 0.3; echo 1 >/sys/fs/cgroup/x/cgroup.freeze) & :'
	sleep 0.6
	run timeout 60 "$ISLE" stop --timeout 2 one
	[ "$status" -ne 124 ] || flunk 'stop hangs'
	is state stopped "$(state one)"
	isle start one
	arm one
}

@test "cgroups: a guest whose init moves about, sits in a threaded group, or in one that takes no more, can still be entered" {
	inside one 'setsid sh -c "cd /sys/fs/cgroup; i=0; while [ ! -e /tmp/enough ]; do i=\$((i+1)); mkdir x\$i; echo 1 >x\$i/cgroup.procs; rmdir x*; done" </dev/null >/dev/null 2>&1 &'
	for _ in {1..25}; do
		works timeout 10 "$ISLE" exec one -- true
	done
	works timeout 10 "$ISLE" exec one -- touch /tmp/enough
	inside one 'mkdir /sys/fs/cgroup/t; echo 1 >/sys/fs/cgroup/cgroup.procs; echo threaded >/sys/fs/cgroup/t/cgroup.type; echo 1 >/sys/fs/cgroup/t/cgroup.procs'
	works timeout 10 "$ISLE" exec one -- true
	isle restart --kill one
	arm one
	# Here the kernel counts processes by group only where cgroup2 has that controller.
	if inside one 'grep -q pids /sys/fs/cgroup/cgroup.controllers'; then
		inside one 'cd /sys/fs/cgroup; mkdir -p x; for p in $(cat cgroup.procs); do echo $p >x/cgroup.procs; done; echo +pids >cgroup.subtree_control; echo 0 >x/pids.max'
		run timeout 10 "$ISLE" exec one -- true
		[ "$status" -eq 0 ] || says 'isle stop --kill one'
		isle restart --kill one
		arm one
	fi
}
