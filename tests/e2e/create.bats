#!/usr/bin/env bats
# isle create and isle image.
load lib
bats_require_minimum_version 1.5.0

teardown() {
	for name in one two three; do
		if [ -e "$ISLE_PATH/guests/$name" ]; then isle destroy -q --force "$name"; fi
	done
}

teardown_file() {
	end_of_file
}

# A template of the test's own: SCRIPT, made executable; prints its path.
template() {
	local path=$BATS_TEST_TMPDIR/$1
	printf '#!/bin/sh\nfor a; do case $a in --rootfs=*) rootfs=${a#*=} ;; --path=*) path=${a#*=} ;; --name=*) name=${a#*=} ;; esac; done\n%s\n' "$2" >"$path"
	chmod 755 "$path"
	printf '%s' "$path"
}

@test "create: a guest from the cached image is quick" {
	begun=$(milliseconds)
	make_guest one
	took=$(($(milliseconds) - begun))
	[ "$took" -lt $((2000 * E2E_SLOW)) ] || flunk "it took $took ms"
	is state stopped "$(state one)"
	isle start one
	is answer hi "$(isle exec one -- echo hi)"
}

@test "create: says what it made; --json too" {
	works isle create -t busybox one
	says one
	says busybox-
	isle create --json -t busybox two | jq -e '.name == "two" and (.image | startswith("busybox-")) and (.storage | length > 0)'
}

@test "create: several at a time from one image" {
	make_guest one two three
	is images 1 "$(for name in one two three; do field $name .image; done | sort -u | wc -l)"
	is ids 3 "$(for name in one two three; do field $name .ids.first; done | sort -u | wc -l)"
	is uuids 3 "$(for name in one two three; do isle config $name get guest.id; done | sort -u | wc -l)"
}

@test "create: --storage dir and overlay" {
	for storage in dir overlay; do
		run isle create -q -t busybox --storage "$storage" one
		if [ "$status" -ne 0 ]; then
			[ "$storage" = overlay ] || flunk "$output"
			continue # this file system carries no overlay, and create has said so
		fi
		is storage "$storage" "$(field one .storage)"
		isle start one
		isle exec one -- sh -c 'echo x >/root/file; rm /etc/hosts; mv /etc/passwd /etc/passwd2; mv /etc/passwd2 /etc/passwd; chmod 600 /bin/busybox; chmod 4755 /bin/busybox'
		isle restart --kill one
		is file x "$(isle exec one -- cat /root/file)"
		isle destroy -q --force one
	done
	fails 2 isle create -q -t busybox --storage tape one
	# The image has seen nothing of it.
	make_guest one
	isle start one
	run isle exec one -- cat /root/file
	[ "$status" -ne 0 ]
	isle exec one -- test -s /etc/hosts
}

@test "create: names that are none" {
	for name in '' . .. ../x a/b .hidden -x 'a b' 'a..b' 'name.' $'new\nline' $'\033[31m' "$(printf 'a%.0s' $(seq 64))"; do
		fails 2 isle create -q -t busybox -- "$name"
	done
	fails 2 isle create -q -t busybox
	assert_nothing_left
	for name in a 9 web-1.example_x "$(printf 'a%.0s' $(seq 63))"; do
		make_guest "$name"
		isle start "$name"
		isle destroy -q --force "$name"
	done
	assert_nothing_left
}

@test "create: a name that is taken" {
	make_guest one
	before=$(cat "$ISLE_PATH/guests/one/config")
	fails 4 isle create -q -t busybox one
	says "'one'"
	is config "$before" "$(cat "$ISLE_PATH/guests/one/config")"
}

@test "create: two at once of one name; one wins" {
	"$ISLE" create -q -t busybox one 3>&- 2>"$BATS_TEST_TMPDIR/first" &
	first=$!
	"$ISLE" create -q -t busybox one 3>&- 2>"$BATS_TEST_TMPDIR/second" &
	second=$!
	won=0
	if wait "$first"; then won=$((won + 1)); fi
	if wait "$second"; then won=$((won + 1)); fi
	is winners 1 "$won"
	grep -q "already\|held by" "$BATS_TEST_TMPDIR/first" "$BATS_TEST_TMPDIR/second"
	isle start one
	isle destroy --force one
	assert_nothing_left
}

@test "create: two at once of one image; it is built once" {
	path=$(template slow 'echo run >>'"$BATS_TEST_TMPDIR"'/runs
		read x <'"$BATS_TEST_TMPDIR"'/go
		mkdir -p "$rootfs/sbin"; cp /bin/busybox "$rootfs/sbin/init"; mkdir -p "$rootfs/etc" "$rootfs/proc" "$rootfs/sys" "$rootfs/dev" "$rootfs/run"')
	mkfifo "$BATS_TEST_TMPDIR/go"
	"$ISLE" create -q -t "$path" one 3>&- &
	first=$!
	"$ISLE" create -q -t "$path" two 3>&- &
	second=$!
	echo >"$BATS_TEST_TMPDIR/go"
	wait "$first"
	wait "$second"
	is runs 1 "$(wc -l <"$BATS_TEST_TMPDIR/runs")"
	is images 1 "$(for name in one two; do field $name .image; done | sort -u | wc -l)"
	isle destroy -q one two
	# shellcheck disable=SC2046 # keys have no blanks
	isle image remove $(isle image list --json | jq -r '.[].key // .[].name' | grep ^slow)
}

@test "create: a template that fails leaves nothing and says why" {
	path=$(template failing 'mkdir -p "$rootfs/bin"; echo "no space on the mirror" >&2; exit 7')
	fails 1 isle create -t "$path" one
	says 'no space on the mirror'
	says failing
	is guests '' "$(isle list -1)"
	is images '' "$(find "$ISLE_PATH/images" -name '*failing*')"
	assert_nothing_left
}

@test "create: a template that is killed, or leaves processes and mounts, leaves nothing" {
	path=$(template messy 'mkdir -p "$rootfs/mnt"; mount -t tmpfs left "$rootfs/mnt"; sleep 1000 & setsid sleep 1001 & kill -9 $$')
	fails 1 isle create -q -t "$path" one
	assert_nothing_left
	run pgrep -x -f 'sleep 100[01]'
	[ "$status" -ne 0 ]
}

@test "create --timeout: ends a template that hangs" {
	path=$(template hanging 'while :; do sleep 1; done')
	begun=$(milliseconds)
	fails 5 isle create -q --timeout 1s -t "$path" one || fails 1 isle create -q --timeout 1s -t "$path" one
	[ $(($(milliseconds) - begun)) -lt $((20000 * E2E_SLOW)) ]
	assert_nothing_left
}

@test "create: interrupted at the template, leaves nothing" {
	path=$(template waiting 'echo ready >'"$BATS_TEST_TMPDIR"'/ready; while :; do sleep 1; done')
	for signal in INT TERM HUP; do
		rm -f "$BATS_TEST_TMPDIR/ready"
		# Interactive shells' children do not ignore SIGINT; those of scripts in the background do.
		python3 -c 'import os, signal, sys; signal.signal(signal.SIGINT, signal.SIG_DFL); os.execv(sys.argv[1], sys.argv[1:])' \
			"$ISLE" create -q -t "$path" one 3>&- &
		pid=$!
		wait_until 10 test -e "$BATS_TEST_TMPDIR/ready"
		kill -"$signal" "$pid"
		status=0
		wait "$pid" || status=$?
		[ "$status" -ne 0 ]
		assert_nothing_left
	done
}

@test "create: an unknown template names the near one" {
	fails 3 isle create -q -t busibox one || fails 2 isle create -q -t busibox one
	says busybox
	fails 2 isle create -q one
	assert_nothing_left
}

@test "create: settings that are wrong are refused before anything is made" {
	fails 2 isle create -q -t busybox --set limits.memory=much one || fails 1 isle create -q -t busybox --set limits.memory=much one
	says limits.memory
	run isle create -q -t busybox --set limits.memry=64M one
	[ "$status" -ne 0 ]
	says "did you mean"
	run isle create -q -t busybox --set nonsense one
	[ "$status" -ne 0 ]
	run isle create -q -t busybox --hostname 'bad name' one
	[ "$status" -ne 0 ]
	run isle create -q -t busybox --timezone ../../etc/shadow one
	[ "$status" -ne 0 ]
	run isle create -q -t busybox --ssh-key /etc/passwd one
	[ "$status" -ne 0 ]
	is guests '' "$(isle list -1)"
	assert_nothing_left
}

@test "create: settings, a config file, no network" {
	printf '[limits]\nmemory = 48M\n[network eth0]\naddress = none\n' >"$BATS_TEST_TMPDIR/config"
	isle create -q -t busybox -f "$BATS_TEST_TMPDIR/config" --set limits.processes=77 one
	is memory 48M "$(isle config one get limits.memory)"
	is processes 77 "$(isle config one get limits.processes)"
	is address none "$(isle config one get network.eth0.address)"
	make_guest two --no-network
	isle start two
	is interfaces lo "$(isle exec two -- ls /sys/class/net)"
}

@test "create: an LXC config file is understood" {
	printf 'lxc.uts.name = old\nlxc.net.0.type = veth\nlxc.net.0.link = isle0\nlxc.net.0.hwaddr = 02:00:5e:10:00:01\nlxc.cgroup2.memory.max = 64M\n' >"$BATS_TEST_TMPDIR/config"
	isle create -q -t busybox -f "$BATS_TEST_TMPDIR/config" one
	is memory 64M "$(isle config one get limits.memory)"
	isle start one
	is mac 02:00:5e:10:00:01 "$(isle exec one -- cat /sys/class/net/eth0/address)"
	is hostname old "$(isle exec one -- hostname)"
}

@test "create: root has no password unless one is given" {
	make_guest one
	isle start one
	works isle exec one -- grep ^root: /etc/shadow
	[[ $output == root:[*!]* ]]
}

@test "create --root-password-stdin: root's password, and nobody reads it" {
	needs_debian
	printf 'secret\n' | isle create -q -t debian --root-password-stdin two -- --release bookworm --packages openssh-server
	isle start two
	works isle exec two -- grep ^root: /etc/shadow
	[[ $output == 'root:$'* ]]
	says_not secret
}

@test "create -t local: from a tarball, of any compression" {
	make_guest one --storage dir
	for how in cf czf cJf; do
		tar -C "$ISLE_PATH/guests/one/rootfs" "-$how" "$BATS_TEST_TMPDIR/root.tar" .
		isle create -q -t local two -- --fstree "$BATS_TEST_TMPDIR/root.tar"
		isle start two
		is answer hi "$(isle exec two -- echo hi)"
		isle destroy -q --force two
	done
}

@test "create -t local: a hostile tarball writes nothing outside" {
	mkdir -p "$BATS_TEST_TMPDIR/outside"
	python3 - "$BATS_TEST_TMPDIR" <<'END'
import io, sys, tarfile
top = sys.argv[1]
with tarfile.open(top + "/bad.tar", "w") as tar:
    def file(name, data=b"x"):
        info = tarfile.TarInfo(name)
        info.size = len(data)
        tar.addfile(info, io.BytesIO(data))
    def link(name, target, kind=tarfile.SYMTYPE):
        info = tarfile.TarInfo(name)
        info.type, info.linkname = kind, target
        tar.addfile(info)
    file("../../../../../../../.." + top + "/outside/dots")
    file(top + "/outside/absolute")
    link("door", top + "/outside")
    file("door/through-link")
    link("hard", top + "/outside/target", tarfile.LNKTYPE)
END
	run isle create -q -t local one -- --fstree "$BATS_TEST_TMPDIR/bad.tar"
	is 'outside' '' "$(ls -A "$BATS_TEST_TMPDIR/outside")"
	if [ "$status" -ne 0 ]; then assert_nothing_left; fi
}

@test "image: list, remove, refresh" {
	make_guest one --storage overlay 2>/dev/null || skip 'no overlay here'
	image=$(field one .image)
	works isle image list
	says "$image"
	isle image list --json | jq -e 'type == "array" and length >= 1'
	fails 4 isle image remove "$image"
	says one
	fails 3 isle image remove no-such-image
	isle start one
	isle image refresh "$image" -q
	make_guest two
	is state running "$(state one)"
	isnt image "$image" "$(field two .image)"
	isle destroy -q --force one
	isle image remove "$image"
	isle start two
	is answer hi "$(isle exec two -- echo hi)"
}

@test "create: what lies outside of the guests' folder with hostile rights is refused" {
	mkdir "$BATS_TEST_TMPDIR/open"
	chmod 777 "$BATS_TEST_TMPDIR/open"
	mkdir -m 777 "$BATS_TEST_TMPDIR/open/guests"
	chmod 777 "$BATS_TEST_TMPDIR/open/guests"
	fails 1 isle create -q -P "$BATS_TEST_TMPDIR/open" -t busybox one
	says "$BATS_TEST_TMPDIR/open/guests"
}
