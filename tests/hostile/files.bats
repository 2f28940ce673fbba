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

@test "files: what the host has mounted in a guest's tree is not removed with it" {
	local bait=$BATS_TEST_TMPDIR/bait place
	mkdir "$bait"
	echo precious >"$bait/file"
	make_guest three --storage overlay
	place=$(files_of three)/srv
	mkdir -p "$place"
	: >"$place/one"
	mkdir "$place/folder"
	mount --bind "$bait" "$place/folder"
	mount --bind "$bait/file" "$place/one"
	run timeout 60 "$ISLE" destroy three
	is bait precious "$(cat "$bait/file")"
	[ "$status" -ne 0 ] || flunk 'it was destroyed with the mounts in it'
	says three
	run isle create -t busybox meanwhile
	is 'another is made meanwhile' 0 "$status"
	says 'which a guest left, stays'
	# The tree has been renamed away: it is found by what is mounted.
	awk -v below="$ISLE_PATH/guests/.old-" 'index($5, below) == 1 { print $5 }' /proc/self/mountinfo | while read -r place; do umount "$place"; done
	isle destroy --force meanwhile
	make_guest three
	works isle destroy three
	is 'folders of guests that are left' '' "$(find "$ISLE_PATH/guests" -mindepth 1 -maxdepth 1 -name '*three*')"
	is bait precious "$(cat "$bait/file")"
}

@test "files: volumes of btrfs in one another, all read-only, are removed" {
	command -v mkfs.btrfs >/dev/null && grep -qw btrfs /proc/filesystems || skip 'no btrfs on this host'
	local place=$E2E_ROOT/btrfs
	truncate -s 600M "$E2E_ROOT/disk"
	mkfs.btrfs -q "$E2E_ROOT/disk"
	mkdir "$place"
	mount -o loop "$E2E_ROOT/disk" "$place"
	"$ISLE" -P "$place/isle" create -q -t busybox --storage dir --set network.eth0.type=none vast
	"$ISLE" -P "$place/isle" start vast
	"$ISLE" -P "$place/isle" exec vast -- sh -c 'cat >/root/make-volumes; chmod 755 /root/make-volumes' <"$HOSTILE_TOOLS/volume"
	works "$ISLE" -P "$place/isle" exec vast -- /root/make-volumes /root 50
	run "$ISLE" -P "$place/isle" exec vast -- rm -rf /root/volume
	run timeout 60 "$ISLE" -P "$place/isle" destroy --force vast
	left=$(ls -A "$place/isle/guests")
	umount "$place"
	rm "$E2E_ROOT/disk"
	is 'exit status' 0 "$status"
	is left '' "$left"
}

@test "files: what a guest's files take is on its account, however deep and under whatever names they lie" {
	make_guest hidden --storage overlay
	isle start hidden
	inside hidden 'cd /root; i=0; while [ $i -lt 700 ]; do mkdir d && cd d; i=$((i + 1)); done; head -c 5000000 /dev/urandom >f'
	inside hidden 'cd /root; n=$(printf "%0200d" 7); i=0; while [ $i -lt 40 ]; do mkdir $n && cd $n; i=$((i + 1)); done; head -c 5000000 /dev/urandom >f; ln f g'
	works timeout 60 "$ISLE" usage --record hidden
	taken=$(isle usage --json hidden | jq '.[0].disk_bytes')
	[ "$taken" -gt 10000000 ] && [ "$taken" -lt 20000000 ] || flunk "$taken bytes"
	isle destroy --force hidden
}

@test "files: a guest whose files cannot be counted keeps neither its own nor others' counters from being put down" {
	make_guest moving --storage overlay
	isle start moving
	# Not in the guest's power, but what it comes to.
	mv "$ISLE_PATH/guests/moving/upper" "$ISLE_PATH/guests/moving/elsewhere"
	run isle usage --record moving one
	[ "$status" -ne 0 ]
	mv "$ISLE_PATH/guests/moving/elsewhere" "$ISLE_PATH/guests/moving/upper"
	for name in moving one; do
		[ -s "$ISLE_PATH/guests/$name/usage.history" ] || flunk "nothing of $name"
	done
	isle destroy --force moving
}

@test "files: nothing of isle listens in the abstract name space" {
	is 'abstract sockets' '' "$(awk '$8 ~ /^@/ { print $8 }' /proc/net/unix | grep -i isle || :)"
	local inode
	for inode in $(find "/proc/$(monitor_pid one)/fd" -lname 'socket:*' -printf '%l\n' | tr -dc '0-9\n'); do
		is 'a socket of the monitor' '' "$(awk -v i="$inode" '$7 == i && $8 ~ /^@/' /proc/net/unix)"
	done
}

@test "files: what is installed has no set-id bit, no capability, and only root may write to it" {
	[ -e "$E2E_SOURCE/Makefile" ] || skip 'the sources are not built here'
	make -s -C "$E2E_SOURCE" install DESTDIR="$BATS_TEST_TMPDIR/root" >"$BATS_TEST_TMPDIR/install" 2>&1 || flunk "$(tail -n 5 "$BATS_TEST_TMPDIR/install")"
	[ -n "$(find "$BATS_TEST_TMPDIR/root" -type f -name isle)" ]
	is 'special modes' '' "$(find "$BATS_TEST_TMPDIR/root" -perm /6000 -o ! -type l -perm /022 -o ! -user root)"
	is 'capabilities' '' "$(getcap -r "$BATS_TEST_TMPDIR/root")"
}

@test "files: nothing is put into /tmp" {
	is 'files of isle in /tmp' '' "$(find /tmp -maxdepth 1 -name '*isle*' -newer "$BATS_TEST_TMPDIR/then")"
}
