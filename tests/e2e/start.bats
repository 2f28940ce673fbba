#!/usr/bin/env bats
# isle start: what a started guest is, and what a start that fails leaves.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	isle start one
}

teardown_file() {
	end_of_file
}

# Guests of single tests.
teardown() {
	if [ -e "$ISLE_PATH/guests/two" ]; then isle destroy -q --force two; fi
}

@test "start: every namespace of init is its own" {
	pid=$(init_pid one)
	for kind in mnt pid net uts ipc cgroup user; do
		isnt "namespace $kind" "$(readlink /proc/self/ns/$kind)" "$(readlink "/proc/$pid/ns/$kind")"
	done
}

@test "start: init runs under the guest's own ids" {
	pid=$(init_pid one)
	ids=$(isle config one get security.ids)
	is uid_map "0 $ids 65536" "$(xargs <"/proc/$pid/uid_map")"
	is gid_map "0 $ids 65536" "$(xargs <"/proc/$pid/gid_map")"
	is "init's uid" "$ids" "$(awk '/^Uid:/ { print $3 }' "/proc/$pid/status")"
	is "groups" '' "$(awk '/^Groups:/ { $1 = ""; print }' "/proc/$pid/status" | xargs)"
	is "uid inside" 0 "$(isle exec one -- id -u)"
}

@test "start: the user namespace belongs to the guest's base uid" {
	is owner "$(isle config one get security.ids)" "$("$E2E_HERE/nsowner" "$(init_pid one)")"
}

@test "start: two guests share no ids" {
	make_guest two
	isnt ids "$(isle config one get security.ids)" "$(isle config two get security.ids)"
}

@test "start: a time namespace on demand" {
	[ -e /proc/self/ns/time ] || skip 'this kernel has no time namespaces'
	make_guest two --set security.time-namespace=yes
	isle start two
	isnt 'namespace time' "$(readlink /proc/self/ns/time)" "$(readlink "/proc/$(init_pid two)/ns/time")"
	[ "$(isle exec two -- cut -d. -f1 /proc/uptime)" -lt 60 ]
}

@test "start: the guest sees cgroup v2, its own group as the root" {
	works isle exec one -- grep ' /sys/fs/cgroup ' /proc/mounts
	says 'cgroup2'
	is 'number of mounts' 1 "${#lines[@]}"
	works isle exec one -- grep '^0:' /proc/1/cgroup
	[[ $output == 0::/ || $output == 0::/init* ]] || flunk "$output"
	works isle exec one -- sh -c 'cd /sys/fs/cgroup && mkdir own && echo $$ >own/cgroup.procs && cat /proc/self/cgroup | grep ^0: && echo $$ >cgroup.procs && rmdir own'
	says '0::/own'
}

@test "start: the guest cannot reach the host's groups" {
	run isle exec one -- ls /sys/fs/cgroup/..
	says_not "isle-$E2E_TAG"
	fails 1 isle exec one -- sh -c 'echo max >/sys/fs/cgroup/pids.max'
}

@test "start: /dev has what init needs and no device of the host" {
	for name in null zero full random urandom tty ptmx console; do
		isle exec one -- test -c "/dev/$name" || flunk "no /dev/$name"
	done
	for name in fd stdin stdout stderr; do
		isle exec one -- test -L "/dev/$name" || flunk "no /dev/$name"
	done
	isle exec one -- test -d /dev/shm
	isle exec one -- grep -q ' /dev/pts devpts ' /proc/mounts
	is 'block devices' '' "$(isle exec one -- find /dev -type b)"
	is 'character devices' 'console full null random tty urandom zero' \
		"$(isle exec one -- find /dev -type c ! -path '/dev/pts/*' ! -path '/dev/net/*' ! -path /dev/fuse | sed 's,.*/,,' | sort | xargs)"
	fails 1 isle exec one -- mknod /tmp/disk b 254 0
	fails 1 isle exec one -- mknod /dev/mem2 c 1 1
}

@test "start: /dev/null and its like work for a user without rights" {
	works isle exec --user nobody one -- sh -c 'echo gone >/dev/null; head -c 3 /dev/zero | wc -c; head -c 5 /dev/urandom | wc -c'
	is output $'3\n5' "$output"
}

@test "start: /proc is the guest's own, the host's part cannot be written" {
	works isle exec one -- cat /proc/1/comm
	[[ $output == init || $output == busybox ]] || flunk "$output"
	for path in /proc/sysrq-trigger /proc/sys/kernel/core_pattern /proc/sys/kernel/sysrq /proc/sys/vm/drop_caches; do
		fails 1 isle exec one -- sh -c "echo 1 >$path"
	done
	# Not there, or masked by an empty file.
	run isle exec one -- sh -c 'head -c 1 /proc/kcore 2>/dev/null | wc -c'
	is 'bytes of the kernel read' 0 "$output"
	works isle exec one -- sh -c 'echo 1 >/proc/sys/net/ipv4/ip_forward && cat /proc/sys/net/ipv4/ip_forward'
	is 'own sysctl' 1 "$output"
}

@test "start: /sys cannot be written" {
	run isle exec one -- sh -c 'for f in /sys/kernel/profiling /sys/power/state /sys/kernel/mm/ksm/run; do [ ! -e $f ] || echo 0 >$f && echo wrote $f; done 2>/dev/null'
	says_not /sys/power/state
	fails 1 isle exec one -- mkdir /sys/kernel/x
}

@test "start: init's environment says what contains it" {
	isle exec one -- cat /proc/1/environ | tr '\0' '\n' >"$BATS_TEST_TMPDIR/environ"
	grep -qx container=isle "$BATS_TEST_TMPDIR/environ"
	id=$(isle config one get guest.id)
	is container_uuid "${id:0:8}-${id:8:4}-${id:12:4}-${id:16:4}-${id:20}" "$(sed -n 's/^container_uuid=//p' "$BATS_TEST_TMPDIR/environ")"
	run cat "$BATS_TEST_TMPDIR/environ"
	says_not ISLE
	says_not BATS
	says_not "$E2E_ROOT"
}

@test "start: guest.environment reaches init" {
	make_guest two --set 'guest.environment=LANG=C.UTF-8 "MOTTO=slow and steady"'
	isle start two
	works isle exec two -- cat /proc/1/environ
	is LANG LANG=C.UTF-8 "$(isle exec two -- cat /proc/1/environ | tr '\0' '\n' | grep ^LANG=)"
	is MOTTO 'MOTTO=slow and steady' "$(isle exec two -- cat /proc/1/environ | tr '\0' '\n' | grep ^MOTTO=)"
}

@test "start: no descriptor of the host's in init or below it" {
	for pid in $(isle exec one -- sh -c 'cd /proc; echo [0-9]*'); do
		for fd in $(isle exec one -- sh -c "ls /proc/$pid/fd 2>/dev/null"); do
			target=$(isle exec one -- readlink "/proc/$pid/fd/$fd") || continue
			[[ $target != *"$E2E_ROOT"* && $target != net:* && $target != /var/tmp/* ]] || flunk "process $pid has $fd: $target"
			[ "$pid" != 1 ] || [[ $target == /dev/console || $target == /dev/null ]] || flunk "init has $fd: $target"
		done
	done
}

@test "start: no capability and no system call but the allowed" {
	pid=$(init_pid one)
	is seccomp 2 "$(awk '/^Seccomp:/ { print $2 }' "/proc/$pid/status")"
	bound=$((16#$(awk '/^CapBnd:/ { print $2 }' "/proc/$pid/status")))
	# sys_module 16, sys_rawio 17, sys_boot is the pid namespace's, sys_time 25, mac_admin 33, syslog 34, wake_alarm 35
	for number in 16 17 25 33; do
		is "capability $number" 0 $((bound >> number & 1))
	done
	inside=$((16#$(isle exec one -- awk '/^CapBnd:/ { print $2 }' /proc/self/status)))
	is "exec's capabilities" "$bound" "$inside"
	is "exec's seccomp" 2 "$(isle exec one -- awk '/^Seccomp:/ { print $2 }' /proc/self/status)"
}

@test "start: a running guest adds no mount to the host's table" {
	is mounts '' "$(mount_table | comm -13 "$E2E_ROOT/mounts" -)"
}

@test "start: mounts of the guest stay in the guest" {
	isle exec one -- mount -t tmpfs inner /mnt
	is mounts '' "$(mount_table | comm -13 "$E2E_ROOT/mounts" -)"
	isle exec one -- umount /mnt
}

@test "start: the host name is the guest's, or what the config says" {
	is hostname one "$(isle exec one -- hostname)"
	make_guest two --hostname www.example.org
	isle start two
	is hostname www.example.org "$(isle exec two -- hostname)"
}

@test "start: files of the root belong to its root, without a chown" {
	make_guest two --storage dir
	isle start two
	isle exec two -- sh -c 'touch /root/new; chown nobody /root/new'
	is 'owner inside' 65534 "$(isle exec two -- stat -c %u /root/new)"
	is 'owner of /bin' 0 "$(isle exec two -- stat -c %u /bin)"
	is 'owner on disk' 65534 "$(stat -c %u "$ISLE_PATH/guests/two/rootfs/root/new")"
}

@test "start: set-uid programs of the guest work" {
	is 'uid of passwd' 4755 "$(isle exec one -- stat -c %a /bin/busybox)"
	works isle exec --user nobody one -- awk '/^NoNewPrivs/ { print $2 }' /proc/self/status
	is NoNewPrivs 0 "$output"
}

@test "start: limits.processes holds" {
	make_guest two --set limits.processes=20
	isle start two
	run isle exec two -- sh -c 'i=0; while [ $i -lt 60 ]; do sleep 5 >/dev/null 2>&1 & i=$((i + 1)); done; true'
	[ "$(field two .processes)" -le 20 ]
}

@test "start: limits.memory holds, inside the guest alone" {
	make_guest two --set limits.memory=32M --set limits.swap=0
	isle start two
	run isle exec two -- dd if=/dev/zero of=/dev/null bs=100M count=1
	[ "$status" -ne 0 ]
	is state running "$(state two)"
	peak=$(field two .memory_peak)
	[ "$peak" = null ] || [ "$peak" -le $((32 << 20)) ]
}

@test "start --plan: prints the steps and takes none" {
	make_guest two
	works isle start --plan two
	says 'clone'
	says 'exec init'
	[ "${#lines[@]}" -gt 10 ]
	is 'for scripts' "two ${#lines[@]} host" "$(isle start --plan --json two | jq -r '"\(.name) \(.steps | length) \(.steps[0].side)"')"
	is state stopped "$(state two)"
	is processes '' "$(processes_left | grep -w two || :)"
}

@test "start: a guest that runs is refused with a way out" {
	fails 4 isle start one
	says running
	says 'isle restart one'
}

@test "start: no such guest names the near one" {
	fails 3 isle start ome
	says "did you mean 'one'"
}

@test "start --json: an error is an object" {
	run --separate-stderr isle start --json nobody
	[ "$status" -eq 3 ]
	# shellcheck disable=SC2154 # bats sets stderr
	is code not_found "$(jq -r .error.code <<<"$stderr")"
	is status 3 "$(jq -r .error.exit_status <<<"$stderr")"
}

@test "start --wait: returns when init runs" {
	make_guest two
	isle start --wait --timeout 20 two
	is state running "$(state two)"
}

@test "start --foreground: connects the terminal until the guest ends" {
	make_guest two
	works "$E2E_HERE/terminal" see:'press Enter' type:'\r' see:'# ' type:'echo $((6*7))\r' see:42 type:'poweroff\r' -- "$ISLE" start --foreground two
	isle wait --timeout 20 two
	is state stopped "$(state two)"
}

@test "start --foreground: Ctrl-a q leaves the guest running" {
	make_guest two
	works "$E2E_HERE/terminal" see:'press Enter' type:'\x01q' -- "$ISLE" start --foreground two
	is state running "$(state two)"
}

@test "start: a privileged guest has no user namespace, and create says what that means" {
	works isle create -t busybox two --privileged
	says privileged
	says "host's root"
	isle start two
	is 'namespace user' "$(readlink /proc/self/ns/user)" "$(readlink "/proc/$(init_pid two)/ns/user")"
	isnt 'namespace mnt' "$(readlink /proc/self/ns/mnt)" "$(readlink "/proc/$(init_pid two)/ns/mnt")"
	is 'privileged in JSON' true "$(field two .privileged)"
	fails 1 isle exec two -- sh -c 'echo 1 >/proc/sysrq-trigger'
}

@test "start: an init that is missing is named, and nothing is left" {
	make_guest two --set guest.init=/sbin/no-such-init
	fails 1 isle start two
	says /sbin/no-such-init
	says 'exec init'
	is state stopped "$(state two)"
	isle stop --kill one
	assert_nothing_left one two
	isle start one
}

@test "start: a mount whose source is missing is refused with the config's line" {
	make_guest two --set mount.data.source=/no/such/folder --set mount.data.target=/mnt
	fails 1 isle start two
	says 'two/config:'
	says /no/such/folder
	says optional
	isle config two set mount.data.options=optional
	isle start two
	is state running "$(state two)"
}

@test "start: a folder of the host is seen, read-only where asked" {
	mkdir "$BATS_TEST_TMPDIR/share"
	echo hello >"$BATS_TEST_TMPDIR/share/file"
	chmod 755 "$E2E_ROOT" "$BATS_TEST_TMPDIR" "$BATS_TEST_TMPDIR/share"
	make_guest two --set "mount.data.source=$BATS_TEST_TMPDIR/share" --set mount.data.target=/data --set mount.data.options=ro,create=dir
	isle start two
	is content hello "$(isle exec two -- cat /data/file)"
	fails 1 isle exec two -- sh -c 'echo x >/data/other'
	isle stop --kill two
	isle config two set mount.data.options=create=dir,idmap
	isle start two
	isle exec two -- sh -c 'echo x >/data/other'
	is 'owner on the host' 0 "$(stat -c %u "$BATS_TEST_TMPDIR/share/other")"
}

@test "start: a mount's target that is a link is followed inside the guest only" {
	mkdir "$BATS_TEST_TMPDIR/share" "$BATS_TEST_TMPDIR/outside"
	make_guest two --storage dir --set "mount.data.source=$BATS_TEST_TMPDIR/share" --set mount.data.target=/data/below --set mount.data.options=create=dir
	ln -s "$BATS_TEST_TMPDIR/outside" "$ISLE_PATH/guests/two/rootfs/data"
	run isle start two
	is 'the host folder' '' "$(ls -A "$BATS_TEST_TMPDIR/outside")"
}

@test "start: several names; one that fails does not keep the others" {
	make_guest two
	make_guest three --set guest.init=/nowhere
	run isle start two three
	[ "$status" -eq 1 ] || flunk "$status"
	says three
	is state running "$(state two)"
	is state stopped "$(state three)"
	isle destroy -q three
}

@test "start --all: starts what is stopped" {
	make_guest two
	run isle start --all
	is state running "$(state two)"
	is state running "$(state one)"
}

@test "start: a pipe behind the command ends with the command" {
	make_guest two
	begun=$(milliseconds)
	isle start two 2>&1 | cat
	[ $(($(milliseconds) - begun)) -lt $((10000 * E2E_SLOW)) ]
	is state running "$(state two)"
}

@test "start: closed standard descriptors do no harm" {
	make_guest two
	isle start two <&- >&- 2>&-
	is state running "$(state two)"
	is greeting hi "$(isle exec two -- echo hi)"
}

@test "start: unknown options and missing names are usage errors" {
	fails 2 isle start
	fails 2 isle start --no-such-option one
	fails 2 isle start ../one
	fails 2 isle start -- '-x y'
}
