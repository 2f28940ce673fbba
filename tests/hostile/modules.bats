#!/usr/bin/env bats
# Modules: a guest's root makes the kernel look for hundreds of them; only those are loaded that a guest needs.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	isle start one
	arm_with one intrude
	ASKED=$(isle doctor --json | jq -r '.findings[] | select(.name == "modules for guests") | .level')
	export ASKED
}
teardown_file() { end_of_file; }
setup() {
	[ -r /proc/modules ] || skip 'this kernel has no modules; tests/vm/run has'
	[ "$ASKED" = good ] || skip 'this kernel asks no BPF program about modules; those of Debian 12 and later do'
	before
}
teardown() {
	isle destroy -q --force two 2>/dev/null || :
	[ ! -s "$BATS_TEST_TMPDIR/host" ] || same_host
}

modules() {
	cut -d' ' -f1 /proc/modules | sort
}

# loaded_by COMMAND...: modules that are there after it and were not before, on one line.
loaded_by() {
	local before
	before=$(modules)
	"$@" >/dev/null 2>&1 || :
	comm -13 <(echo "$before") <(modules) | xargs
}

links() {
	local kind
	for kind in gre gretap ip6gre ipip sit vti vxlan geneve bareudp gtp ifb team bond macsec macvtap ipvtap batadv can vcan nlmon vsockmon hsr vrf xfrm; do
		inside one "ip link add x0 type $kind" || :
	done
}

# What default.list has of sockets, and what asks about them, may be modules.
@test "modules: sockets, file systems, links and programs of every kind load none that a guest does not need" {
	local loaded
	loaded=$(loaded_by timeout 120 "$ISLE" exec one -- /root/intrude modules)
	is 'modules that no guest needs' '' "$(tr ' ' '\n' <<<"$loaded" | grep -vxE 'nfnetlink|af_packet|ipv6|[a-z]+_diag' || :)"
	is 'modules of links' '' "$(loaded_by links)"
}

# It can fail: where nobody is asked, the same call brings the module in.
@test "modules: it is the program that keeps them out" {
	make_guest two --set security.privileged=yes --set security.apparmor=none
	isle start two
	modprobe -r romfs udf || :
	is 'loaded for a guest' '' "$(loaded_by inside one 'mount -t romfs none /mnt; mount -t udf none /mnt')"
	is 'loaded for a privileged guest' romfs "$(loaded_by inside two 'mount -t romfs none /mnt')"
	modprobe -r romfs
}

@test "modules: those that a guest needs are loaded for it" {
	modprobe -r dummy macvlan || :
	[[ " $(loaded_by inside one 'ip link add d0 type dummy && ip link del d0') " == *' dummy '* ]] || flunk 'dummy is not loaded'
	[[ " $(loaded_by inside one 'ip link add link eth0 name m0 type macvlan && ip link del m0') " == *' macvlan '* ]] || flunk 'macvlan is not loaded'
}

@test "modules: a guest that was restarted, by its own root too, is asked about all the same" {
	inside one 'reboot -f' >/dev/null 2>&1 || :
	wait_until 20 isle exec one -- true
	is 'loaded after a reboot' '' "$(loaded_by inside one 'mount -t romfs none /mnt')"
}

@test "modules: none is loaded or taken away by the guest's own calls" {
	local before
	before=$(modules)
	! inside one 'modprobe loop || insmod /lib/modules/x.ko || rmmod veth' >/dev/null 2>&1 || flunk 'one can be loaded'
	is modules "$before" "$(modules)"
}
