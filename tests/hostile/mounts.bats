#!/usr/bin/env bats
# Mounts: what lies under masks, what a fresh mount shows, and layouts of the root that lead isle astray.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	isle start one
	arm one
	make_guest two --storage overlay
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() {
	isle stop --kill two >/dev/null 2>&1 || :
	isle destroy -q two 2>/dev/null || :
	make_guest two --storage overlay
	same_host
}

# Each start with a hostile layout works, or fails with a reason, and never hangs.
start_two() {
	run timeout 30 "$ISLE" start two
	[ "$status" -ne 124 ] || flunk 'the start hangs'
	[ "$status" -eq 0 ] || [[ $output == *failed:* || $output == *step:* ]] || flunk "no reason: $output"
}

@test "mounts: what is masked shows isle's own tmpfs, empty and read-only, and /proc/sys is read-only but for the guest's own" {
	local path shown seen=0
	isle restart --kill one
	for path in /proc/{kcore,keys,key-users,sysrq-trigger,timer_list,kallsyms,kmsg,latency_stats,sched_debug,scsi,acpi,asound} \
		/sys/{firmware,kernel/debug,kernel/tracing,fs/pstore,fs/bpf}; do
		[ -e "$path" ] || continue # this kernel has none
		seen=$((seen + 1))
		# root, options, type: /file or /folder of a tmpfs
		shown=$(inside one "awk '\$5 == \"$path\" { print \$4, \$6, \$(NF - 2) }' /proc/self/mountinfo")
		[[ $shown =~ ^/(file|folder)\ ro,nosuid,nodev,noexec,relatime\ tmpfs$ ]] || flunk "$path is covered by: $shown"
		is "what $path shows" '' "$(inside one "if [ -d $path ]; then ls -A $path; else cat $path; fi" 2>/dev/null)"
		! inside one "if [ -d $path ]; then : >$path/x; else echo x >$path; fi" 2>/dev/null || flunk "$path can be written to"
	done
	[ "$seen" -ge 8 ] || flunk "this kernel has $seen of them only"
	is 'options of /proc/sys' ro "$(inside one "awk '\$5 == \"/proc/sys\" { print substr(\$6, 1, 2) }' /proc/self/mountinfo")"
	for path in fs/mqueue kernel/{domainname,hostname,msgmax,msgmnb,msgmni,sem,shm_rmid_forced,shmall,shmmax,shmmni} net; do
		[ ! -e "/proc/sys/$path" ] || echo "/proc/sys/$path"
	done >"$BATS_TEST_TMPDIR/own"
	is 'what is writable in it' "$(cat "$BATS_TEST_TMPDIR/own")" "$(inside one "awk '\$5 ~ \"^/proc/sys/\" && \$6 ~ \"^rw\" { print \$5 }' /proc/self/mountinfo" | sort)"
}

@test "mounts: with every mask taken away, only what belongs to the guest's namespaces can be written" {
	local found
	isle restart --kill one
	arm one
	found=$(inside one '
		umount /proc/sys/net; umount /proc/sys
		for m in $(awk "\$5 ~ \"^/(proc|sys)/\" && \$5 != \"/sys/fs/cgroup\" { print \$5 }" /proc/self/mountinfo); do umount $m; done
		mount -o remount,bind,rw /sys
		mkdir -p /mnt/p; mount -t proc proc /mnt/p
		for p in /proc /mnt/p; do
			find $p/sys $p/acpi $p/scsi $p/asound $p/irq $p/fs $p/driver -type f 2>/dev/null | while read -r f; do
				( : >>$f ) 2>/dev/null && echo ${f#$p}
			done
			for f in $p/[a-z]*; do [ -f $f ] && ( : >>$f ) 2>/dev/null && echo ${f#$p}; done
		done
		find /sys -type f 2>/dev/null | while read -r f; do ( : >>$f ) 2>/dev/null && echo $f; done' 2>/dev/null |
		grep -vE '^/mounts$|^/sys/(net|user|fs/mqueue)/|^/sys/kernel/(auto_msgmni|msg[a-z_]*|sem[a-z_]*|shm[a-z_]*|ns_last_pid|pid_max|hostname|domainname)$|^/sys/fs/cgroup/cgroup\.(procs|threads|subtree_control)$|^/sys/devices/virtual/net/|^/sys/class/net/' | sort -u)
	is 'what can be written' '' "$found"
}

@test "mounts: with every mask taken away, the kernel's secrets stay unread" {
	isle restart --kill one
	inside one 'for m in kallsyms kmsg timer_list keys key-users kcore; do umount /proc/$m; done' 2>/dev/null || :
	is 'addresses of symbols' '' "$(inside one 'awk "\$1 !~ /^0*$/" /proc/kallsyms 2>/dev/null | head -n 3')"
	fails 1 inside one 'head -c 1 /proc/kmsg'
	fails 1 inside one 'head -c 1 /proc/kcore'
	fails 1 inside one 'head -c 1 /proc/timer_list'
	is 'keys of others' '' "$(inside one 'cat /proc/keys' | awk '$6 !~ /^(0|65534)$/')"
}

@test "mounts: file systems of the host's cannot be mounted" {
	local type
	for type in debugfs tracefs securityfs devtmpfs configfs pstore efivarfs rpc_pipefs ext4 xfs iso9660 vfat; do
		! inside one "mkdir -p /mnt/x; mount -t $type x /mnt/x" 2>/dev/null || flunk "$type can be mounted"
	done
}

@test "mounts: v1 control group hierarchies can be seen, not changed" {
	local c
	for c in memory pids cpu cpuset devices freezer blkio; do
		! inside one "mkdir -p /mnt/v1-$c; mount -t cgroup -o $c c /mnt/v1-$c && { echo 0 >/mnt/v1-$c/cgroup.procs || mkdir /mnt/v1-$c/x || echo /x >/mnt/v1-$c/release_agent ||
			echo -1 >/mnt/v1-$c/memory.limit_in_bytes || echo max >/mnt/v1-$c/pids.max || echo a >/mnt/v1-$c/devices.allow; }" >/dev/null 2>&1 || flunk "v1 $c"
	done
}

@test "mounts: none comes back to the host" {
	inside one 'mount --make-rshared /; mkdir -p /mnt/y; mount -t tmpfs hostile /mnt/y; mount --bind /etc /mnt'
	! grep hostile /proc/self/mountinfo || flunk "a mount has come back"
}

@test "mounts: a /proc that is a link brings no folder of the host's into the guest" {
	local files bait=$BATS_TEST_TMPDIR/bait
	files=$(files_of two)
	mkdir -p "$bait/sys/net"
	chmod 755 "$BATS_RUN_TMPDIR" "${BATS_TEST_TMPDIR%/*}" "$BATS_TEST_TMPDIR" 2>/dev/null || :
	echo secret >"$bait/sys/net/secret"
	mkdir -p "$files$bait"
	ln -s "$bait" "$files/proc"
	start_two
	if [ "$status" -eq 0 ]; then
		! inside two "cat $bait/sys/net/secret" 2>/dev/null || flunk "a file of the host is read"
		is 'the mount' '' "$(inside two "cat $bait/mountinfo /proc/self/mountinfo 2>/dev/null" | grep -F "$bait/sys/net $bait" || :)"
	fi
}

@test "mounts: links and files where isle mounts: a start or a reason" {
	local files what
	for what in 'dev /../../etc' 'dev /' 'dev dev' 'dev /proc/self/root' 'run /proc' 'run ../../../../..' 'run /' 'sys /proc' 'sys /dev' 'proc /' 'proc /dev' 'proc /proc' \
		'proc ../../../../../etc' 'etc /proc' 'etc /' 'sbin /proc/self/fd'; do
		isle stop --kill two >/dev/null 2>&1 || :
		isle destroy -q --force two
		make_guest two --storage overlay
		files=$(files_of two)
		rm -rf "${files:?}/${what%% *}"
		ln -s "${what#* }" "$files/${what%% *}"
		start_two
	done
	for what in dev proc sys run etc; do
		isle destroy -q --force two
		make_guest two --storage overlay
		rm -rf "$(files_of two)/${what:?}"
		echo file >"$(files_of two)/$what"
		start_two
	done
}

@test "mounts: fifos, devices and links where isle writes: no hang, nothing followed" {
	local files name
	for name in etc/resolv.conf etc/passwd etc/group etc/hosts etc/machine-id etc/hostname; do
		isle destroy -q --force two
		make_guest two --storage overlay
		files=$(files_of two)
		mkdir -p "$files/etc"
		rm -f "$files/$name"
		mkfifo "$files/$name"
		start_two
		is "status with a fifo as $name" 0 "$status"
		works timeout 20 "$ISLE" exec two -- true
	done
	isle destroy -q --force two
	make_guest two --storage overlay
	files=$(files_of two)
	echo mine >"$BATS_TEST_TMPDIR/target"
	mkdir -p "$files/etc"
	rm -f "$files/etc/resolv.conf"
	ln -s "$BATS_TEST_TMPDIR/target" "$files/etc/resolv.conf"
	start_two
	is 'the file of the host' mine "$(cat "$BATS_TEST_TMPDIR/target")"
}
