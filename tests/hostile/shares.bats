#!/usr/bin/env bats
# Folders of the host's that a guest is given: it works in them, and gets nothing beside them.
load lib
bats_require_minimum_version 1.5.0

setup() {
	share=$BATS_TEST_TMPDIR/share
	mkdir -m 0777 "$share"
	before
}
teardown() {
	isle destroy -q --force one 2>/dev/null || :
	same_host
}
teardown_file() { end_of_file; }

# The host's mounts are shared, as with systemd (tests/e2e/place): a copy that stayed in their peer group would hand back what is mounted on it.
@test "shares: what a guest mounts in a folder of the host's is not mounted on the host" {
	local options
	for options in create=dir create=dir,rec create=dir,ro; do
		mkdir -p "$share/x"
		make_guest one --set mount.a.source="$share" --set mount.a.target=/share --set mount.a.options="$options" \
			--set mount.b.source=b --set mount.b.target=/share/x --set mount.b.type=tmpfs
		works timeout 30 "$ISLE" start one
		inside one 'mount --make-rshared /share; mount -t tmpfs hostile /share; mkdir -p /share/y; mount --bind /etc /share/y' || :
		same_host
		is 'mounts of the host below it' '' "$(grep -F "$share" /proc/self/mountinfo || :)"
		works isle destroy --force one
	done
}

@test "shares: what is mounted on the host afterwards does not come into the guest, nor what is taken away leave it" {
	make_guest one --set mount.a.source="$share" --set mount.a.target=/share --set mount.a.options=create=dir
	works timeout 30 "$ISLE" start one
	mount -t tmpfs secret "$share"
	echo secret >"$share/secret"
	! isle exec one -- cat /share/secret 2>/dev/null || flunk 'a mount of the host has come into the guest'
	umount "$share"
}

@test "shares: the folders above it, and its file system's devices, stay out of reach" {
	echo secret >"$BATS_TEST_TMPDIR/secret"
	mknod -m 666 "$share/zero" c 1 5
	make_guest one --set mount.a.source="$share" --set mount.a.target=/share --set mount.a.options=create=dir,nodev,nosuid
	works timeout 30 "$ISLE" start one
	! isle exec one -- cat /share/../secret 2>/dev/null || flunk 'the folder above is read'
	! inside one 'cd /share; ls .. | grep -q secret' || flunk 'the folder above is listed'
	! inside one 'head -c 1 /share/zero' 2>/dev/null || flunk 'a device of the share works'
	! inside one 'mount -o remount,bind,dev /share; head -c 1 /share/zero' 2>/dev/null || flunk 'nodev can be taken off'
	! inside one 'mount -o remount,bind,suid /share' 2>/dev/null || flunk 'nosuid can be taken off'
	inside one 'ln -s / /share/root; cp /bin/busybox /share/suid; chmod 6755 /share/suid' || :
	# Not of the host's root, so it is nobody's to become root by.
	[ ! -e "$share/suid" ] || isnt 'owner of a set-uid file in the share' 0 "$(stat -c %u "$share/suid")"
}

# A bind mount's flags are those of the mount, and the mounts of a guest belong to its root: unless they were locked, see mount_lock().
@test "shares: read-only stays read-only, for folders, files, and what the host has mounted so" {
	mkdir "$share/below" "$share/host"
	echo precious | tee "$share/file" "$share/host/file" >"$BATS_TEST_TMPDIR/file"
	chmod -R 777 "$share" "$BATS_TEST_TMPDIR/file"
	mount --bind "$share/host" "$share/host"
	mount -o remount,bind,ro "$share/host"
	make_guest one --set mount.a.source="$share" --set mount.a.target=/a --set mount.a.options=create=dir,ro \
		--set mount.b.source="$BATS_TEST_TMPDIR/file" --set mount.b.target=/b --set mount.b.options=create=file,ro \
		--set mount.c.source="$share/host" --set mount.c.target=/c --set mount.c.options=create=dir \
		--set mount.d.source="$share" --set mount.d.target=/d --set mount.d.options=create=dir,ro,rec
	works timeout 30 "$ISLE" start one
	is 'what is read' 'precious precious precious precious' "$(inside one 'echo $(cat /a/file /b /c/file /d/host/file)')"
	inside one 'for m in /a /b /c /d /d/host; do mount -o remount,bind,rw $m; mount -o remount,rw $m; done
		mkdir /e; mount --bind /a /e; mount -o remount,bind,rw /e
		umount /d/host; for f in /a/file /b /c/file /d/file /d/host/file /e/file; do echo bad >$f; done
		unshare -m sh -c "mount -o remount,bind,rw /a; echo bad >/a/file"' 2>/dev/null || :
	is 'what is there' 'precious precious precious' "$(cat "$share/file" "$share/host/file" "$BATS_TEST_TMPDIR/file" | xargs)"
	isle destroy --force one
	umount "$share/host"
}
