#!/usr/bin/env bats
# Networks: guests reach each other and the host, keep their addresses, and leave nothing.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one two
	isle start one two
}

teardown() {
	local name
	for name in three four three-1; do
		[ ! -e "$ISLE_PATH/guests/$name" ] || isle destroy -q --force "$name"
	done
}

teardown_file() {
	# Networks that tests made.
	for link in $(ip -o link show type bridge | awk -F': ' '{ print $2 }'); do
		case $link in isle0 | "isle$E2E_TAG") ;; *) ip link del "$link" ;; esac
	done
	rm -f "$ISLE_PATH"/networks/second "$ISLE_PATH"/networks/walled
	end_of_file
}

# In a guest: ping ADDRESS until it answers, which for IPv6 is when the address has been found to be free.
reaches() {
	wait_until 10 isle exec "$1" -- ping -c 1 -W 1 "$2" >/dev/null
}

host_reaches() {
	wait_until 10 busybox ping -c 1 -W 1 "$1" >/dev/null
}

gateway() {
	isle exec "$1" -- ip route | awk '/^default/ { print $3 }'
}

@test "network: a guest whose name is another's and a number has links of its own" {
	make_guest three --set network.eth1.type=bridge
	make_guest three-1
	isle start three three-1
	is links 2 "$(isle exec three -- ip -o link show | grep -c ': eth[01]@')"
	reaches three-1 "$(gateway three-1)"
}

@test "network: guests reach each other" {
	reaches one "$(address two)"
	reaches two "$(address one)"
}

@test "network: host and guest reach each other" {
	host_reaches "$(address one)"
	reaches one "$(gateway one)"
}

@test "network: the same by IPv6" {
	[ -e /proc/net/if_inet6 ] || skip 'this kernel has no IPv6'
	[ "$(address6 one)" != null ]
	reaches one "$(address6 two)"
	host_reaches "$(address6 one)"
	isle exec one -- ip -6 route | grep -q '^default via'
}

@test "network: address, routes, MTU and resolv.conf are there before init runs" {
	make_guest three --set 'guest.init=/bin/sh -c "ip -4 -o addr show eth0 >/root/addr; ip -6 -o addr show eth0 >/root/addr6; ip route >/root/route; cat /etc/resolv.conf >/root/resolv; cat /sys/class/net/eth0/mtu >/root/mtu; exec /sbin/init"' \
		--set network.eth0.mtu=1400
	printf 'nameserver 192.0.2.53\nsearch example.org\n' >"$BATS_TEST_TMPDIR/resolv.conf"
	mount --bind "$BATS_TEST_TMPDIR/resolv.conf" /etc/resolv.conf
	isle start three || { umount /etc/resolv.conf; false; }
	umount /etc/resolv.conf
	seen() { isle exec three -- test -s /root/mtu; }
	wait_until 5 seen
	works isle exec three -- cat /root/addr
	says "$(address three)/"
	works isle exec three -- grep global /root/addr6
	says "$(address6 three)"
	says_not tentative
	works isle exec three -- cat /root/route
	says 'default via'
	works isle exec three -- cat /root/resolv
	says 192.0.2.53
	is mtu 1400 "$(isle exec three -- cat /root/mtu)"
}

@test "network: lo is up" {
	works isle exec one -- ping -c 1 -W 1 127.0.0.1
	works isle exec one -- ip addr show lo
	says 'UP'
}

@test "network: the host's end is named after the guest" {
	works ip -o link show
	says "one@"
	says "two@"
	is master "$(field one '.links[0].host_name')" "$(ip -o link show master "$(bridge)" | grep -o "is$E2E_TAG-one")"
}

bridge() {
	ip -o link show type bridge | awk -F': ' '{ print $2 }' | head -n 1
}

@test "network: MAC and addresses are the same at every start" {
	before=$(field one '.links | map({mac, address, address6})')
	isle restart --kill one
	is links "$before" "$(field one '.links | map({mac, address, address6})')"
	isle stop --kill one
	# Another takes none of them meanwhile.
	make_guest three
	isle start three
	isnt address "$(jq -r '.[0].address' <<<"$before" | cut -d/ -f1)" "$(address three)"
	isle start one
	is links "$before" "$(field one '.links | map({mac, address, address6})')"
	is inside "$(jq -r '.[0].mac' <<<"$before")" "$(isle exec one -- cat /sys/class/net/eth0/address)"
}

@test "network: no two guests have one MAC or address" {
	isnt mac "$(field one '.links[0].mac')" "$(field two '.links[0].mac')"
	isnt address "$(address one)" "$(address two)"
	isnt address6 "$(address6 one)" "$(address6 two)"
	mac=$(field one '.links[0].mac')
	is 'locally administered, unicast' 2 $((16#${mac%%:*} & 3))
}

@test "network: the interface is gone at once after stop" {
	make_guest three
	for how in --kill ''; do
		isle start three
		link=$(field three '.links[0].host_name')
		ip link show "$link" >/dev/null
		# shellcheck disable=SC2086 # no option or one
		isle stop $how three
		run ip link show "$link"
		[ "$status" -ne 0 ] || flunk "$link is there after stop $how"
	done
}

@test "network: a static address" {
	where=$(address one)
	# Addresses are as good as random: one that neither of the others has.
	for last in 251 252 253; do
		free=${where%.*}.$last
		[ "$free" = "$where" ] || [ -n "$(find "$ISLE_PATH/leases" -name "$free")" ] || break
	done
	make_guest three --set "network.eth0.address=$free/24" --set network.eth0.address6=none
	isle start three
	is address "$free" "$(address three)"
	is address6 null "$(field three '.links[0].address6')"
	host_reaches "$free"
	works isle exec three -- ip -6 -o addr show eth0 scope global
	is 'global IPv6' '' "$output"
}

@test "network: a static address that another has is refused with its name" {
	make_guest three --set "network.eth0.address=$(address one)/24"
	fails 1 isle start three
	says "$(address one)"
	says 'guest one has it'
	is state stopped "$(state three)"
	run cgroups_left
	says_not three
}

@test "network: no address, no interface" {
	make_guest three --set network.eth0.address=none --set network.eth0.address6=none
	isle start three
	works isle exec three -- ip -o addr show eth0
	says_not 'inet '
	is link up "$(isle exec three -- cat /sys/class/net/eth0/operstate)"
	isle stop --kill three
	isle config three set network.eth0.type=none
	isle start three
	is interfaces lo "$(isle exec three -- ls /sys/class/net | xargs)"
}

@test "network: several interfaces, on several networks" {
	printf '[network]\ntype = bridge\nbridge = e2esecond\naddress4 = 10.231.7.1/24\nnat = no\n' >"$ISLE_PATH/networks/second"
	chmod 644 "$ISLE_PATH/networks/second"
	make_guest three --set network.eth1.link=second --set network.eth1.address6=none --set network.lan.address=none --set network.lan.address6=none
	isle start three
	is interfaces 'eth0 eth1 lan lo' "$(isle exec three -- ls /sys/class/net | xargs)"
	works isle exec three -- ip -4 -o addr show eth1
	says 10.231.7.
	is 'default routes' 1 "$(isle exec three -- ip route | grep -c ^default)"
	works isle exec three -- ip route
	says 'dev eth0'
	reaches three 10.231.7.1
	isle stop --kill three
	run ip -o link show
	says_not three
}

@test "network: a network that is not there is named" {
	make_guest three --set network.eth0.link=nosuch0
	fails 3 isle start three || fails 1 isle start three
	says nosuch0
	is state stopped "$(state three)"
}

@test "network: an own gateway and MAC" {
	where=$(address one)
	make_guest three --set network.eth0.gateway="${where%.*}.9" --set network.eth0.mac=02:00:5e:10:00:07
	isle start three
	is gateway "${where%.*}.9" "$(gateway three)"
	is mac 02:00:5e:10:00:07 "$(isle exec three -- cat /sys/class/net/eth0/address)"
}

@test "network: NAT to what lies behind the host" {
	# A machine that is not on isle's network and has no route to the guests.
	ip netns add "e2e$$" 2>/dev/null || skip 'no more network namespaces'
	ip link add e2e-out type veth peer name e2e-in netns "e2e$$"
	ip addr add 198.51.100.1/30 dev e2e-out
	ip link set e2e-out up
	ip -n "e2e$$" addr add 198.51.100.2/30 dev e2e-in
	ip -n "e2e$$" link set e2e-in up
	status=0
	reaches one 198.51.100.2 || status=1
	ip link del e2e-out
	ip netns del "e2e$$"
	umount /run/netns 2>/dev/null || :
	is 'reached through NAT' 0 "$status"
}

@test "network: a bridge with the pinned MAC comes back when somebody deletes it" {
	make_guest three
	link=$(bridge)
	mac=$(cat "/sys/class/net/$link/address" 2>/dev/null || ip -o link show "$link" | grep -o 'link/ether [^ ]*' | cut -d' ' -f2)
	isle stop --kill one two
	ip link del "$link"
	isle start one two three
	is mac "$mac" "$(ip -o link show "$link" | grep -o 'link/ether [^ ]*' | cut -d' ' -f2)"
	reaches three "$(address one)"
}

@test "network: rules of others stay as they are" {
	nft add table inet others
	nft add chain inet others mine '{ type filter hook forward priority 10; policy accept; }'
	before=$(nft list table inet others)
	make_guest three
	isle start three
	isle stop --kill three
	is table "$before" "$(nft list table inet others)"
	nft delete table inet others
}

@test "network: ten guests started at once have ten addresses" {
	names=$(seq -f g%g 10 | xargs)
	# shellcheck disable=SC2086 # names
	make_guest $names
	# shellcheck disable=SC2086
	isle start $names
	is addresses 10 "$(for name in $names; do address "$name"; done | sort -u | wc -l)"
	# shellcheck disable=SC2086
	isle destroy -q --force $names
}

@test "network: a static address outside the subnet is refused, and the subnet is named" {
	make_guest three --set network.eth0.address=192.0.2.77/24
	fails 1 isle start three
	says 192.0.2.77
	says "outside the network's subnet"
	isle config three set network.eth0.address=auto network.eth0.address6=2001:db8::77/64 >/dev/null
	fails 1 isle start three
	says 2001:db8::77
	is 'links left' '' "$(ip -o link show | grep -o "is$E2E_TAG-three" || :)"
}

# Two more networks: NAME...
make_networks() {
	local name number=7
	for name; do
		printf '[network]\nbridge = e2e%s\naddress4 = 10.231.%s.1/24\naddress6 = fd00:e2e:%s::1/64\n' "$name" "$number" "$number" >"$ISLE_PATH/networks/$name"
		number=$((number + 1))
	done
}

cannot_reach() {
	run isle exec "$1" -- ping -c 2 -W 1 "$2"
	[ "$status" -ne 0 ] || flunk "$1 reaches $2"
}

@test "network: guests of one network reach those of another only when both networks are routed" {
	make_networks second walled
	make_guest three --set network.eth0.link=second
	make_guest four --set network.eth0.link=walled
	isle start three four
	reaches three 10.231.7.1
	host_reaches "$(address four)"
	cannot_reach three "$(address four)"
	cannot_reach four "$(address three)"
	cannot_reach three "$(address6 four)"
	cannot_reach three "$(address one)"
	# What the host itself listens on is reached, at any of its addresses.
	reaches three 10.231.8.1
	isle stop --kill three four
	echo 'routed = yes' >>"$ISLE_PATH/networks/second"
	isle start three four
	cannot_reach three "$(address four)"
	isle stop --kill three four
	echo 'routed = yes' >>"$ISLE_PATH/networks/walled"
	isle start three four
	reaches three "$(address four)"
	reaches four "$(address6 three)"
	cannot_reach three "$(address one)"
}

@test "network: isolated guests reach the host and others, and not each other, by way of the host either" {
	make_guest three four
	isle start three four
	reaches three "$(address four)"
	by_the_host() {
		isle exec three -- ip route replace "$(address four)" via "$(gateway three)"
		isle exec four -- ip route replace "$(address three)" via "$(gateway four)"
	}
	by_the_host
	reaches three "$(address four)"
	isle stop --kill three four
	isle config three set network.eth0.isolated=yes >/dev/null
	isle config four set network.eth0.isolated=yes >/dev/null
	isle start three four
	cannot_reach three "$(address four)"
	cannot_reach four "$(address6 three)"
	by_the_host
	cannot_reach three "$(address four)"
	reaches three "$(address one)"
	reaches one "$(address6 three)"
	reaches three "$(gateway three)"
	fails 1 isle config three set network.eth0.spoofing=allow
	says isolated
}

@test "network: where the kernel has no rules on bridges only a guest that may spoof is started" {
	needs cc
	mkdir "$BATS_TEST_TMPDIR/lib"
	cat >"$BATS_TEST_TMPDIR/nft.c" <<-'END'
		#include <string.h>
		static int bridge;
		void *nft_ctx_new(unsigned flags) { return &bridge; }
		void nft_ctx_free(void *ctx) {}
		int nft_ctx_buffer_error(void *ctx) { return 0; }
		int nft_ctx_buffer_output(void *ctx) { return 0; }
		const char *nft_ctx_get_error_buffer(void *ctx) { return "Error: Could not process rule: Operation not supported"; }
		int nft_run_cmd_from_buffer(void *ctx, const char *text) { return strstr(text, "table bridge") ? -1 : 0; }
	END
	cc -shared -fPIC -w -o "$BATS_TEST_TMPDIR/lib/libnftables.so.1" "$BATS_TEST_TMPDIR/nft.c"
	make_guest three
	nft delete table bridge isle
	LD_LIBRARY_PATH=$BATS_TEST_TMPDIR/lib fails 1 isle start three
	says CONFIG_NF_TABLES_BRIDGE
	says 'spoofing = allow'
	is state stopped "$(state three)"
	is 'links left' '' "$(ip -o link show | grep -o "is$E2E_TAG-three" || :)"
	isle config three set network.eth0.spoofing=allow >/dev/null
	LD_LIBRARY_PATH=$BATS_TEST_TMPDIR/lib isle start three
	reaches three "$(gateway three)"
	isle doctor --rules
}

@test "network: a guest whose addresses isle does not know is told of" {
	ip link add e2eadopted type bridge
	ip link set e2eadopted up
	printf '[network]\nbridge = e2eadopted\nadopted = yes\n' >"$ISLE_PATH/networks/second"
	make_guest three --set network.eth0.link=second
	works isle start three
	says 'isle knows no address of eth0'
	isle stop --kill three
	isle config three set network.eth0.spoofing=addresses >/dev/null
	works isle start three
	says_not 'knows no address'
}
