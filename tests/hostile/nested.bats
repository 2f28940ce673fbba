#!/usr/bin/env bats
# User namespaces inside a guest, where the config lets it make them: the way to most of the kernel's holes of late years.
load lib
bats_require_minimum_version 1.5.0

teardown() {
	isle destroy -q --force one 2>/dev/null || :
	same_host
}
setup() { before; }
teardown_file() { end_of_file; }

begin() {
	make_guest one "$@"
	isle start one
	arm one
	arm_with one intrude
}

@test "nested: none can be made by default" {
	begin
	intrude one nest masked
	says refused
}

# It can fail: intrude says 'nested' when it was root of a namespace of its own, and HOLE for whatever that gave it.
@test "nested: with checkpoint-ready = no they can be made, and what is masked stays masked in them" {
	begin --set guest.checkpoint-ready=no
	intrude one nest masked
	says nested
}

@test "nested: with nesting = yes the kernel's knobs, modules and devices stay out of reach" {
	begin --set security.nesting=yes
	intrude one nest open
	says nested
	! inside one 'echo h >/proc/sysrq-trigger' 2>/dev/null || flunk 'sysrq works'
	! inside one 'echo x >/proc/sys/kernel/core_pattern' 2>/dev/null || flunk 'core_pattern can be written'
	! inside one 'head -c 1 /proc/kcore' 2>/dev/null || flunk '/proc/kcore can be read'
	! inside one 'mknod /root/sda b 8 0' 2>/dev/null || flunk 'device nodes can be made'
	! inside one 'for g in /sys/fs/cgroup/*.max; do echo max >$g && exit 0; done; exit 1' 2>/dev/null || flunk 'its own limits can be written'
}
