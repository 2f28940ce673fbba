#!/usr/bin/env bats
# Interfaces of the host that a guest was given, and what its root sends home in their place or with them.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	isle start one
	arm one
}
teardown_file() { end_of_file; }
setup() {
	before
	ip link add nic0 type veth peer name nic1
	isle device one add lan --type nic --source nic0
}
teardown() {
	isle device one remove lan 2>/dev/null || :
	ip link del nic1 2>/dev/null || :
	same_host
}

# As the guest's root, with the host's ip(8): busybox has less.
ip_inside() {
	nsenter -t "$(init_pid one)" -U -n -S 0 -G 0 -- ip "$@"
}

on_host() {
	ip link show "$1" >/dev/null 2>&1
}

@test "interfaces: one that the guest made is not taken home for one that it was given" {
	local how
	for how in 'type veth peer name mine' 'type veth peer name mine netns child' 'renamed'; do
		on_host nic1 || {
			ip link add nic0 type veth peer name nic1
			isle device one add lan --type nic --source nic0
		}
		# With the same numbers on both sides, which whoever makes a pair may choose.
		local own theirs
		own=$(ip_inside -j link show nic0 | jq '.[0].ifindex') theirs=$(ip -j link show nic1 | jq '.[0].ifindex')
		ip_inside link del nic0
		case $how in
		renamed)
			ip_inside link set eth0 down
			ip_inside link set eth0 name nic0
			;;
		*netns*)
			inside one 'setsid unshare -n sleep 60 </dev/null >/dev/null 2>&1 & while [ -z "$(pidof sleep)" ] || [ "$(readlink /proc/$(pidof sleep)/ns/net)" = "$(readlink /proc/1/ns/net)" ]; do usleep 10000; done'
			nsenter -t "$(pgrep -P "$(init_pid one)" -x sleep)" -U -n -S 0 -G 0 -- ip link add mine index "$theirs" type veth peer name nic0 netns "$(init_pid one)"
			;;
		*) ip_inside link add nic0 index "$own" type veth peer name mine index "$theirs" ;;
		esac
		ip_inside link show nic0
		isle device one remove lan || :
		! on_host nic0 || flunk "it is on the host: $how" "$(ip -d link show nic0)"
		isle config one unset device.lan 2>/dev/null || :
		isle restart --kill one
		! on_host nic0 || flunk "it came to the host at a stop: $how"
	done
}

@test "interfaces: one that was given comes home whatever other names it has got, and without them" {
	local name
	isle start two 2>/dev/null || make_guest two
	for name in "isle$E2E_TAG" "is$E2E_TAG-one" "is$E2E_TAG-two" lo1 "$(printf 'x\033[2Jy')"; do
		ip_inside link property add dev nic0 altname "$name"
	done
	ip_inside link set nic0 alias "$(printf 'a\033[2Jb')"
	works isle device one remove lan
	is 'other names' null "$(ip -j link show nic0 | jq -c '.[0].altnames')"
	is alias null "$(ip -j link show nic0 | jq -c '.[0].ifalias')"
	works isle start two
	isle destroy --force two
	on_host nic0
}

@test "interfaces: nor do other names without number keep it, at a stop either" {
	local n
	for n in {1..480}; do
		printf 'link property add dev nic0 altname %0110d\n' "$n"
	done >"$BATS_TEST_TMPDIR/names"
	ip_inside -batch - <"$BATS_TEST_TMPDIR/names"
	ip_inside link property add dev nic0 altname "isle$E2E_TAG"
	isle config one set device.lan.type=nic device.lan.source=nic0
	works timeout 30 "$ISLE" stop --kill one
	is 'other names' null "$(ip -j link show nic0 | jq -c '.[0].altnames')"
	isle config one unset device.lan
	isle start one
}
