#!/usr/bin/env bats
# System calls that reach the kernel or the machine as a whole.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	isle start one
	arm one
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() { same_host; }

@test "calls: modules, kexec, bpf, perf, clocks, swap, ports, handles, namespaces, socket families, keys, x32, i386" {
	strike one calls
}

# errnos PROGRAM: runs it in the guest.
errnos() {
	[ -e "$HOSTILE_TOOLS/$1" ] || skip 'the numbers are those of x86_64 and i386'
	isle exec one -- sh -c "cat >/root/$1; chmod 755 /root/$1" <"$HOSTILE_TOOLS/$1"
	works timeout 60 "$ISLE" exec one -- "/root/$1"
	says_not HOLE
	says 'calls tried'
}

@test "calls: each refused call gives the errno that the lists say, and x32 kills" {
	errnos errnos
}

@test "calls: each refused call gives the errno that the lists say by int 0x80 of a 32-bit program" {
	"$HOSTILE_TOOLS/strike" int80 || skip 'this machine has no int 0x80'
	errnos errnos32
}

@test "calls: the core handler of the host does not run for a guest" {
	is limit '1 1' "$(inside one 'echo $(awk "/core file/ { print \$5, \$6 }" /proc/self/limits)')"
	inside one 'ulimit -c unlimited 2>/dev/null; :'
	is 'limit of init' '1 1' "$(inside one 'echo $(awk "/core file/ { print \$5, \$6 }" /proc/1/limits)')"
}

# The bits of every capability that a guest keeps: all that the kernel has but those of the list in config.
expected_mask() {
	local lost mask
	mask=$(((1 << ($(cat /proc/sys/kernel/cap_last_cap) + 1)) - 1))
	# sys_module sys_rawio sys_pacct sys_time mac_override mac_admin syslog wake_alarm block_suspend audit_read perfmon bpf checkpoint_restore
	for lost in 16 17 20 25 32 33 34 35 36 37 38 39 40; do
		mask=$((mask & ~(1 << lost)))
	done
	printf '%016x' "$mask"
}

@test "calls: exactly the capabilities that guests keep, and none to inherit, in init and in what enters" {
	local mask process=()
	mask=$(expected_mask)
	for process in 1 self; do
		is "capabilities of $process" "0000000000000000 $mask $mask $mask 0000000000000000" \
			"$(inside one "echo \$(sed -n 's/^Cap\(Inh\|Prm\|Eff\|Bnd\|Amb\):.//p' /proc/$process/status)")"
	done
	# What another user is entered as has none, and gets no more than the bounding set by a set-uid program.
	is 'capabilities of another user' "0000000000000000 0000000000000000 0000000000000000 $mask 0000000000000000" \
		"$(isle exec --user 1000 one -- sh -c 'echo $(sed -n "s/^Cap\(Inh\|Prm\|Eff\|Bnd\|Amb\):.//p" /proc/self/status)')"
	# The caller's own do not come along.
	run capsh --inh=cap_sys_admin,cap_net_raw --addamb=cap_sys_admin,cap_net_raw -- -c "exec '$ISLE' exec one -- sh -c 'echo \$(sed -n \"s/^Cap\(Inh\|Amb\):.//p\" /proc/self/status)'"
	is 'inherited from the caller' '0000000000000000 0000000000000000' "$output"
	strike one capabilities
}

@test "calls: limits of resources do not depend on who starts or enters" {
	local first kind kinds=-S
	# Whoever may not raise limits himself (some build machines' root) gives on what he has.
	if capsh --has-p=cap_sys_resource 2>/dev/null; then kinds='-S -SH'; fi
	first=$(inside one 'cat /proc/1/limits')
	for kind in $kinds; do
		make_guest two
		(
			ulimit "$kind" -c 0
			ulimit "$kind" -n 700
			ulimit "$kind" -u 3000
			ulimit "$kind" -l 64
			ulimit "$kind" -s 4096
			ulimit "$kind" -i 500
			ulimit "$kind" -q 1000
			isle start two
			isle exec two -- cat /proc/self/limits >"$BATS_TEST_TMPDIR/entered"
		)
		is "limits of init, $kind" "$first" "$(inside two 'cat /proc/1/limits')"
		is "limits of what enters, $kind" "$first" "$(cat "$BATS_TEST_TMPDIR/entered")"
		isle destroy --force two
	done
}

@test "calls: a setting that is refused to guests stays as it is" {
	local knob
	for knob in kernel/core_pattern kernel/modprobe kernel/sysrq kernel/hotplug kernel/randomize_va_space vm/overcommit_memory fs/protected_symlinks \
		kernel/panic kernel/unprivileged_bpf_disabled vm/drop_caches kernel/kptr_restrict; do
		[ ! -e "/proc/sys/$knob" ] || ! inside one "echo 1 >/proc/sys/$knob" 2>/dev/null || flunk "$knob can be written"
	done
	# And so it is when it is read-write: what belongs to the machine belongs to the host's root.
	! inside one 'umount /proc/sysrq-trigger; echo h >/proc/sysrq-trigger' 2>/dev/null || flunk 'sysrq works'
}

@test "calls: the settings of its own namespaces are the guest's to change, and stay in it" {
	local knob value
	for knob in kernel/shmmax kernel/shmall kernel/shmmni kernel/shm_rmid_forced kernel/msgmax kernel/msgmnb kernel/msgmni fs/mqueue/msg_max net/ipv4/ip_forward; do
		value=$(cat "/proc/sys/$knob")
		works inside one "echo 1 >/proc/sys/$knob && cat /proc/sys/$knob"
		is "$knob inside" 1 "$output"
		is "$knob outside" "$value" "$(cat "/proc/sys/$knob")"
	done
	works inside one 'echo "250 32000 32 100" >/proc/sys/kernel/sem && cat /proc/sys/kernel/sem'
	# The kernel gives these two by call only.
	works inside one 'hostname other && cat /proc/sys/kernel/hostname'
	is 'host name' other "$output"
	is 'the rest is read-only' '' "$(inside one 'find /proc/sys -path /proc/sys/net -prune -o -path /proc/sys/fs/mqueue -prune -o -type f -print |
		grep -vE "^/proc/sys/kernel/(hostname|domainname|shmall|shmmax|shmmni|shm_rmid_forced|msgmax|msgmnb|msgmni|sem)$" | while read -r f; do ( : >>$f ) 2>/dev/null && echo $f; done')"
}

@test "calls: formats of programs and offsets of clocks are the guest's alone, if it has any" {
	local formats up
	formats=$(ls /proc/sys/fs/binfmt_misc)
	# Kernels since 6.7 give a user namespace formats of its own, others none.
	inside one 'mkdir -p /mnt/formats; mount -t binfmt_misc b /mnt/formats &&
		echo ":isle-hostile:M::hostile::/bin/sh:F" >/mnt/formats/register; echo 1 >/proc/sys/fs/binfmt_misc/status' 2>/dev/null || :
	is "formats of the host's" "$formats" "$(ls /proc/sys/fs/binfmt_misc)"
	printf hostile >"$BATS_TEST_TMPDIR/program"
	chmod 755 "$BATS_TEST_TMPDIR/program"
	fails 1 python3 -c 'import os, sys; os.execv(sys.argv[1], sys.argv[1:])' "$BATS_TEST_TMPDIR/program"
	says 'Exec format error'
	up=$(cut -d. -f1 /proc/uptime)
	! inside one 'echo "monotonic 1000000 0" >/proc/self/timens_offsets' 2>/dev/null || flunk 'the offsets of running processes can be set'
	[ "$(cut -d. -f1 /proc/uptime)" -lt $((up + 1000)) ] || flunk "the host's clock has moved"
}

@test "calls: a profile of LXC's holds in the place of isle's list, for init and for what enters" {
	local profile=$BATS_TEST_TMPDIR/profile
	cat >"$profile" <<-'END'
		2
		denylist allow
		reject_force_umount
		[all]
		kexec_load errno 1
		open_by_handle_at errno 13
		init_module errno 1
		sethostname errno 95
		personality errno 22 [0,8,SCMP_CMP_EQ]
	END
	make_guest two --set security.seccomp="$profile"
	isle start two
	is filter 2 "$(inside two 'sed -n "s/^Seccomp:.//p" /proc/1/status')"
	run inside two 'hostname x'
	says 'not supported'
	isle exec two -- sh -c 'cat >/root/strike; chmod 755 /root/strike' <"$HOSTILE_TOOLS/strike"
	works isle exec two -- /root/strike profile
	says 'open_by_handle_at Permission denied'
	says 'kexec_load Operation not permitted'
	says 'umount2 Permission denied'
	isle destroy --force two
	printf '2\nallowlist\nnotify\n' >"$profile"
	make_guest two
	isle config two set "security.seccomp=$profile"
	fails 1 isle start two
	says "$profile"
	isle destroy two
	[ ! -e /usr/share/lxc/config/common.seccomp ] || {
		make_guest two --set security.seccomp=/usr/share/lxc/config/common.seccomp
		isle start two
		isle exec two -- true
		isle destroy --force two
	}
}
