#!/usr/bin/env bats
# Names, keys and values that would be something else to whoever reads them next.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() { same_host; }

@test "names: no guest gets one that is a path, an option, or more than a line" {
	local name
	for name in '' . .. ../x /x x/y -x --force .x 'a b' $'a\nb' $'a\tb' $'a\033[m' 'a;b' 'a$(id)' 'a`id`' 'a*' 'a%sb' "$(printf 'a%.0s' {1..300})" 'ä' 'a=b' 'a[b]' 'a#b' 'a,b'; do
		run timeout 20 "$ISLE" create -q -t busybox -- "$name"
		[ "$status" -ne 0 ] || flunk "a guest is called '$name'"
		run timeout 20 "$ISLE" destroy --force -- "$name"
		[ "$status" -ne 0 ] || flunk "a guest called '$name' is destroyed"
		run timeout 20 "$ISLE" rename one "$name"
		[ "$status" -ne 0 ] || flunk "a guest is renamed '$name'"
	done
	is guests one "$(isle list -1)"
}

@test "names: no value brings a line, a section or a key of its own" {
	local value config=$ISLE_PATH/guests/one/config sum
	sum=$(sha256sum <"$config")
	for value in $'x\n[security]\nprivileged = yes' $'x\rprivileged = yes' $'x\033[2J' $'x\001'; do
		for key in guest.hostname guest.init guest.environment guest.template; do
			run isle config one set "$key=$value"
			[ "$status" -ne 0 ] || flunk "$key takes $(printf %q "$value")"
		done
	done
	for key in $'guest.hostname\nprivileged' '[security].privileged' '../security' 'network.$(id).type' $'network.e\n0.type' 'network.a/b.type'; do
		run isle config one set "$key=yes"
		[ "$status" -ne 0 ] || flunk "the key $(printf %q "$key") is taken"
	done
	is config "$sum" "$(sha256sum <"$config")"
	is privileged no "$(isle config one get security.privileged)"
}

@test "names: a config with control bytes, links or too much is refused and told harmlessly" {
	local config=$ISLE_PATH/guests/one/config
	cp "$config" "$BATS_TEST_TMPDIR/good"
	for text in $'[guest]\nhostname = a\033[2Jb\n' $'[gu\033[2Jest]\nx = y\n' $'[guest]\nx\033[2J = y\n'; do
		printf '%s' "$text" >"$config"
		run timeout 20 "$ISLE" start one
		[ "$status" -ne 0 ] || flunk 'it starts'
		says_not $'\033'
		run timeout 20 "$ISLE" list --long
		says_not $'\033'
		run timeout 20 "$ISLE" info one
		says_not $'\033'
	done
	head -c 20000000 /dev/zero | tr '\0' 'a' >"$config"
	run timeout 20 "$ISLE" start one
	[[ $status -ne 0 && $status -ne 124 ]] || flunk "status $status with 20 MB of config"
	rm "$config"
	mkfifo "$config"
	run timeout 20 "$ISLE" start one
	[[ $status -ne 0 && $status -ne 124 ]] || flunk "status $status with a fifo as config"
	rm "$config"
	ln -s /dev/zero "$config"
	run timeout 20 "$ISLE" start one
	[[ $status -ne 0 && $status -ne 124 ]] || flunk "status $status with /dev/zero as config"
	rm "$config"
	cp "$BATS_TEST_TMPDIR/good" "$config"
	chmod 600 "$config"
}

@test "names: sections and names in a hand-edited config are held to the same rules as those that are set" {
	local config=$ISLE_PATH/guests/one/config long section line
	long=$(printf 'a%.0s' {1..300})
	cp "$config" "$BATS_TEST_TMPDIR/good"
	for section in 'mount -x' 'mount ..' 'mount a/b' "mount $long" $'mount a\x9b' $'mount a\xc2\x9b' 'mount a b' 'network ../x' 'network -x' 'network sixteen-letters-x' 'guest x'; do
		{
			cat "$BATS_TEST_TMPDIR/good"
			printf '[%s]\ntype = none\nsource = /x\ntarget = /y\n' "$section"
		} >"$config"
		run timeout 20 "$ISLE" start one
		is "status with [$section]" 1 "$status"
		says config:
		says_not $'\x9b'
	done
	for line in 'hostname = ../x' 'hostname = -x' "hostname = $long" 'id = ../../x' 'image = ../../x' 'image = -x' 'init = x' 'description = a\x7fb' $'description = \xc2\x9bx' $'description = \x9bx' 'storage = ../x'; do
		sed "s#^\[guest\]#[guest]\n$line#" "$BATS_TEST_TMPDIR/good" >"$config"
		run timeout 20 "$ISLE" start one
		is "status with $line" 1 "$status"
		says_not $'\x9b'
		for command in 'list --long' 'list --columns description,hostname' 'info one' 'info --json one' 'config one show' 'config one get guest.description' 'doctor' 'log one'; do
			# shellcheck disable=SC2086 # words
			run timeout 60 "$ISLE" $command
			[ "$status" -ne 124 ] || flunk "$command hangs"
			says_not $'\x9b'
			says_not $'\x7f'
		done
	done
	cp "$BATS_TEST_TMPDIR/good" "$config"
}

@test "names: what is left in run folders and control sockets is not believed" {
	local run=$ISLE_PATH/run/one
	install -d -m 700 "$run"
	for text in '' 'phase=running' $'phase=running\ninit_pid=1\ninit_start=0\nboot_id=x\ncgroup=../../..\n' "$(head -c 100000 /dev/urandom | base64)"; do
		install -d -m 700 "$run"
		for file in record state; do
			printf '%s' "$text" >"$run/$file"
		done
		run timeout 20 "$ISLE" list --long
		is status 0 "$status"
		run timeout 20 "$ISLE" stop --kill one
		[ "$status" -ne 124 ]
	done
	kill -0 1
	timeout 20 "$ISLE" start one
	timeout 20 "$ISLE" destroy --force one
	make_guest one
}

@test "names: garbage to the control socket does not end the monitor" {
	isle start one
	python3 - "$ISLE_PATH/run/one/control" <<-'END'
		import os, random, socket, sys
		random.seed(1)
		folder = os.open(os.path.dirname(sys.argv[1]), os.O_RDONLY)
		address = "/proc/self/fd/%d/control" % folder
		kept = []
		for i in range(400):
		    s = socket.socket(socket.AF_UNIX, socket.SOCK_SEQPACKET)
		    s.settimeout(1)
		    try:
		        s.connect(address)
		        for _ in range(3):
		            s.send(os.urandom(random.choice((1, 4, 8, 16, 64, 4096, 60000))))
		        socket.send_fds(s, [b"x" * 8], [0, 1, 2])
		    except OSError:
		        pass
		    if i % 10:
		        s.close()
		    else:
		        kept.append(s)
	END
	kill -0 "$(monitor_pid one)"
	works timeout 20 "$ISLE" exec one -- true
	works timeout 20 "$ISLE" stop --kill one
}
