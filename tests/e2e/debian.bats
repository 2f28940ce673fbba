#!/usr/bin/env bats
# Debian with systemd.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	[ "$E2E_DEBIAN" = yes ] || return 0
	make_debian one two
	isle start --wait --timeout 120 one two
}

setup() {
	needs_debian
}

teardown_file() {
	end_of_file
}

is_up() {
	[[ $(isle exec "$1" -- systemctl is-system-running) == running ]]
}

@test "debian: systemd reaches running, no unit has failed" {
	wait_until 60 is_up one
	is 'failed units' '' "$(isle exec one -- systemctl --failed --no-legend --plain)"
	wait_until 60 is_up two
	is 'failed units' '' "$(isle exec two -- systemctl --failed --no-legend --plain)"
	is init systemd "$(field one .init_kind)"
}

@test "debian: machine-id and SSH host keys are each guest's own" {
	one=$(isle exec one -- cat /etc/machine-id)
	two=$(isle exec two -- cat /etc/machine-id)
	[[ $one =~ ^[0-9a-f]{32}$ && $two =~ ^[0-9a-f]{32}$ ]]
	isnt machine-id "$one" "$two"
	isnt 'host keys' "$(isle exec one -- sh -c 'cat /etc/ssh/ssh_host_*_key.pub')" "$(isle exec two -- sh -c 'cat /etc/ssh/ssh_host_*_key.pub')"
	image=$(field one .image)
	run bash -c "ls $ISLE_PATH/images/$image/rootfs/etc/ssh/ssh_host_*_key"
	[ "$status" -ne 0 ] || flunk 'the image has host keys' "$output"
	[ ! -s "$ISLE_PATH/images/$image/rootfs/etc/machine-id" ] || flunk 'the image has a machine-id'
}

@test "debian: the journal works" {
	isle exec one -- logger -t e2e 'a line for the journal'
	logged() { isle exec one -- journalctl -q -t e2e --no-pager | grep -q 'a line for the journal'; }
	wait_until 10 logged
}

@test "debian: sshd answers the host" {
	banner() { timeout 2 bash -c "exec 4<>/dev/tcp/$(address one)/22; read -r line <&4; [[ \$line == SSH-2.0-* ]]"; }
	wait_until 20 banner
}

@test "debian: root has no password, and nobody else has one" {
	works isle exec one -- getent shadow
	for line in "${lines[@]}"; do
		password=${line#*:}
		[[ ${password%%:*} == [*!]* ]] || flunk "$line"
	done
}

@test "debian: the container interface of systemd" {
	is virtualisation isle "$(isle exec one -- systemd-detect-virt --container)" || is virtualisation container-other "$(isle exec one -- systemd-detect-virt --container)"
	works isle exec one -- systemctl show --property=Virtualization
	isle exec one -- test -S /run/systemd/notify
	works isle exec one -- findmnt -n -o FSTYPE /sys/fs/cgroup
	is cgroup cgroup2 "$output"
	# Memory of the units is accounted for where the kernel can do it.
	works isle exec one -- systemd-cgls --no-pager
	says init.scope
	says system.slice
}

@test "debian: a service with a user of its own, a private /tmp and limits runs" {
	works isle exec one -- systemd-run --wait --pipe -p DynamicUser=yes -p PrivateTmp=yes -p ProtectSystem=strict -p NoNewPrivileges=yes id -u
	[ "${lines[${#lines[@]} - 1]}" != 0 ] || flunk "$output"
}

@test "debian: packages can be installed and users added" {
	isle exec one -- useradd -m ann
	works isle exec --user ann one -- id -un
	is user ann "$output"
	isle exec one -- dpkg --configure -a
	is ping 'can ping' "$(isle exec one -- sh -c 'getcap /bin/ping >/dev/null 2>&1; echo can ping')"
}

@test "debian: the console has a login" {
	works "$E2E_HERE/terminal" see:Connected type:'\r' see:'login:' type:'\x01q' -- "$ISLE" console one
}

@test "debian: shell gives a login shell" {
	works "$E2E_HERE/terminal" see:'#' type:'echo $0 $HOME; exit\r' see:'-bash /root' -- "$ISLE" shell one
}

@test "debian: reboot from inside comes up again, with monitor and address" {
	monitor=$(monitor_pid two)
	where=$(address two)
	init=$(init_pid two)
	run isle exec two -- systemctl reboot
	other() { [ "$(state two)" = running ] && [ "$(init_pid two)" != "$init" ]; }
	wait_until 60 other
	wait_until 60 is_up two
	is monitor "$monitor" "$(monitor_pid two)"
	is address "$where" "$(address two)"
}

@test "debian: stop is clean: services are asked, the journal is closed" {
	isle exec two -- sh -c 'printf "[Service]\nExecStart=/bin/sleep infinity\nExecStop=/bin/sh -c \"echo asked >/root/mark\"\n" >/etc/systemd/system/e2e.service; systemctl start e2e'
	begun=$(milliseconds)
	isle stop --timeout 60 two
	[ $(($(milliseconds) - begun)) -lt $((60000 * E2E_SLOW)) ]
	works isle log --events two
	says_not killed
	isle start --wait two
	is mark asked "$(isle exec two -- cat /root/mark)"
}

@test "debian: poweroff from inside" {
	run isle exec two -- systemctl poweroff
	isle wait --timeout 60 two
	is state stopped "$(state two)"
}

@test "debian: freeze and unfreeze" {
	isle freeze one
	is state frozen "$(state one)"
	isle unfreeze one
	is_up one
}

@test "debian: nothing of the guests is left" {
	isle stop one
	assert_nothing_left one two
}
