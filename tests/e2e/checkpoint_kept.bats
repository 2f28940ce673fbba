#!/usr/bin/env bats
# A guest that sleeps keeps its network on the host, for a quicker wake.
load lib
bats_require_minimum_version 1.5.0

setup_file() { begin_one; }

setup() { one_runs; }

teardown_file() {
	rm -f "$ISLE_PATH/networks/second"
	end_of_file
}

# spaces GUEST: its network and user namespaces.
spaces() { readlink "/proc/$(init_pid "$1")/ns/net" "/proc/$(init_pid "$1")/ns/user"; }

link_of() { field "$1" .links[0].host_name; }

held() { grep -c "$ISLE_PATH/run/.kept-$1/" /proc/self/mountinfo; }

# answers ADDRESS: a refusal is what it answers by.
answers() {
	timeout $((2 * E2E_SLOW)) bash -c ": <>/dev/tcp/$1/7" 2>&1 | grep -q refused
}

# A neighbour, of which images know nothing: known is whether it is the network that it was. Namespaces' own numbers are used again.
meet() { isle exec one -- arp -s "$(address one | sed 's/[0-9]*$/254/')" 02:00:00:00:00:01; }
known() { isle exec one -- arp -n | grep -q 02:00:00:00:00:01; }

# A route that nobody but this guest has, whichever way its network came to be.
mark() { isle exec one -- ip route add 198.51.100.0/24 dev lo; }
marked() { isle exec one -- ip route | grep -q '^198.51.100.0/24'; }

@test "kept: the guest wakes in the network that it had, three times, its connection with it" {
	before=$(spaces one)
	meet
	build_zoo
	bring_zoo one
	hold one echo
	connect one
	for _ in 1 2 3; do
		isle checkpoint -q one
		is held 2 "$(held one)"
		isle start one
		is namespaces "$before" "$(spaces one)"
		is held 0 "$(held one)"
		known
		talks
	done
	disconnect
	let_go one echo
	isle exec one -- ip link set eth0 mtu 1400
	is 'power over its network' 1400 "$(isle exec one -- cat /sys/class/net/eth0/mtu)"
	isle exec one -- ip link set eth0 mtu 1500
	isle exec one -- ping -c 1 -W 2 "$(isle exec one -- ip route | awk '/^default/ { print $3 }')"
}

@test "kept: while it sleeps its link is down and on no bridge, and it answers nobody" {
	link=$(link_of one)
	address=$(address one)
	answers "$address"
	isle checkpoint -q one
	run ip -o link show "$link"
	says 'state DOWN'
	says_not master
	if answers "$address"; then flunk 'it answers'; fi
	is rules '' "$(rules_left)"
	isle start one
	wait_until 10 answers "$address" # a host that has asked in vain asks again a second later
	run ip -o link show "$link"
	says 'master isle'
}

@test "kept: what was kept is let go by a cold start, by another checkpoint's wake and by a destroy" {
	make_guest two
	isle start two
	isle checkpoint -q two
	isle start --cold two
	is 'after a cold start' 0 "$(held two)"
	id=$(isle checkpoint --leave-running --json two | jq -r .checkpoint)
	is 'of one that runs on' 0 "$(held two)"
	isle checkpoint -q two
	is asleep 2 "$(held two)"
	isle restore two "$id"
	is 'after the other' 0 "$(held two)"
	isle exec two -- ping -c 1 -W 2 "$(isle exec two -- ip route | awk '/^default/ { print $3 }')"
	isle checkpoint -q two
	isle checkpoint two --delete "$(isle checkpoint --list --json two | jq -r '.[] | select(.asleep) | .id')"
	is 'after the checkpoint is deleted' 0 "$(held two)"
	isle start two
	isle checkpoint -q two
	link=$(isle info --json two | jq -r '.links[0].host_name // empty')
	isle destroy --force two
	is 'after a destroy' 0 "$(grep -c '/.kept-two/' /proc/self/mountinfo)"
	[ -z "$link" ] || ! ip link show "$link" 2>/dev/null || flunk 'its link is there'
}

@test "kept: as after a reboot of the host, or without its link: it wakes from the images" {
	mark
	meet
	known
	isle checkpoint -q one
	umount "$ISLE_PATH/run/.kept-one/net" "$ISLE_PATH/run/.kept-one/user"
	isle start one
	if known; then flunk 'it is the network that it was'; fi
	marked
	link=$(link_of one)
	meet
	isle checkpoint -q one
	ip link delete "$link"
	isle start one
	if known; then flunk 'it is the network that it was'; fi
	marked
	isle exec one -- ip route del 198.51.100.0/24
	is files '' "$(files_left one | grep -v "^$ISLE_PATH/run/one$")"
}

@test "kept: a wake that fails or is killed takes it along, and the next one is from the images" {
	for row in addresses 'kept network' 'id holder' 'root storage'; do
		isle checkpoint -q one
		if ISLE_FAULT="$row:fail-after" isle start one; then flunk "it started past $row"; fi
		is 'held by nobody' 0 "$(held one)"
		is links '' "$(links_left)"
		is state checkpointed "$(state one)"
		isle start one
		marked && flunk 'a mark that nobody made'
		isle checkpoint -q one
		ISLE_FAULT="$row:kill-after" isle start one || :
		isle start one
		is state running "$(state one)"
		isle exec one -- ping -c 1 -W 2 "$(isle exec one -- ip route | awk '/^default/ { print $3 }')"
	done
}

@test "kept: a bridge of another network, with the address that this has there" {
	printf '[network]\ntype = bridge\nbridge = e2esecond\naddress4 = 10.231.7.1/24\nnat = no\n' >"$ISLE_PATH/networks/second"
	chmod 644 "$ISLE_PATH/networks/second"
	before=$(spaces one)
	isle checkpoint -q one
	isle config one set network.eth0.link=second
	isle start one
	is namespaces "$before" "$(spaces one)"
	isle exec one -- ping -c 1 -W 2 10.231.7.1
	isle checkpoint -q one
	isle config one unset network.eth0.link
	isle start one
	isle exec one -- ping -c 1 -W 2 "$(isle exec one -- ip route | awk '/^default/ { print $3 }')"
	ip link delete e2esecond
}

@test "kept: interfaces that the config has in another order keep their bridges" {
	printf '[network]\ntype = bridge\nbridge = e2esecond\naddress4 = 10.231.7.1/24\nnat = no\n' >"$ISLE_PATH/networks/second"
	chmod 644 "$ISLE_PATH/networks/second"
	make_guest two --set network.eth1.type=bridge --set network.eth1.link=second
	isle start two
	isle checkpoint -q two
	sed -i '/^\[network eth0\]$/d' "$ISLE_PATH/guests/two/config"
	printf '[network eth0]\n' >>"$ISLE_PATH/guests/two/config"
	isle start two
	isle exec two -- ping -c 1 -W 2 10.231.7.1
	isle exec two -- ping -c 1 -W 2 "$(isle exec two -- ip route | awk '/^default/ { print $3 }')"
	isle destroy --force two
	ip link delete e2esecond
}

@test "kept: not one that is linked to another network in the guest, as a unit's own" {
	isle exec one -- sh -c '(exec unshare -n sh -c "mkfifo /tmp/wait; exec 4<>/tmp/wait; read -r _ <&4") >/dev/null 2>&1 </dev/null &
		echo $! >/tmp/other; sleep 0.3
		ip link add near type veth; ip link set veth0 netns "$(cat /tmp/other)"
		ip address add 10.231.8.1/24 dev near; ip link set near up
		nsenter -t "$(cat /tmp/other)" -n sh -c "ip address add 10.231.8.2/24 dev veth0; ip link set veth0 up"
		ping -c 1 -W 2 10.231.8.2'
	isle checkpoint -q one
	is held 0 "$(held one)"
	is links '' "$(links_left)"
	isle start one
	isle exec one -- ping -c 1 -W 2 10.231.8.2
	isle exec one -- sh -c 'ip link delete near; kill "$(cat /tmp/other)"; rm /tmp/wait'
}

@test "kept: a checkpoint that was killed before it ended the guest is finished before it is deleted" {
	make_guest two
	isle start two
	id=$(isle checkpoint --leave-running --json two | jq -r .checkpoint)
	echo "$id" >"$ISLE_PATH/guests/two/asleep"
	sed -i 's/^phase=.*/phase=checkpoint/' "$ISLE_PATH/run/two/record"
	isle checkpoint two --delete "$id"
	is state stopped "$(state two)"
	isle start two
	isle exec two -- ping -c 1 -W 2 "$(isle exec two -- ip route | awk '/^default/ { print $3 }')"
	isle destroy --force two
}

@test "kept: of a privileged guest" {
	make_guest strong --set security.privileged=yes
	isle start strong
	before=$(readlink "/proc/$(init_pid strong)/ns/net")
	isle checkpoint -q strong
	is held 1 "$(held strong)"
	isle start strong
	is namespace "$before" "$(readlink "/proc/$(init_pid strong)/ns/net")"
	isle exec strong -- ping -c 1 -W 2 "$(isle exec strong -- ip route | awk '/^default/ { print $3 }')"
	isle destroy --force strong
}
