#!/usr/bin/env bats
# isle clone --live of Debian guests with systemd at work: the clones are whole systems, and other ones.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	has_criu && [ "$E2E_DEBIAN" = yes ] || return 0
	make_debian one
	isle start --wait one
	isle exec one -- systemd-run -q -u noisy sh -c 'while sleep 0.3; do i=$((i + 1)); echo "noise $i"; done'
}

teardown() {
	for name in two three w-1 w-2 w-3 w-4; do isle destroy -qf "$name" 2>/dev/null || :; done
}

setup() {
	needs_criu
	needs_debian
}

teardown_file() { end_of_file; }

# What an administrator asks of a system.
is_whole() {
	is "state of $1" running "$(isle exec "$1" -- systemctl is-system-running)"
	isle exec "$1" -- sh -c 'systemctl restart systemd-logind systemd-journald && { [ ! -e /usr/sbin/sshd ] || systemctl restart ssh; }'
	isle exec "$1" -- systemd-run -q --wait true
	is "host name as hostnamed has it" "$1" "$(isle exec "$1" -- hostnamectl hostname)"
	isle exec "$1" -- logger "a line of $1"
	logged() { isle exec "$1" -- journalctl -b -q --no-pager | grep -q "a line of $1"; }
	wait_until 10 logged "$1"
	is "groups of $1 that are another's" '' "$(foreign_groups "$1")"
	is "state of $1 after that" running "$(isle exec "$1" -- systemctl is-system-running)"
}

# Control groups of the guest's that neither its own ids nor the host's root have.
foreign_groups() {
	local first
	first=$(field "$1" .ids.first)
	find /sys/fs/cgroup -path "*/isle*$E2E_TAG*" \( -path "*/$1/guest*" -o -path "*-$1:*" \) \
		! -uid 0 \( -uid -"$first" -o -uid +$((first + 65535)) \)
}

ssh_key_shown() {
	ssh-keyscan -T $((10 * E2E_SLOW)) -t ed25519 "$(address "$1")" 2>/dev/null | awk '{ print $3 }'
}

@test "clone, Debian: live clones are whole, with keys and names of their own" {
	works isle clone --live --count 2 one w
	is_whole w-1
	is_whole w-2
	is_whole one
	noise_of() { isle exec "$1" -- journalctl -q -u noisy -n 1 -o cat --no-pager; }
	more_noise() { [ "$(noise_of "$1")" != "$noise" ]; }
	for name in one w-1 w-2; do
		noise=$(noise_of "$name")
		wait_until 10 more_noise "$name"
	done
	command -v ssh-keyscan >/dev/null || skip 'ssh-keyscan is not installed'
	own() { [ "$(ssh_key_shown "$1")" = "$(isle exec "$1" -- awk '{ print $2 }' /etc/ssh/ssh_host_ed25519_key.pub)" ]; }
	for name in one w-1 w-2; do wait_until 10 own "$name"; done
	isnt 'host key' "$(ssh_key_shown one)" "$(ssh_key_shown w-1)"
	isnt 'host key' "$(ssh_key_shown w-1)" "$(ssh_key_shown w-2)"
}

@test "clone, Debian: a clone restarted, put to sleep and woken stays whole" {
	isle clone -q --live one two
	isle checkpoint -q two
	isle start two
	is_whole two
	isle restart --wait two
	is_whole two
}

@test "clone, Debian: of storage dir, and of a cold guest" {
	make_debian three --storage dir
	isle start --wait three
	isle clone -q --live three two
	is_whole two
	isle destroy -f two
	isle stop three
	isle clone -q three two
	isle start --wait two
	is_whole two
}

@test "clone, Debian: the release 13" {
	needs_release trixie
	isle create -q -t debian three -- --release trixie
	isle start --wait three
	isle clone -q --live three two
	is_whole two
	is_whole three
}
