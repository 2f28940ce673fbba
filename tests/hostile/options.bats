#!/usr/bin/env bats
# Options and arguments: words that would be a path, another option, a program or a line of a file to whoever takes them from isle.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	make_guest one
}
teardown_file() { end_of_file; }
setup() {
	trap=$BATS_TEST_TMPDIR/trap
	before
}
teardown() {
	isle destroy -q --force evil 2>/dev/null || :
	[ ! -e "$trap" ] || flunk 'a program was run'
	same_host
}

# lxc VERB ARGUMENT...: by the link that takes LXC's options.
lxc() {
	local verb=$1
	shift
	ln -sf "$ISLE" "$BATS_TEST_TMPDIR/isle-$verb"
	run timeout 20 "$BATS_TEST_TMPDIR/isle-$verb" "$@" </dev/null
	[ "$status" -ne 124 ] || flunk "isle-$verb hangs: $*"
}

@test "options: LXC's way of naming a guest takes no path, no option and no line" {
	local name verb
	for name in ../one ./one one/ -k --force '' $'one\nx' 'one two' "one;touch $trap" "\$(touch $trap)" "\`touch $trap\`" '*' "$(printf 'a%.0s' {1..5000})"; do
		for verb in start stop destroy info freeze attach console; do
			lxc "$verb" -n "$name"
			[ "$status" -ne 0 ] || flunk "isle-$verb -n $(printf %q "$name") works"
		done
	done
	is guests one "$(isle list -1)"
}

@test "options: what LXC's options carry is a value, whatever it looks like" {
	local value
	for value in "lxc.hook.pre-start=touch $trap" 'lxc.include=/etc/shadow' 'lxc.rootfs.path=/' $'lxc.environment=A=B\nlxc.idmap=u 0 0 1' 'lxc.mount.entry=/etc ../../../etc none bind 0 0' \
		'lxc.idmap=u 0 0 65536' 'lxc.cap.keep=sys_module' "lxc.log.file=$trap" "lxc.console.logfile=$trap" "lxc.init.cmd=/bin/sh -c 'touch $trap'"; do
		lxc start -n one -s "$value"
		[ "$status" -ne 0 ] || isle stop --kill one
		[ ! -e "$trap" ] || flunk "$value"
	done
	lxc create -n evil -t busybox -f /etc/shadow
	[[ $output != *'$'[0-9y]'$'* ]] || flunk "a file's contents are told: $output"
	lxc create -n evil -t "busybox;touch $trap"
	lxc create -n evil -t '../../../../../../bin/sh'
	local word rootfs=$BATS_TEST_TMPDIR/rootfs
	mkdir "$rootfs"
	for word in "--rootfs=$rootfs" "--rootf=$rootfs" "--ro=$rootfs" "--path=$rootfs" "--pa=$rootfs" "-p$rootfs" --name=../../x -nx --mapped-uid=0; do
		lxc create -n evil -t busybox -- "$word"
		is "status with $word" 2 "$status"
		run timeout 20 "$ISLE" create -q evil -t busybox -- --busybox-path "$(command -v busybox)" "$word"
		is "status with $word behind another" 2 "$status"
		is "what $word wrote" '' "$(ls "$rootfs")"
	done
}

@test "options: values of templates are no programs" {
	local option value
	for option in --release --packages --mirror --security-mirror --components --arch --locale --variant --init --keyring; do
		for value in "\$(touch $trap)" "\`touch $trap\`" "x;touch $trap" "x' ; touch $trap; '" $'x\ntouch '"$trap" "| touch $trap" "-o APT::Update::Pre-Invoke::=touch\$IFS$trap" "../../$trap"; do
			run timeout 60 "$ISLE" create -q evil -t debian -- "$option=$value" --mirror=file:///nonexistent
			[ "$status" -ne 0 ] || flunk "debian takes $option=$value"
			[ ! -e "$trap" ] || flunk "debian runs $option=$value"
		done
	done
}

@test "options: files that are given by name are what they should be" {
	local file
	mkfifo "$BATS_TEST_TMPDIR/fifo"
	for file in /dev/zero /etc/shadow "$BATS_TEST_TMPDIR/fifo" "$BATS_TEST_TMPDIR"; do
		run timeout 20 "$ISLE" create -q evil -t busybox --ssh-key "$file"
		[[ $status -ne 0 && $status -ne 124 ]] || flunk "status $status with $file as a key"
		[[ $output != *'$'[0-9y]'$'* ]] || flunk "its contents are told: $output"
		run timeout 20 "$ISLE" create -q evil -t busybox --config "$file"
		[[ $status -ne 0 && $status -ne 124 ]] || flunk "status $status with $file as a config"
		run timeout 20 "$ISLE" create -q evil -t local -- --file "$file"
		[[ $status -ne 0 && $status -ne 124 ]] || flunk "status $status with $file as a tarball"
	done
	for value in ../../../../etc/shadow /etc/shadow 'a b' $'Europe/Berlin\nx' -x .; do
		run timeout 20 "$ISLE" create -q evil -t busybox --timezone "$value"
		[ "$status" -ne 0 ] || flunk "the time zone $(printf %q "$value") is taken"
	done
}

# LXC's download template brings a config beside the tarball.
@test "options: the config of a tarball's metadata says what kind of system it is and no more" {
	local folder=$BATS_TEST_TMPDIR/meta
	mkdir -p "$folder/root/sbin" "$folder/root/bin" "$folder/root/etc"
	cp "$(command -v busybox)" "$folder/root/bin/sh"
	ln -s /bin/sh "$folder/root/sbin/init"
	cat >"$folder/config" <<-END
		lxc.arch = x86_64
		lxc.hook.pre-start = touch $trap
		lxc.hook.start-host = touch $trap
		lxc.mount.entry = /etc etc none bind 0 0
		lxc.include = /etc/shadow
		lxc.idmap = u 0 0 65536
		lxc.apparmor.profile = unconfined
		lxc.cap.keep = sys_module
		lxc.cgroup2.devices.allow = a
		lxc.rootfs.path = dir:/
	END
	tar -C "$folder/root" -cf "$folder/root.tar" .
	tar -C "$folder" -cf "$folder/meta.tar" config
	run timeout 60 "$ISLE" create -q evil -t local -- --file "$folder/root.tar" --metadata "$folder/meta.tar"
	[ "$status" -eq 0 ] || { [[ $output == *isle* ]] && return; }
	run cat "$ISLE_PATH/guests/evil/config"
	for word in touch shadow privileged '[mount' unconfined sys_module device; do
		says_not "$word"
	done
}
