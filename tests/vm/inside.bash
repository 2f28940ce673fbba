# What tests/vm/build and tests/vm/images share: the way into a suite's chroot.
# shellcheck shell=bash

# enter TREE COMMAND...: in a mount namespace of its own, makes TREE the root and runs COMMAND there. Not by chroot(2) alone:
# below a root that is no mount, mounts cannot be made private.
enter() {
	local tree=$1
	shift
	mount --rbind "$tree" "$tree"
	mount -t proc proc "$tree/proc"
	mount --rbind /dev "$tree/dev"
	mount --rbind /sys "$tree/sys"
	mount -t tmpfs tmpfs "$tree/run"
	cd "$tree" || return 1
	pivot_root . mnt
	umount -l mnt
	exec chroot . /usr/bin/env -i HOME=/root PATH=/usr/sbin:/usr/bin:/sbin:/bin LC_ALL=C.UTF-8 "$@"
}
