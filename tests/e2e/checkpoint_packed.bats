#!/usr/bin/env bats
# isle checkpoint --compress: images packed with zstd.
# shellcheck disable=SC2154 # hold_at sets command and walker
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	has_criu || return 0
	make_guest one
	mkdir -m 700 "$E2E_ROOT/packed"
	isle start one
	isle exec one -- sh -c 'head -c 1000000 /dev/urandom >/dev/shm/file; sha256sum /dev/shm/file >/tmp/sums'
	fill zero 20
	fill urandom 30 # which do not fit into the room that packed zeros leave
}

# A process that holds SIZE MiB of /dev/NAME in its memory.
fill() {
	isle exec one -- sh -c "mkfifo /tmp/$1; sleep 100000 </tmp/$1 >/dev/null 2>&1 & dd if=/dev/$1 of=/tmp/$1 bs=$2M count=1 >/dev/null 2>&1 &"
	wait_until 20 isle exec one -- sh -c "for status in /proc/[0-9]*/status; do sed -n 's/^VmRSS:[^0-9]*//p' \$status; done | awk '\$1 > $2 * 1024 { found = 1 } END { exit !found }'"
}

setup() { one_runs; }

teardown() {
	! mountpoint -q "$ISLE_PATH/guests/one/checkpoints" || umount "$ISLE_PATH/guests/one/checkpoints"
}

teardown_file() { end_of_file; }

checkpoint_id() {
	isle checkpoint --list --json one | jq -r '.[0].id'
}

no_unpacked() {
	is 'unpacked images' '' "$(ls -d "$ISLE_PATH"/guests/one/.new-* 2>/dev/null)"
}

@test "packed: smaller, said, and woken with every byte" {
	begin_count one
	works isle checkpoint --compress one
	[[ $output =~ ^one:\ checkpoint\ [0-9a-f-]+,\ frozen\ for\ [0-9]+\ ms,\ [0-9.]+\ MiB\ packed\ into\ [0-9.]+\ [KM]iB$ ]] || flunk "$output"
	read -r bytes unpacked < <(isle checkpoint --list --json one | jq -r '.[0] | "\(.bytes) \(.unpacked_bytes)"')
	[ "$unpacked" -gt 52000000 ] || flunk "unpacked: $unpacked"
	[ "$bytes" -lt 35000000 ] || flunk "packed: $bytes"
	folder=$ISLE_PATH/guests/one/checkpoints/$(checkpoint_id)/images
	is 'what is not packed' dump.log "$(find "$folder" -type f ! -name '*.zst' -printf '%f\n')"
	zstd -q -t "$folder"/*.zst
	isle start one
	no_unpacked
	counts one
	isle exec one -- sha256sum -c /tmp/sums
	works isle checkpoint --json one
	is 'one that is not' null "$(jq -r .unpacked_bytes <<<"$output")"
	isle start one
}

@test "packed: with its files, in another folder, several times" {
	isle checkpoint -q --compress --leave-running --to "$E2E_ROOT/packed/one" one
	is state running "$(state one)"
	for _ in 1 2; do
		isle stop -k one
		isle restore --from "$E2E_ROOT/packed/one" one
		isle exec one -- sha256sum -c /tmp/sums
	done
	no_unpacked
	rm -r "$E2E_ROOT/packed/one"
}

@test "packed: an image that was edited or holds more than it says is refused" {
	isle checkpoint -q --compress one
	folder=$ISLE_PATH/guests/one/checkpoints/$(checkpoint_id)/images
	cp -a "$folder/pstree.img.zst" "$E2E_ROOT/pstree"
	head -c 300000000 /dev/zero | zstd -q -f -o "$folder/pstree.img.zst"
	fails 1 isle start one
	says 'its image pstree.img.zst was changed'
	fails 1 isle restore --trust-images one
	says 'it holds more than the manifest says'
	no_unpacked
	head -c 20 "$E2E_ROOT/pstree" >"$folder/pstree.img.zst"
	fails 1 isle restore --trust-images one
	says 'its end is missing'
	echo rubbish >"$folder/pstree.img.zst"
	fails 1 isle restore --trust-images one
	says 'unpack the checkpoint'
	# A window of 2 GiB is what unpacking would have to hold in memory.
	head -c 100000 /dev/urandom | zstd -q -f --ultra --long=31 -o "$folder/pstree.img.zst" --stream-size=3000000000 2>/dev/null ||
		head -c 100000 /dev/urandom | zstd -q -f --long=31 -o "$folder/pstree.img.zst"
	fails 1 isle restore --trust-images one
	says 'too much memory'
	cp -a "$E2E_ROOT/pstree" "$folder/pstree.img.zst"
	cp -a "$folder/../manifest" "$E2E_ROOT/manifest"
	sed -i 's/^unpacked=.*/unpacked=999999999999999/' "$folder/../manifest"
	fails 1 isle restore --trust-images one
	says 'has not free'
	cp -a "$E2E_ROOT/manifest" "$folder/../manifest"
	is state checkpointed "$(state one)"
	isle start one
	no_unpacked
}

# What the guest holds beside itself is random: packed it is no smaller, and does not fit beside what is to be packed.
@test "packed: no room to pack leaves the guest running" {
	isle exec one -- sh -c 'head -c 9000000 /dev/urandom >/dev/shm/ballast'
	bytes=$(isle checkpoint --json one | jq .bytes)
	isle start one
	mkdir -p "$ISLE_PATH/guests/one/checkpoints"
	mount -t tmpfs -o size=$((bytes + 4000000)) none "$ISLE_PATH/guests/one/checkpoints"
	begin_count one
	run isle checkpoint --compress one
	left=$(df -B1 --output=size,used "$ISLE_PATH/guests/one/checkpoints" | tail -n 1)
	wait_until 5 umount "$ISLE_PATH/guests/one/checkpoints" # whatever criu had at work there is at its end
	rmdir "$ISLE_PATH/guests/one/checkpoints"
	[ "$status" -eq 1 ] || flunk "status $status; $bytes bytes at first; size and use of the disk: $left" "$output"
	[[ $output == *'No space left on device'* || $output == *'the disk is full'* ]] || flunk "$output"
	is state running "$(state one)"
	isle exec one -- rm /dev/shm/ballast
	counts one
}

@test "packed: killed while it unpacks: nothing is left, it wakes the next time" {
	isle checkpoint -q --compress one
	hold_at 'criu pre-restore' start one
	kill -KILL "$walker"
	wait "$command" || :
	no_unpacked
	is state checkpointed "$(state one)"
	isle start one
	isle exec one -- sha256sum -c /tmp/sums
	no_unpacked
}
