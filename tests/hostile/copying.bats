#!/usr/bin/env bats
# isle push and isle pull, while the guest's root exchanges what they walk, and lies about what is there.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one --set limits.processes=200
	isle start one
	arm one
	isle exec one -- mkdir -p /srv
}
teardown_file() { end_of_file; }
setup() {
	before
	cd "$BATS_TEST_TMPDIR" || return 1
}
teardown() {
	same_host
}

# In the guest: folders, links to where the host has something, and files, exchanged as fast as it goes, until /srv/stop is there.
swap() {
	isle exec one -- sh -c 'rm -rf /srv/*; mkdir -p /srv/real/sub; echo inside >/srv/real/file; echo inside >/srv/real/sub/file' || return 1
	timeout 60 "$ISLE" exec one -- sh -c "cd /srv; while [ ! -e stop ]; do
		ln -sfn '$1' moving; rm -f moving; mkdir -p moving/sub; echo inside >moving/file; rm -rf moving; ln -s /proc/1/root/etc moving; rm -f moving
		rm -rf real/sub; ln -s '$1' real/sub; rm -f real/sub real/file; mkdir real/sub; ln -s '$1/secret' real/file; rm -f real/file; echo inside >real/file; done; :" 2>/dev/null &
	swapper=$!
}

end_swap() {
	isle exec one -- sh -c ': >/srv/stop'
	wait "$swapper" || :
}

@test "copying: a swap loop leads neither push nor pull to a file of the host's" {
	mkdir bait site out
	echo host-secret >bait/secret
	echo host-secret >bait/file
	mkdir site/sub
	echo pushed >site/file
	echo pushed >site/secret
	echo pushed >site/sub/file
	echo pushed >site/sub/secret
	chmod 711 "$BATS_RUN_TMPDIR" "${BATS_TEST_TMPDIR%/*}" "$BATS_TEST_TMPDIR" 2>/dev/null || :
	chmod 777 bait
	chmod 666 bait/*
	swap "$BATS_TEST_TMPDIR/bait"
	for round in {1..40}; do
		run timeout 20 "$ISLE" push one site /srv/real
		[ "$status" -ne 124 ] || flunk 'push hangs'
		run timeout 20 "$ISLE" push one site/. /srv/moving
		[ "$status" -ne 124 ] || flunk 'push hangs'
		run timeout 20 "$ISLE" pull one /srv/real "out/$round"
		[ "$status" -ne 124 ] || flunk 'pull hangs'
		run timeout 20 "$ISLE" pull one /srv/moving/file -
		says_not host-secret
	done
	end_swap
	is 'the bait' 'file secret' "$(find bait -type f -printf "%f\n" | sort | xargs)"
	is 'its contents' 'host-secret host-secret' "$(cat bait/* | xargs)"
	is 'what was pulled of the host' '' "$(grep -rl host-secret out || :)"
	# Links come as links, whatever they say, and are not written through.
	is 'other kinds' '' "$(find out ! -type f ! -type d ! -type l)"
}

@test "copying: links in the guest's own tree lead nowhere on the host when it is pulled" {
	mkdir out bait
	isle exec one -- sh -c "rm -rf /srv/t; mkdir -p /srv/t/a; ln -s '$BATS_TEST_TMPDIR/bait' /srv/t/out; ln -s ../../../../../../../.. /srv/t/up; echo x >/srv/t/a/file"
	isle pull one /srv/t out
	# What is a link here is a folder there now.
	isle exec one -- sh -c 'cd /srv/t; rm -f out up; mkdir out up; echo x >out/file; echo x >up/file-of-the-guest'
	fails 1 isle pull one /srv/t out
	is bait '' "$(ls bait)"
	[ ! -e /file-of-the-guest ]
	is links "$BATS_TEST_TMPDIR/bait" "$(readlink out/t/out)"
}

@test "copying: files without an end, deep trees, fifos, names of control bytes: no hang, no harm" {
	mkdir out
	isle exec one -- sh -c 'rm -rf /srv/*; mkfifo /srv/fifo; ln -s /dev/zero /srv/zero; ln -s /dev/console /srv/console; ln -s loop /srv/loop'
	for name in fifo zero console loop; do
		run timeout 20 "$ISLE" pull one "/srv/$name" out/x
		is "status of $name" 1 "$status"
	done
	# One that grows as fast as it is read.
	isle exec one -- sh -c 'head -c 1000000 /dev/zero >/srv/grows'
	timeout 20 "$ISLE" exec one -- sh -c 'while [ ! -e /srv/stop ]; do head -c 1000000 /dev/zero; done >>/srv/grows' &
	run timeout 30 "$ISLE" pull one /srv/grows out/grows
	isle exec one -- sh -c ': >/srv/stop'
	wait $! || :
	is status 0 "$status"
	isle exec one -- sh -c 'rm -rf /srv/*; mkdir /srv/deep'
	isle exec one -- /root/strike groups deep 1000 /srv/deep
	run timeout 60 "$ISLE" pull one /srv/deep out/deep
	is status 1 "$status"
	isle exec one -- sh -c 'rm -rf /srv/*; mkdir /srv/$(printf "\\033[2Jx"); mkdir /srv/$(printf "\\033[2Jx")/y; chmod 0 /srv/*/y; mkfifo "/srv/$(printf "\\033]0;t\\007")"'
	run timeout 20 "$ISLE" pull one /srv out/named
	says_not $'\033'
	run timeout 20 "$ISLE" pull one "/srv/$(printf '\033[2Jz')" out
	is status 1 "$status"
	says_not $'\033'
}

@test "copying: a set-uid program of the guest's is none on the host" {
	isle exec one -- sh -c 'rm -rf /srv/*; cp /bin/busybox /srv/suid; chmod 6755 /srv/suid; mkdir /srv/dir; chmod 3777 /srv/dir'
	isle pull one /srv out
	is modes '755 1777' "$(stat -c %a out/suid out/dir | xargs)"
}

@test "copying: nothing of the guest's is executed, and what it bound over its /proc and /dev plays no part" {
	echo x >file
	isle exec one -- sh -c 'rm -rf /srv/*; mkdir -p /srv/fake/self/fd; mkdir -p /root/save; cp /bin/busybox /root/save/'
	isle exec one -- sh -c 'mount --bind /srv/fake /proc; mount -t tmpfs x /dev; mkdir /dev/pts; mount -t tmpfs x /bin; mount -t tmpfs x /lib 2>/dev/null; :'
	timeout 20 "$ISLE" push one file /srv/file
	is contents x "$(timeout 20 "$ISLE" pull one /srv/file -)"
	isle restart --kill one
	arm one
}

@test "copying: nobody inside robs, traces or looks into the process that copies" {
	echo x >file
	timeout 20 "$ISLE" exec one -- /root/strike watch 4 >"$BATS_TEST_TMPDIR/watch" &
	local watcher=$!
	wait_until 5 inside one 'pidof strike >/dev/null'
	for _ in {1..20}; do
		isle push one file /srv/file
		isle pull one /srv/file - >pulled
	done
	wait "$watcher"
	run cat "$BATS_TEST_TMPDIR/watch"
	says_not HOLE
	says 'looked into'
}

@test "copying: killed inside, it fails and says so" {
	head -c 3000000 /dev/urandom >large
	timeout 30 "$ISLE" exec one -- /root/strike watch 3 9 >/dev/null &
	local watcher=$!
	for _ in {1..10}; do
		run timeout 20 "$ISLE" push one large /srv/large
		[[ $status -eq 0 || $status -eq 1 ]] || flunk "status $status: $output"
		[ "$status" -eq 0 ] || [ -n "$output" ] || flunk 'it fails without a word'
	done
	wait "$watcher"
}
