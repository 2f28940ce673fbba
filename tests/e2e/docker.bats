#!/usr/bin/env bats
# Docker in a guest of Debian 13: with E2E_DOCKER=yes, since its image is large.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	[ "$E2E_DOCKER" = yes ] && [ "$E2E_DEBIAN" = yes ] || return 0
	isle create -q one -t debian --set security.nesting=yes -- --release trixie --packages docker.io,docker-cli,iptables,busybox-static
	isle start --wait --timeout 180 one
	# No registry: an image of one program.
	isle exec one -- sh -ec 'mkdir -p /tmp/root/bin; cp /bin/busybox /tmp/root/bin; ln -s busybox /tmp/root/bin/sh; tar -C /tmp/root -c . | docker import - own'
}
setup() {
	needs_debian
	[ "$E2E_DOCKER" = yes ] || skip "Docker was not asked for (E2E_DOCKER=$E2E_DOCKER)"
}
teardown_file() { end_of_file; }

@test "Docker: a container runs in a guest with nesting, under AppArmor too" {
	works isle exec one -- docker run --rm own /bin/sh -c 'echo inside'
	says inside
	says_not 'error'
	if [ "$(cat /sys/module/apparmor/parameters/enabled 2>/dev/null)" = Y ]; then
		is label "isle_$E2E_TAG-one (enforce)" "$(cat "/proc/$(init_pid one)/attr/current")"
	fi
}

@test "Docker: its network, its exec, its limits" {
	isle exec one -- docker run -d --rm --name web --memory 64m -p 8080:80 own /bin/busybox httpd -f -p 80 -h /bin
	works isle exec one -- docker exec web /bin/busybox hostname
	answers() { timeout 5 bash -c "exec 4<>/dev/tcp/$(address one)/8080; printf 'GET /sh HTTP/1.0\r\n\r\n' >&4; head -n 1 <&4 | grep -q ' 200 '"; }
	wait_until 20 answers
	isle exec one -- docker stop -t 1 web
}

@test "Docker: the guest itself is well" {
	works isle exec one -- systemctl is-system-running
	is system running "$output"
	run sh -c "dmesg | grep 'DENIED.*isle_$E2E_TAG-one'"
	is refusals '' "$output"
}
