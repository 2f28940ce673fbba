#!/usr/bin/env bats
# Races: names that change while isle looks at them, and a guest that goes away while isle enters it.
load lib
bats_require_minimum_version 1.5.0

setup() { before; }
teardown() {
	local name
	for name in one two; do
		isle destroy -q --force "$name" 2>/dev/null || :
	done
	same_host
}
teardown_file() { end_of_file; }

# A guest that has written access to a folder exchanges a folder there and a link without end, while another guest starts that has
# something mounted on it: the mount is the second guest's, wherever it lands in it, and never the host's.
# It can fail: with the link followed on the host, $bait is covered, and same_host names the mount.
@test "races: a mount target in a shared folder is swapped with a link while another guest starts" {
	local share=$BATS_TEST_TMPDIR/share bait=$BATS_TEST_TMPDIR/bait link swapper good=0
	mkdir -m 0777 "$share" "$bait"
	echo precious >"$bait/file"
	make_guest one --set mount.share.source="$share" --set mount.share.target=/share --set mount.share.options=create=dir
	isle start one
	arm_with one intrude
	make_guest two --set mount.share.source="$share" --set mount.share.target=/share --set mount.share.options=create=dir \
		--set mount.trap.source=trap --set mount.trap.target=/share/x --set mount.trap.type=tmpfs
	for link in "$bait" / ../../../../../../../.. /proc/self/root /proc/1/cwd; do
		inside one "rm -rf /share/x /share/y; mkdir -p /share/x$bait; ln -s $link /share/y"
		isle exec one -- /root/intrude swap /share/x /share/y 3 >"$BATS_TEST_TMPDIR/count" &
		swapper=$!
		for _ in 1 2 3 4 5 6; do
			run timeout 20 "$ISLE" start two
			[ "$status" -ne 124 ] || flunk "the start hangs with $link"
			[ "$status" -eq 0 ] || [[ $output == *failed:* ]] || flunk "no reason: $output"
			[ "$status" -ne 0 ] || good=$((good + 1))
			is 'the bait' precious "$(cat "$bait/file")"
			timeout 20 "$ISLE" stop --kill two >/dev/null 2>&1 || :
		done
		wait "$swapper"
		[ "$(cat "$BATS_TEST_TMPDIR/count")" -gt 100 ] || flunk 'nothing was swapped'
	done
	[ "$good" -gt 0 ] || flunk 'no start met the folder'
}

# It can fail: what isle exec runs prints the user namespace that it is in, and that is compared with the host's.
@test "races: a guest that goes and comes is entered, or not, but nothing runs outside it" {
	local inside=0 outside=0 host restarts end
	make_guest two
	isle start two
	host=$(readlink /proc/self/ns/user)
	while [ ! -e "$BATS_TEST_TMPDIR/enough" ]; do isle restart --kill two; done >"$BATS_TEST_TMPDIR/restarts" 2>&1 3>&- &
	restarts=$!
	end=$((SECONDS + 8))
	while [ "$SECONDS" -lt "$end" ]; do
		run timeout 20 "$ISLE" exec two -- readlink /proc/self/ns/user
		[ "$status" -ne 124 ] || flunk 'exec hangs'
		[[ $output != *"$host"* ]] || flunk 'it ran on the host'
		if [ "$status" -eq 0 ]; then inside=$((inside + 1)); else outside=$((outside + 1)); fi
	done
	touch "$BATS_TEST_TMPDIR/enough"
	wait "$restarts" || flunk 'a restart failed' "$(cat "$BATS_TEST_TMPDIR/restarts")"
	echo "# entered $inside times, refused $outside times" >&3
	[ "$inside" -gt 0 ] || flunk 'it was never entered'
}

@test "races: commands on one guest at a time leave it whole, whoever comes first" {
	local pids
	make_guest two
	for _ in 1 2 3; do
		pids=()
		for command in 'start two' 'stop --kill two' 'exec two -- true' 'restart --kill two' 'rename two three' 'stop --kill three'; do
			# shellcheck disable=SC2086 # words
			timeout 60 "$ISLE" $command >"$BATS_TEST_TMPDIR/${command%% *}" 2>&1 3>&- &
			pids+=($!)
		done
		for pid in "${pids[@]}"; do
			status=0
			wait "$pid" || status=$?
			[ "$status" -ne 124 ] || flunk 'a command hangs' "$(tail -n 5 "$BATS_TEST_TMPDIR"/*)"
		done
		timeout 30 "$ISLE" stop --kill three >/dev/null 2>&1 || :
		timeout 30 "$ISLE" rename three two >/dev/null 2>&1 || :
	done
	timeout 30 "$ISLE" stop --kill two >/dev/null 2>&1 || :
	is guests two "$(isle list -1)"
	is state stopped "$(state two)"
	works timeout 30 "$ISLE" start two
	works isle exec two -- true
}
