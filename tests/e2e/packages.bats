#!/usr/bin/env bats
# What administrators install first, in Debian: with E2E_PACKAGES=yes, since it is fetched and takes its time.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	[ "$E2E_PACKAGES" = yes ] && [ "$E2E_DEBIAN" = yes ] || return 0
	make_debian one --set "mount.packages.source=$E2E_ROOT/packages" --set mount.packages.target=/srv/packages --set mount.packages.options=ro,create=dir
	chmod 711 "$E2E_ROOT"
	isle start --wait --timeout 120 one
	isle exec one -- sh -c 'rm -rf /etc/apt/sources.list.d/*; echo "deb [trusted=yes] file:/srv/packages ./" >/etc/apt/sources.list; apt-get -q update'
	# shellcheck disable=SC2086 # words
	isle exec --env DEBIAN_FRONTEND=noninteractive one -- apt-get -q install -y $E2E_WANTED >"$E2E_ROOT/install.log" 2>&1 || {
		tail -n 20 "$E2E_ROOT/install.log" >&2
		return 1
	}
}
setup() {
	needs_debian
	[ "$E2E_PACKAGES" = yes ] || skip "packages to install were not asked for (E2E_PACKAGES=$E2E_PACKAGES)"
}
teardown_file() { end_of_file; }

@test "packages: all services run, nothing has failed" {
	local unit
	for unit in ssh cron nginx postgresql postgresql@15-main; do
		is "$unit" active "$(isle exec one -- systemctl is-active "$unit")"
	done
	is 'failed units' '' "$(isle exec one -- systemctl --failed --no-legend --plain)"
	is system running "$(isle exec one -- systemctl is-system-running)"
}

@test "packages: sudo" {
	isle exec one -- sh -c 'useradd -m -s /bin/bash ann && adduser -q ann sudo && echo "%sudo ALL=(ALL) NOPASSWD: ALL" >/etc/sudoers.d/all'
	is 'who it is' root "$(isle exec --user ann one -- sudo id -un)"
	is 'the other way' ann "$(isle exec one -- sudo -u ann id -un)"
}

@test "packages: ping, by a user without privileges" {
	isle exec one -- sh -c 'id ann >/dev/null 2>&1 || useradd -m ann'
	works isle exec --user ann one -- sh -c 'ping -c 1 -W 5 $(ip route | sed -n "s/^default via \([0-9.]*\).*/\1/p")'
}

@test "packages: nftables, by hand and as a service" {
	works isle exec one -- sh -c 'nft add table inet own && nft add chain inet own in "{ type filter hook input priority 0; }" && nft add rule inet own in tcp dport 23 counter drop && nft list ruleset'
	says 'tcp dport 23'
	isle exec one -- systemctl restart nftables
	is service active "$(isle exec one -- systemctl is-active nftables)"
}

@test "packages: cron runs a job" {
	ran() { isle exec one -- test -e /root/cron-ran; }
	isle exec one -- sh -c 'echo "* * * * * root touch /root/cron-ran" >/etc/cron.d/own'
	wait_until 75 ran
}

@test "packages: logrotate" {
	isle exec one -- sh -c 'printf "/var/log/own.log {\n rotate 2\n}\n" >/etc/logrotate.d/own; echo line >/var/log/own.log; logrotate -f /etc/logrotate.conf'
	is 'the old log' line "$(isle exec one -- cat /var/log/own.log.1)"
	works isle exec one -- systemctl start logrotate
}

@test "packages: nginx answers the host, postgresql its users, sshd everybody" {
	run timeout 10 bash -c "exec 4<>/dev/tcp/$(address one)/80; printf 'GET / HTTP/1.0\r\n\r\n' >&4; cat <&4"
	says 'Welcome to nginx'
	is sum 42 "$(isle exec one -- sudo -u postgres psql -qAtc 'create table t as select 42 as n; select n from t')"
	run timeout 10 bash -c "exec 4<>/dev/tcp/$(address one)/22; read -r line <&4; echo \"\$line\""
	says SSH-2.0
}

@test "packages: all of it comes up again after a restart" {
	isle restart one
	up() { [ "$(isle exec one -- systemctl is-system-running 2>/dev/null)" = running ]; }
	wait_until 60 up
	is postgresql active "$(isle exec one -- systemctl is-active postgresql@15-main)"
	is sum 42 "$(isle exec one -- sudo -u postgres psql -Atc 'select n from t')"
}
