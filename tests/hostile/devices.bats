#!/usr/bin/env bats
# Device nodes: those that are there, those that an image brings, those that the guest would make.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
	isle start one
	arm one
}
teardown_file() { end_of_file; }
setup() { before; }
teardown() { same_host; }

@test "devices: /dev holds what is listed here and no more" {
	is nodes 'console full fuse net/tun null ptmx random tty urandom zero' \
		"$(inside one 'cd /dev; echo $({ find . ! -type d ! -type l ! -path "./pts/*"; ls ./ptmx; } | sed "s,^./,," | sort)')"
}

@test "devices: none can be made, in any place" {
	for place in /root /dev /tmp /dev/shm /run; do
		for node in 'b 8 0' 'b 254 0' 'c 1 1' 'c 1 3' 'c 10 232'; do
			# shellcheck disable=SC2086 # three words
			! inside one "mknod $place/node $node" 2>/dev/null || flunk "mknod $place/node $node"
		done
	done
}

@test "devices: nodes of the host that are shared keep owner, mode and contents" {
	for node in null zero full random urandom tty; do
		! inside one "chmod 700 /dev/$node" 2>/dev/null || flunk "chmod /dev/$node"
		! inside one "chown 0:0 /dev/$node" 2>/dev/null || flunk "chown /dev/$node"
		! inside one "chattr +i /dev/$node" 2>/dev/null || flunk "chattr /dev/$node"
		inside one "rm -f /dev/$node; mv /dev/$node /dev/x" 2>/dev/null || :
		[ -c "/dev/$node" ]
	done
}

@test "devices: an image's nodes do not come into a guest" {
	local template=$BATS_TEST_TMPDIR/evil
	cat >"$template" <<-'END'
		#!/bin/sh
		for word; do case $word in --rootfs=*) root=${word#*=} ;; esac; done
		mkdir -p "$root/bin" "$root/sbin" "$root/dev" "$root/etc" "$root/proc" "$root/sys" "$root/opt/deep/er"
		cp "$(command -v busybox)" "$root/bin/busybox"
		chroot "$root" /bin/busybox --install -s /bin
		ln -s /bin/busybox "$root/sbin/init"
		mknod -m 666 "$root/dev/zero2" c 1 5
		mknod -m 666 "$root/opt/zero" c 1 5
		mknod -m 666 "$root/opt/deep/er/zero" c 1 5
	END
	chmod 755 "$template"
	for storage in overlay dir; do
		isle create -q two -t "$template" --storage "$storage"
		isle start two
		! inside two 'umount -l /dev; head -c 1 /dev/zero2 || head -c 1 /opt/zero || head -c 1 /opt/deep/er/zero' 2>/dev/null ||
			flunk "a device of the image works on $storage"
		isle destroy --force two
	done
	is 'nodes in images' '' "$(find "$ISLE_PATH/images" -type b -o -type c)"
}
