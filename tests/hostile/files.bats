#!/usr/bin/env bats
# What lies on the host's disk: who may look at it, what guests share, and how it is removed.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	make_guest two
	isle start one two
	arm one
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() { same_host; }

@test "files: nobody but root enters the folders of guests, images and runs" {
	local folder
	for folder in "$ISLE_PATH" "$ISLE_PATH"/guests "$ISLE_PATH"/guests/one "$ISLE_PATH"/images "$ISLE_PATH"/images/* "$ISLE_PATH"/run "$ISLE_PATH"/run/one "$ISLE_PATH"/ids \
		"$ISLE_PATH"/leases "$ISLE_PATH"/networks; do
		[ -d "$folder" ] || continue
		is "mode of $folder" '700 0' "$(stat -c '%a %u' "$folder")"
	done
	is 'files that others may read' '' "$(find "$ISLE_PATH" \( -path '*/rootfs' -o -path '*/upper' -o -path '*/work' -o -path '*/networks' \) -prune -o -type f -perm /077 -print)"
	is 'mode of the control socket' '600 0' "$(stat -c '%a %u' "$ISLE_PATH/run/one/control")"
}

@test "files: a set-uid file of a guest's is nothing on the host" {
	inside one 'cp /bin/busybox /root/suid; chmod 6755 /root/suid'
	run setpriv --reuid 65533 --regid 65533 --clear-groups find "$ISLE_PATH" -name suid
	is 'what another user finds' '' "$(grep -v 'Permission denied' <<<"$output" || :)"
}

@test "files: isle installs nothing set-uid" {
	is 'set-uid programs' '' "$(find "$(dirname "$ISLE")" -maxdepth 1 -name 'isle*' -perm /6000)"
}

@test "files: a guest changes no file of its image, nor another guest's" {
	local image before
	image=$(echo "$ISLE_PATH"/images/busybox-*)
	before=$(find "$image" -type f -exec sha256sum {} + | sha256sum)
	inside one 'echo changed >/etc/inittab; cp /bin/busybox /bin/b2; printf x | dd of=/bin/busybox conv=notrunc 2>/dev/null; chmod 777 /etc; rm -rf /var; ln -f /etc/passwd /etc/p2; echo x >>/etc/p2' || :
	is image "$before" "$(find "$image" -type f -exec sha256sum {} + | sha256sum)"
	[ "$(isle exec two -- cat /etc/inittab)" != changed ]
	isle exec two -- true
	works isle destroy --force one
	make_guest one
	isle start one
	arm one
}

@test "files: overlays that the guest mounts itself do not reach the layers of its own" {
	! inside one 'mkdir -p /mnt/o /root/u /root/w; mount -t overlay o -o lowerdir=/,upperdir=/upper,workdir=/work /mnt/o' 2>/dev/null || flunk 'its own upper layer can be mounted'
	! inside one 'setfattr -n trusted.overlay.redirect -v /../../.. /root/u' 2>/dev/null || flunk 'trusted attributes can be set'
	! inside one 'mount -o remount,lowerdir=/etc /' 2>/dev/null || flunk 'its layers can be exchanged'
}

@test "files: deep, wide, linked and immutable trees are removed, and nothing beside them" {
	local bait=$BATS_TEST_TMPDIR/bait files
	mkdir "$bait"
	echo precious >"$bait/file"
	make_guest three --storage overlay
	isle start three
	arm three
	isle exec three -- /root/strike groups deep 3000 /root
	isle exec three -- sh -c 'mkdir /wide; cd /wide; i=0; while [ $i -lt 3000 ]; do : >f$i; i=$((i + 1)); done'
	inside three "ln -s $bait /root/link; ln -s / /root/all; mkfifo /root/fifo; ln -s $bait/file /file; mkdir -p /x/y; mount --bind / /x/y; chmod 000 /wide"
	inside three 'chattr +i /root/link /wide 2>/dev/null; chattr +a /root/fifo 2>/dev/null' || :
	isle stop --kill three
	files=$(files_of three)
	touch "$files/fixed"
	chattr +i "$files/fixed" 2>/dev/null || :
	works timeout 60 "$ISLE" destroy three
	[ ! -e "$ISLE_PATH/guests/three" ]
	is bait precious "$(cat "$bait/file")"
}

@test "files: nothing is put into /tmp" {
	is 'files of isle in /tmp' '' "$(find /tmp -maxdepth 1 -name '*isle*' -newer "$BATS_TEST_TMPDIR/then")"
}
