#!/usr/bin/env bats
# Templates and images of strangers: what a new guest is made from, and what isle writes into it.
load lib
bats_require_minimum_version 1.5.0

setup() {
	bait=$BATS_TEST_TMPDIR/bait
	mkdir -m 0777 "$bait"
	before
}
teardown() {
	isle destroy -q --force evil 2>/dev/null || :
	same_host
}
teardown_file() { end_of_file; }

# template LINES: a busybox system, with more done to it by lines of shell that know $root and $path.
template() {
	cat >"$BATS_TEST_TMPDIR/evil" <<-END
		#!/bin/sh
		for word; do case \$word in --rootfs=*) root=\${word#*=} ;; --path=*) path=\${word#*=} ;; esac; done
		mkdir -p "\$root/bin" "\$root/sbin" "\$root/usr/share/zoneinfo/Europe" "\$root/etc" "\$root/proc" "\$root/sys" "\$root/dev" "\$root/root" "\$root/var/lib"
		cp "$(command -v busybox)" "\$root/bin/busybox"
		chroot "\$root" /bin/busybox --install -s /bin
		ln -s /bin/busybox "\$root/sbin/init"
		echo TZif2 >"\$root/usr/share/zoneinfo/Europe/Berlin"
		printf 'root:x:0:0::/root:/bin/sh\n' >"\$root/etc/passwd"
		printf 'root:*:::::::\n' >"\$root/etc/shadow"
		printf 'root:x:0:\n' >"\$root/etc/group"
	END
	cat >>"$BATS_TEST_TMPDIR/evil"
	chmod 755 "$BATS_TEST_TMPDIR/evil"
}

create() {
	echo 'ssh-ed25519 AAAAC3NzaC1lZDI1NTE5AAAAIHuC1E1RZ0xk1uRqIg9UXkzWbW1LkgQYc0y4BH5dWb1H a@b' >"$BATS_TEST_TMPDIR/key.pub"
	run timeout 60 "$ISLE" create -q evil -t "$BATS_TEST_TMPDIR/evil" --storage "$1" --ssh-key "$BATS_TEST_TMPDIR/key.pub" --timezone Europe/Berlin \
		--hostname evil --root-password-stdin <<<password
	[ "$status" -ne 124 ] || flunk "create hangs: $2"
	[ "$status" -eq 0 ] || [[ $output == *failed:* ]] || flunk "no reason: $2: $output"
}

# What isle writes into a new guest it writes as the guest's root, inside it: a link can only lead to the guest's own files.
# It can fail: the host has these folders and files, and whoever follows the links there leaves something in $bait or changes /etc.
@test "images: links in the place of everything that isle writes in a new guest" {
	local name
	for name in etc/machine-id etc/hostname etc/hosts etc/shadow etc/passwd etc/localtime etc/timezone etc/resolv.conf etc/ssh root root/.ssh root/.ssh/authorized_keys \
		var/lib/dbus var/lib/systemd etc/systemd run etc; do
		template <<-END
			mkdir -p "\$root/$(dirname "$name")"
			rm -rf "\$root/$name"
			ln -s "$bait/${name##*/}" "\$root/$name"
		END
		mkdir -p "$bait/ssh" "$bait/dbus" "$bait/systemd" "$bait/.ssh"
		create overlay "$name"
		is "files that were written by $name" '' "$(find "$bait" -type f)"
		isle destroy -q --force evil 2>/dev/null || :
	done
}

@test "images: fifos, devices, folders and endless files in the place of everything that isle writes" {
	local name trick
	for name in etc/machine-id etc/hostname etc/shadow etc/passwd etc/localtime root/.ssh/authorized_keys etc/ssh/ssh_host_ed25519_key; do
		for trick in 'mkfifo' 'mkdir' 'ln -s /dev/zero' 'ln -s /proc/kmsg' 'truncate -s 8G'; do
			template <<-END
				mkdir -p "\$root/$(dirname "$name")"
				rm -rf "\$root/$name"
				$trick "\$root/$name"
			END
			create overlay "$trick $name"
			isle destroy -q --force evil 2>/dev/null || :
		done
	done
}

# It can fail: without a mount and a process namespace of its own both would be seen by same_host.
@test "images: processes, mounts and locks that a template leaves are gone with it" {
	template <<-'END'
		setsid sleep 300 >/dev/null 2>&1 </dev/null &
		(trap '' HUP TERM INT; sleep 301) >/dev/null 2>&1 &
		mkdir -p "$root/mnt"
		mount -t tmpfs left "$root/mnt" && mount --bind / "$root/mnt"
		mount --make-rshared "$root/mnt"
		exec 200>"$root/lock"; flock 200
		chmod 000 "$path" 2>/dev/null
		umask 0
	END
	create overlay 'what is left'
	is 'processes of the template' '' "$(pgrep -f 'sleep 30[01]' || :)"
	same_host
	[ ! -d "$ISLE_PATH/guests/evil" ] || is 'mode of its folder' 700 "$(stat -c %a "$ISLE_PATH/guests/evil")"
}

# A template's config is read as LXC's: what it says is the administrator's to decide.
@test "images: a template's config neither frees the guest nor gives it the host" {
	local word
	template <<-'END'
		cat >>"$path/config" <<-'CONFIG'
			lxc.apparmor.profile = unconfined
			lxc.cap.keep = sys_module sys_admin
			lxc.hook.pre-start = /bin/touch /tmp/isle-hostile-hook
			lxc.idmap = u 0 0 4294967295
			lxc.environment = X=1
		CONFIG
	END
	rm -f /tmp/isle-hostile-hook
	create overlay config
	if [ "$status" -eq 0 ]; then
		is privileged no "$(isle config evil get security.privileged)"
		works timeout 30 "$ISLE" start evil
		isnt 'first id' 0 "$(isle exec evil -- awk '{ print $2 }' /proc/self/uid_map)"
		for word in $(isle exec evil -- sed -n 's/^CapBnd:.//p' /proc/1/status); do
			(((16#$word & (1 << 16)) == 0)) || flunk 'the guest may load modules'
		done
	fi
	[ ! -e /tmp/isle-hostile-hook ] || { rm -f /tmp/isle-hostile-hook && flunk 'a hook of the template was run'; }
}
