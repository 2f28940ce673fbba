#!/usr/bin/env bats
# isle checkpoint --to and restore --from: checkpoints in folders of the administrator's.
# shellcheck disable=SC2154 # hold_at sets command and walker
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	has_criu || return 0
	make_guest one
	mkdir -m 700 "$E2E_ROOT/folders"
	out=$E2E_ROOT/folders
	export out
}

setup() { one_runs; }

teardown() {
	! mountpoint -q "$E2E_ROOT/mounted" || umount "$E2E_ROOT/mounted"
}

teardown_file() { end_of_file; }

# Nothing but what is named lies in the folder, also under dot-names.
holds_only() {
	local folder=$1
	shift
	is "what lies in $folder" "$*" "$(cd "$folder" && find . -mindepth 1 -maxdepth 1 ! -name lost+found -printf '%f\n' | sort | xargs)"
}

@test "folder: a guest sleeps in a folder of the administrator's, and start wakes it from there" {
	begin_count one
	pid=$(isle exec one -- cat /tmp/counter)
	works isle checkpoint --to "$out/here" one
	[[ $output =~ ^one:\ checkpoint\ $out/here,\ frozen\ for\ [0-9]+\ ms,\ [0-9.]+\ [KM]iB$ ]] || flunk "$output"
	is state checkpointed "$(state one)"
	is 'its own checkpoints' '' "$(ls "$ISLE_PATH/guests/one/checkpoints" 2>/dev/null)"
	is owner '0 700' "$(stat -c '%u %a' "$out/here")"
	holds_only "$out" here
	is 'where it sleeps' "$out/here" "$(isle checkpoint --list --json one | jq -r '.[] | select(.asleep) | .path')"
	works isle checkpoint --list one
	says "asleep in $out/here"
	is 'where info has it' "$out/here" "$(field one .asleep_in)"
	isle info one | grep -q "^Asleep in: *$out/here$"
	isle start one
	is 'the same process' "$pid" "$(isle exec one -- cat /tmp/counter)"
	counts one
	# It is the administrator's: nothing is removed. But it belongs to files that have changed since.
	holds_only "$out" here
	isle stop -k one
	fails 1 isle restore --from "$out/here" one
	says 'the guest has gone on since'
	is state stopped "$(state one)"
	rm -r "$out/here"
}

@test "folder: in JSON, with a relative name and a folder that is empty" {
	mkdir "$out/empty"
	cd "$out"
	works isle checkpoint --json --to ./empty/ one
	is path "$out/empty" "$(jq -r .path <<<"$output")"
	fails 3 isle restore one nothing
	works isle restore --from empty one
	is state running "$(state one)"
	rm -r "$out/empty"
}

@test "folder: carried elsewhere meanwhile" {
	begin_count one
	isle checkpoint -q --to "$out/here" one
	mv "$out/here" "$E2E_ROOT/there"
	fails 3 isle start one
	says "$out/here"
	says 'isle restore --from'
	is state checkpointed "$(state one)"
	isle restore --from "$E2E_ROOT/there" one
	counts one
	rm -r "$E2E_ROOT/there"
}

@test "folder: read-only, on another disk" {
	needs strace
	begin_count one
	truncate -s 64M "$E2E_ROOT/image"
	mkfs.ext4 -q -O ^has_journal "$E2E_ROOT/image"
	mkdir -p "$E2E_ROOT/mounted"
	mount -o loop "$E2E_ROOT/image" "$E2E_ROOT/mounted"
	fails 1 isle checkpoint --to "$E2E_ROOT/mounted" one
	says 'a file system is mounted there'
	# The images are of no use without the files as they were: both disks are written before the guest ends.
	strace -y -o "$E2E_ROOT/calls" -e trace=syncfs "$ISLE" checkpoint -q --to "$E2E_ROOT/mounted/one" one
	grep -q "syncfs([0-9]*<$E2E_ROOT/mounted/" "$E2E_ROOT/calls"
	grep -q "syncfs([0-9]*<$ISLE_PATH/guests/one>" "$E2E_ROOT/calls"
	mount -o remount,ro "$E2E_ROOT/mounted"
	isle start one
	counts one
	fails 1 isle checkpoint --to "$E2E_ROOT/mounted/two" one
	says 'Read-only file system'
	is state running "$(state one)"
	umount "$E2E_ROOT/mounted"
}

@test "folder: the disk is full" {
	truncate -s 3M "$E2E_ROOT/small"
	mkfs.ext4 -q -O ^has_journal "$E2E_ROOT/small"
	mkdir -p "$E2E_ROOT/mounted"
	mount -o loop "$E2E_ROOT/small" "$E2E_ROOT/mounted"
	isle exec one -- sh -c 'head -c 9000000 /dev/urandom >/dev/shm/ballast'
	begin_count one
	fails 1 isle checkpoint --to "$E2E_ROOT/mounted/one" one
	says 'the disk is full'
	is state running "$(state one)"
	counts one
	holds_only "$E2E_ROOT/mounted"
	# The same for its files.
	isle exec one -- sh -c 'rm /dev/shm/ballast; head -c 9000000 /dev/urandom >/root/ballast'
	rm -f "$ISLE_PATH/guests/one/log/criu"
	fails 1 isle checkpoint --leave-running --to "$E2E_ROOT/mounted/one" one
	says 'No space left on device'
	[ -s "$ISLE_PATH/guests/one/log/criu" ] || flunk "criu's log went with the folder"
	counts one
	isle exec one -- rm /root/ballast
	holds_only "$E2E_ROOT/mounted"
	umount "$E2E_ROOT/mounted"
}

@test "folder: with --leave-running its files go along, and it can be gone back to" {
	isle exec one -- sh -c 'echo before >/root/file'
	isle checkpoint -q --leave-running --to "$out/moment" one
	is state running "$(state one)"
	for _ in 1 2; do
		isle exec one -- sh -c 'echo after >/root/file'
		isle stop -k one
		isle restore --from "$out/moment" one
		is file before "$(isle exec one -- cat /root/file)"
	done
	rm -r "$out/moment"
}

@test "folder: what has another content, another host's signature or another owner is refused" {
	isle checkpoint -q --to "$out/here" one
	cp -a "$out/here/images/pstree.img" "$E2E_ROOT/pstree.img"
	printf x >>"$out/here/images/pstree.img"
	fails 1 isle restore --from "$out/here" one
	says 'its image pstree.img was changed'
	cp -a "$E2E_ROOT/pstree.img" "$out/here/images/pstree.img"
	touch "$out/here/images/core-0.img" # of no process: none has that number
	fails 1 isle restore --from "$out/here" one
	says 'was put among its images'
	rm "$out/here/images/core-0.img"
	chown 12345 "$out/here/images/pstree.img"
	fails 1 isle restore --trust-images --from "$out/here" one
	says 'pstree.img'
	says 'belongs to another user'
	chown 0 "$out/here/images/pstree.img"
	chmod 777 "$out/here"
	fails 1 isle restore --from "$out/here" one
	says 'other users may write'
	chmod 700 "$out/here"
	ln -s pstree.img "$out/here/images/pages-99.img"
	fails 1 isle restore --trust-images --from "$out/here" one
	says 'pages-99.img'
	rm "$out/here/images/pages-99.img"
	mv "$ISLE_PATH/host-key" "$E2E_ROOT/host-key"
	fails 1 isle restore --from "$out/here" one
	says 'this host did not sign it'
	is state checkpointed "$(state one)"
	works isle restore --trust-images --from "$out/here" one
	mv -f "$E2E_ROOT/host-key" "$ISLE_PATH/host-key"
	is state running "$(state one)"
	rm -r "$out/here"
}

@test "folder: another guest's checkpoint" {
	make_guest two
	isle checkpoint -q --leave-running --to "$out/one" one
	fails 1 isle restore --from "$out/one" two
	says 'a checkpoint belongs to its guest'
	is state stopped "$(state two)"
	isle destroy two
	rm -r "$out/one"
}

@test "folder: places that are refused, the guest runs on" {
	begin_count one
	mkdir -p "$out/full" && touch "$out/full/file"
	fails 1 isle checkpoint --to "$out/full" one
	says 'there is something in it'
	ln -s "$out/nowhere" "$out/link"
	fails 1 isle checkpoint --to "$out/link" one
	says 'is no folder'
	[ ! -e "$out/nowhere" ] || flunk 'it went through a link'
	fails 1 isle checkpoint --to "$out/none/here" one
	says 'No such file or directory'
	fails 1 isle checkpoint --to "$ISLE_PATH/guests/one/mine" one
	says "lies among isle's own"
	fails 1 isle checkpoint --to "$ISLE_PATH/mine" one
	says "lies among isle's own"
	mkdir -m 1777 "$E2E_ROOT/open"
	fails 1 isle checkpoint --to "$E2E_ROOT/open/here" one
	says 'other users may write'
	mkdir -m 700 "$E2E_ROOT/theirs" "$E2E_ROOT/theirs/root"
	chown 12345 "$E2E_ROOT/theirs"
	fails 1 isle checkpoint --to "$E2E_ROOT/theirs/root/here" one
	says "$E2E_ROOT/theirs"
	says 'belongs to another user'
	fails 2 isle checkpoint --to "$out/here/.." one
	fails 2 isle checkpoint --to '' one
	fails 2 isle checkpoint --to "$out/here" --list one
	fails 2 isle checkpoint --to "$out/here" one two
	fails 2 isle restore --from "$out/here" one 20261120-131502-4f2a
	is state running "$(state one)"
	rm -r "$out/full" "$out/link"
	holds_only "$out"
	counts one
}

@test "folder: killed in the middle: the next command clears up, and a second try succeeds" {
	begin_count one
	for step in pre-dump post-dump; do
		hold_at "criu $step" checkpoint --to "$out/here" one
		kill -KILL "$command"
		wait "$command" || :
		works isle exec one -- true
		again() { isle config one set limits.processes=300 2>/dev/null; }
		wait_until 20 again
		holds_only "$out"
		is state running "$(state one)"
		counts one
	done
	works isle checkpoint --to "$out/here" one
	isle start --cold one
	is state running "$(state one)"
	holds_only "$out" here
	rm -r "$out/here"
	isle config one unset limits.processes
}

# elsewhere COMMAND...: another host, with another key, network and copies of the images.
elsewhere() {
	ISLE_PATH=$E2E_ROOT/elsewhere isle "$@"
}

@test "folder: a guest that sleeps is carried to another host, and wakes there with addresses of that" {
	isle create -q two -t busybox
	isle start two
	isle exec two -- sh -c 'echo mine >/etc/motd; rm /etc/group; mkdir /root/here'
	begin_count two
	isle checkpoint -q two
	mkdir -m 700 "$E2E_ROOT/elsewhere" "$E2E_ROOT/elsewhere/guests" "$E2E_ROOT/elsewhere/images"
	cp -a "$ISLE_PATH/images/$(isle config two get guest.image)" "$E2E_ROOT/elsewhere/images/"
	cp -a "$ISLE_PATH/guests/two" "$E2E_ROOT/elsewhere/guests/"
	isle destroy --force two
	fails 1 elsewhere start two
	says 'this host did not sign it'
	says 'isle restore --trust-images two'
	works elsewhere restore --trust-images two
	is 'a file of the guest' mine "$(elsewhere exec two -- cat /etc/motd)"
	fails 1 elsewhere exec two -- cat /etc/group
	is 'a folder of its image' 1 "$(elsewhere exec two -- ls /etc | grep -c ^passwd$)"
	now=$(elsewhere exec two -- cat /tmp/count)
	further() { [ "$(elsewhere exec two -- cat /tmp/count)" -gt "$now" ]; }
	wait_until 10 further
	address=$(elsewhere info --json two | jq -r '.links[0].address')
	elsewhere exec two -- ip addr show eth0 | grep -q "inet $address"
	elsewhere exec two -- ping -c 1 -W 5 "$(elsewhere exec two -- ip route | awk '/^default/ { print $3 }')"
	# Its ids are its own there too.
	is 'whose ids' "$(elsewhere config two get guest.id)" "$(readlink "$E2E_ROOT/elsewhere/ids/$(elsewhere config two get security.ids)")"
	elsewhere restart -q two
	is 'a file of the guest' mine "$(elsewhere exec two -- cat /etc/motd)"
	elsewhere destroy --force two
	ip link delete "$(ip -br link | awk '/^isle/ { print $1 }' | grep -v "$E2E_TAG")"
	rm -r "$E2E_ROOT/elsewhere"
}

@test "folder: ids that are another guest's are not taken at a start" {
	isle create -q two -t busybox
	ids=$(isle config two get security.ids)
	isle config two set --force security.ids="$(isle config one get security.ids)"
	fails 1 isle start two
	says "they are another guest's"
	is state stopped "$(state two)"
	isle config two set --force security.ids="$ids"
	isle start two
	isle destroy --force two
}

@test "folder: a name of isle's own that somebody made beforehand is no way in" {
	mkdir -m 700 "$E2E_ROOT/victim"
	touch "$E2E_ROOT/victim/file"
	ln -s "$E2E_ROOT/victim" "$out/.new-here"
	run isle checkpoint --to "$out/here" one
	is victim file "$(ls -A "$E2E_ROOT/victim")"
	is state running "$(state one)"
	rm -rf "$out/here" "$out/.new-here"
}
