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

@test "calls: the core handler of the host does not run for a guest" {
	is limit '1 1' "$(inside one 'echo $(awk "/core file/ { print \$5, \$6 }" /proc/self/limits)')"
	inside one 'ulimit -c unlimited 2>/dev/null; :'
	is 'limit of init' '1 1' "$(inside one 'echo $(awk "/core file/ { print \$5, \$6 }" /proc/1/limits)')"
}

@test "calls: capabilities over the machine are gone, from init and from what enters" {
	local mask
	for mask in $(inside one 'sed -n "s/^Cap\(Prm\|Eff\|Bnd\):.//p" /proc/1/status /proc/self/status'); do
		# sys_module 16, sys_rawio 17, sys_pacct 20, sys_time 25, syslog 34, wake_alarm 35, mac 32 33, perfmon 38, bpf 39
		(((16#$mask & ((1 << 16) | (1 << 17) | (1 << 20) | (1 << 25) | (1 << 32) | (1 << 33) | (1 << 34) | (1 << 35) | (1 << 38) | (1 << 39))) == 0)) ||
			flunk "capabilities $mask"
	done
	is inheritable 0000000000000000 "$(inside one 'sed -n "s/^CapInh:.//p" /proc/1/status')"
	is ambient 0000000000000000 "$(inside one 'sed -n "s/^CapAmb:.//p" /proc/self/status')"
}

@test "calls: a setting that is refused to guests stays as it is" {
	local knob
	for knob in kernel/core_pattern kernel/modprobe kernel/sysrq kernel/hotplug kernel/randomize_va_space vm/overcommit_memory fs/protected_symlinks \
		kernel/panic kernel/unprivileged_bpf_disabled vm/drop_caches kernel/kptr_restrict; do
		[ ! -e "/proc/sys/$knob" ] || ! inside one "echo 1 >/proc/sys/$knob" 2>/dev/null || flunk "$knob can be written"
	done
	! inside one 'umount /proc/sysrq-trigger; echo h >/proc/sysrq-trigger' 2>/dev/null || flunk 'sysrq works'
}
