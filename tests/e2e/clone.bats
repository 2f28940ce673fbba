#!/usr/bin/env bats
# isle clone: copies of a guest, stopped or from one moment of a running one.
# shellcheck disable=SC2154 # hold_at sets command and walker
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one --set limits.processes=300
	isle start one
	isle exec one -- sh -c 'echo mine >/root/file'
	! has_criu || build_zoo
	! has_criu || bring_zoo one
}

teardown() {
	for name in two three four w-1 w-2 w-3 w-4; do isle destroy -qf "$name" 2>/dev/null || :; done
	isle unfreeze -q one 2>/dev/null || :
	[ "$(state one)" = running ] || isle start one
}

teardown_file() { end_of_file; }

machine_id() {
	isle exec "$1" -- cat /etc/machine-id
}

mac_inside() {
	isle exec "$1" -- cat /sys/class/net/eth0/address
}

guests_are() {
	is guests "$*" "$(isle list -q --columns name | sort | xargs)"
	is 'folders of guests' "$*" "$(find "$ISLE_PATH/guests" -mindepth 1 -maxdepth 1 ! -name '.lock*' -printf '%f\n' | sort | xargs)"
	is 'checkpoints of one' '' "$(ls -A "$ISLE_PATH/guests/one/checkpoints" 2>/dev/null)"
}

# differ WHAT COMMAND...: prints another text for each guest named in $among.
differ() {
	local what=$1 name seen=' ' now
	shift
	for name in $among; do
		now=$("$@" "$name")
		[ -n "$now" ] || flunk "$what of $name is empty"
		[[ $seen != *" $now "* ]] || flunk "$what is the same: $seen, $name: $now"
		seen+="$now "
	done
}

host_name() { isle exec "$1" -- hostname; }
first_id() { field "$1" .ids.first; }
guest_uuid() { isle exec "$1" -- cat /run/host/container-uuid; }

identities_differ() {
	differ machine-id machine_id
	differ MAC mac_inside
	differ address address
	differ 'host name' host_name
	differ ids first_id
	differ uuid guest_uuid
	for name in $among; do
		is "host name of $name" "$name" "$(host_name "$name")"
		is "/etc/hostname of $name" "$name" "$(isle exec "$name" -- cat /etc/hostname)"
		is "MAC as known of $name" "$(mac_inside "$name")" "$(field "$name" .links[0].mac)"
		is "address inside $name" "$(field "$name" .links[0].address)" "$(isle exec "$name" -- ip -4 -o addr show eth0 | awk '{ print $4 }')"
		isle exec "$name" -- ping -c 1 -W 2 "$(isle exec "$name" -- ip route | awk '/^default/ { print $3 }')" >/dev/null ||
			flunk "$name has no network"
	done
}

@test "clone: a stopped guest, with its files and config and an identity of its own" {
	isle stop -k one
	works isle clone one two
	is output 'two: cloned from one' "$output"
	works isle clone --json one three --set limits.processes=200
	is JSON '{"name":"three","source":"one","live":false}' "$(jq -c 'del(.frozen_seconds)' <<<"$output")"
	guests_are one three two
	isle start one two three
	is file mine "$(isle exec two -- cat /root/file)"
	is limit 300 "$(isle config two get limits.processes)"
	is limit 200 "$(isle config three get limits.processes)"
	among='one two three' identities_differ
	isle exec two -- sh -c 'echo other >/root/file'
	is 'file of the source' mine "$(isle exec one -- cat /root/file)"
}

@test "clone: what the config sets for one guest only is not taken over" {
	isle stop -k one
	isle clone -q one two --set guest.hostname=special --set network.eth0.mac=02:11:22:33:44:55
	isle clone -q two three
	isle start two three
	is 'host name' special "$(host_name two)"
	is MAC 02:11:22:33:44:55 "$(mac_inside two)"
	is 'host name' three "$(host_name three)"
	isnt MAC 02:11:22:33:44:55 "$(mac_inside three)"
}

@test "clone: several, numbered, in LXC's manner, and what is refused" {
	isle stop -k one
	works isle clone --count 3 one w
	guests_are one w-1 w-2 w-3
	isle clone -q -n one --new-name two 2>/dev/null || isle-clone -n one -N two 2>/dev/null || "$ISLE" clone one two
	fails 4 isle clone one two
	says "there is a guest 'two' already"
	fails 4 isle clone one four three two
	guests_are one two w-1 w-2 w-3
	fails 2 isle clone one four four
	fails 2 isle clone one
	fails 2 isle clone --count 2 one three four
	fails 2 isle clone one ../four
	fails 2 isle clone one four --set guest.id=00000000000000000000000000000000
	fails 2 isle clone one four --set security.privileged=yes
	fails 3 isle clone nobody four
	fails 4 isle clone --live one four
	says 'it is stopped'
	isle start one
	fails 4 isle clone one four
	says '--live'
	guests_are one two w-1 w-2 w-3
}

@test "clone: the same from a guest of storage dir" {
	make_guest four --storage dir
	isle clone -q four two
	isle start two four
	among='two four' identities_differ
	needs_criu
	isle clone -q --live four three
	among='two three four' identities_differ
}

@test "clone: --live: from one moment, running, with new identities; the source keeps running" {
	needs_criu
	begin_count one
	is echo ready "$(hold one echo)"
	connect one
	pid=$(isle exec one -- cat /tmp/counter)
	before=$(init_pid one)
	works isle clone --live one two three
	says 'frozen for'
	says 'two: cloned from one, and runs'
	guests_are one three two
	is 'the source' "$before" "$(init_pid one)"
	talks
	disconnect
	counts one
	for name in two three; do
		is "state of $name" running "$(state "$name")"
		is 'the same process' "$pid" "$(isle exec "$name" -- cat /tmp/counter)"
		counts "$name"
		is file mine "$(isle exec "$name" -- cat /root/file)"
		is 'established connections' '' "$(isle exec "$name" -- netstat -tn | grep ESTABLISHED)"
		# What listened listens, under the new address.
		connect "$name"
		disconnect
	done
	among='one two three' identities_differ
	for name in one two three; do
		is "who has the message queues of $name" '1777 0 0' "$(isle exec "$name" -- stat -c '%a %u %g' /dev/mqueue)"
	done
	let_go one echo
}

@test "clone: of clones, put to sleep and woken, restarted: a clone is a guest like any other" {
	needs_criu
	isle clone -q --live one two
	isle clone -q --live two three
	isle checkpoint -q three
	isle start three
	among='one two three' identities_differ
	isle exec two -- reboot
	rebooted() { [ "$(field two .starts)" -gt 1 ] && [ "$(state two)" = running ]; }
	wait_until 30 rebooted
	isle restart three
	among='one two three' identities_differ
	isle destroy -f one
	make_guest one
	isle start one
	bring_zoo one
	isle exec one -- sh -c 'echo mine >/root/file'
	counts_on() { isle exec two -- true && isle exec three -- true; }
	counts_on
}

@test "clone: two at once of the same guest, and of the same name" {
	needs_criu
	isle clone -q --live one two &
	first=$!
	isle clone -q --live one three &
	wait "$first"
	wait $!
	among='one two three' identities_differ
	isle clone -q --live one four 2>/dev/null &
	first=$!
	isle clone -q --live one four 2>/dev/null &
	second=$!
	ok=0
	! wait "$first" || ok=$((ok + 1))
	! wait "$second" || ok=$((ok + 1))
	is 'those that succeeded' 1 "$ok"
	is state running "$(state four)"
	guests_are four one three two
}

@test "clone: killed in the middle of the dump, of the copies or of a wake: the source runs, no half guest stays" {
	needs_criu
	begin_count one
	for step in 'criu pre-dump' 'criu post-dump' 'criu post-restore' 'root storage' 'criu pre-resume'; do
		hold_at "$step" clone --live one two
		kill -KILL "$command" "$walker" 2>/dev/null || :
		wait "$command" || :
		# Whatever command comes next for the source removes the images, and the next that makes a guest the rest.
		cleared() { isle config one set limits.processes=300 && [ -z "$(ls -A "$ISLE_PATH/guests/one/checkpoints" 2>/dev/null)" ]; }
		wait_until 30 cleared
		swept() { isle clone -q --live one three && isle destroy -qf three; }
		wait_until 30 swept
		guests_are one
		counts one
		is "links after $step" 1 "$(links_left | wc -l)"
	done
}

@test "clone: every row of a clone's wake that fails leaves no guest" {
	needs_criu
	for row in cgroup addresses 'id holder' restore 'run record'; do
		run env ISLE_FAULT="$row:fail" "$ISLE" clone --live one two
		is "$row" 1 "$status"
		says "step:   $row"
		guests_are one
	done
	is links 1 "$(links_left | wc -l)"
}

@test "clone: the disk is full" {
	needs_criu
	isle exec one -- sh -c 'head -c 4000000 /dev/urandom >/root/ballast'
	mkdir -p "$ISLE_PATH/guests/one/checkpoints"
	mount -t tmpfs -o size=3M none "$ISLE_PATH/guests/one/checkpoints"
	run isle clone --live one two
	umount "$ISLE_PATH/guests/one/checkpoints"
	is status 1 "$status"
	says 'No space left on device'
	is state running "$(state one)"
	isle exec one -- rm /root/ballast
	guests_are one
}

@test "clone: a privileged guest" {
	needs_criu
	make_guest four --privileged 2>/dev/null
	isle start four
	isle clone -q --live four two
	among='two four'
	differ machine-id machine_id
	differ address address
	is 'host name' two "$(host_name two)"
}

@test "clone: a guest that puts traps where its name is written harms neither the host nor others" {
	needs_criu
	make_guest four
	isle start four
	mkdir -p "$E2E_ROOT/victim"
	echo safe >"$E2E_ROOT/victim/file"
	isle exec four -- sh -c "rm /run/host/container-uuid; mkfifo /run/host/container-uuid
		rm -f /etc/hostname /etc/machine-id; ln -s $E2E_ROOT/victim/file /etc/hostname; ln -s $E2E_ROOT/victim/file /etc/machine-id"
	works isle clone --live four two
	is 'the file of the host' safe "$(cat "$E2E_ROOT/victim/file")"
	is 'host name' two "$(host_name two)"
	is '/etc/hostname' two "$(isle exec two -- cat /etc/hostname)"
	isle exec four -- sh -c "rm /run/host/container-uuid; ln -s $E2E_ROOT/victim/file /run/host/container-uuid; rmdir /run/host 2>/dev/null; mount -t tmpfs -o ro none /run/host"
	run isle clone --live four three
	is 'the file of the host' safe "$(cat "$E2E_ROOT/victim/file")"
	[ "$status" -ne 0 ] || is 'host name' three "$(host_name three)"
	is 'the source' running "$(state four)"
	isle exec four -- sh -c 'rm /etc/hosts; mkfifo /etc/hosts'
	fails 1 isle clone --live four w-1
	says "read the guest's /etc/hosts"
	fails 3 isle info w-1
}
