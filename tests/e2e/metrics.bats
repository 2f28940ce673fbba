#!/usr/bin/env bats
# Metrics of guests: real parsers read them, and what they say is true.
load lib
bats_require_minimum_version 1.5.0

teardown() {
	local names
	names=$(isle list -1)
	# shellcheck disable=SC2086 # names have no blanks
	[ -z "$names" ] || isle destroy --force $names
}

teardown_file() {
	end_of_file
}

needs_parser() {
	/usr/bin/python3 -c 'import prometheus_client.openmetrics.parser' 2>/dev/null || skip 'python3-prometheus-client is not installed'
}

# The samples of OpenMetrics text, by Prometheus's own parser, a line each: NAME{LABEL=VALUE,...} NUMBER, labels in order.
openmetrics() {
	/usr/bin/python3 -c '
import sys
from prometheus_client.openmetrics.parser import text_string_to_metric_families
for family in text_string_to_metric_families(sys.stdin.read()):
    assert family.type in ("counter", "gauge"), family
    assert family.documentation, family
    for s in family.samples:
        print("%s{%s} %.6f" % (s.name, ",".join("%s=%s" % kv for kv in sorted(s.labels.items())), s.value))
'
}

# The value of a sample in the file that openmetrics wrote.
sample() {
	grep -F "$1 " "$BATS_TEST_TMPDIR/samples" | sed 's/.* //; s/\..*//'
}

@test "metrics: OpenMetrics that its parser reads, with what the guest really uses" {
	needs_parser
	make_guest a --set limits.memory=96M --set limits.processes=100 --set limits.cpus=0.5
	make_guest b
	isle start a
	isle exec a -- mount -t tmpfs none /mnt
	isle exec a -- dd if=/dev/zero of=/mnt/fill bs=1M count=30 2>/dev/null
	gateway=$(isle exec a -- ip route | awk '/^default/ { print $3 }')
	isle exec a -- ping -q -c 5 -i 0.1 -s 1000 "$gateway" >/dev/null
	isle usage --record a
	isle metrics >"$BATS_TEST_TMPDIR/text"
	openmetrics <"$BATS_TEST_TMPDIR/text" >"$BATS_TEST_TMPDIR/samples"
	is running 1 "$(sample 'isle_guest_state{guest=a,state=running}')"
	is stopped 1 "$(sample 'isle_guest_state{guest=b,state=stopped}')"
	is 'not stopped' 0 "$(sample 'isle_guest_state{guest=a,state=stopped}')"
	is limit 100663296 "$(sample 'isle_guest_memory_limit_bytes{guest=a,kind=memory}')"
	is processes 100 "$(sample 'isle_guest_processes_limit{guest=a}')"
	is starts 1 "$(sample 'isle_guest_starts_total{guest=a}')"
	[ "$(sample 'isle_guest_memory_bytes{guest=a,kind=shmem}')" -ge 31457280 ]
	[ "$(sample 'isle_guest_memory_used_bytes{guest=a}')" -ge 31457280 ]
	[ "$(sample 'isle_guest_memory_used_bytes{guest=a}')" -le 100663296 ]
	[ "$(sample 'isle_guest_network_bytes_total{direction=transmit,guest=a,interface=eth0}')" -ge 5000 ]
	[ "$(sample 'isle_guest_network_packets_total{direction=receive,guest=a,interface=eth0}')" -ge 5 ]
	[ "$(sample 'isle_guest_disk_used_bytes{guest=a}')" -gt 0 ]
	is 'a stopped guest has no memory' '' "$(sample 'isle_guest_memory_used_bytes{guest=b}')"
	grep -q '^isle_guest_cpu_limit{guest=a} 0.500000' "$BATS_TEST_TMPDIR/samples"
	grep -q '^isle_guest_cpu_mode_seconds_total{guest=a,mode=system} ' "$BATS_TEST_TMPDIR/samples"
	grep -q '^isle_guest_cpu_throttled_seconds_total{guest=a} ' "$BATS_TEST_TMPDIR/samples"
	# Where the kernel has PSI.
	[ ! -e /proc/pressure/cpu ] || grep -q '^isle_guest_cpu_pressure_seconds_total{guest=a,who=some} ' "$BATS_TEST_TMPDIR/samples"
}

@test "metrics: an OOM kill and processor time go on over a restart" {
	needs_parser
	make_guest a --set limits.memory=32M --set limits.swap=0
	isle start a
	isle exec a -- mount -t tmpfs -o size=100m none /mnt
	run isle exec a -- dd if=/dev/zero of=/mnt/fill bs=1M count=64
	isle metrics | openmetrics >"$BATS_TEST_TMPDIR/samples"
	kills=$(sample 'isle_guest_oom_kills_total{guest=a}')
	[ "$kills" -ge 1 ] || flunk "$(isle limit a)"
	isle restart a
	isle metrics | openmetrics >"$BATS_TEST_TMPDIR/samples"
	is kills "$kills" "$(sample 'isle_guest_oom_kills_total{guest=a}')"
	is starts 2 "$(sample 'isle_guest_starts_total{guest=a}')"
}

@test "metrics: counters of the guest's whole life never go back, however often it restarts" {
	make_guest a
	isle start a
	(for _ in 1 2 3 4 5 6; do isle restart --kill a; done) >/dev/null 2>&1 3>&- &
	restarts=$!
	looks=0
	while [ -n "$restarts" ]; do
		kill -0 "$restarts" 2>/dev/null || {
			wait "$restarts"
			restarts= # and a last look
		}
		isle metrics | sed -n 's/^isle_guest_\(cpu_seconds\|starts\)_total{guest="a"} //p' | paste -sd ' ' >>"$BATS_TEST_TMPDIR/looks"
		looks=$((looks + 1))
	done
	awk 'NF != 2 || $1 < starts || $2 < cpu { print "look " NR ": " starts, cpu " before " $0; exit 1 } { starts = $1; cpu = $2 }
		END { if (starts != 7) { print starts " starts"; exit 1 } }' "$BATS_TEST_TMPDIR/looks" || flunk "$(tail -5 "$BATS_TEST_TMPDIR/looks")"
	echo "# $looks looks at 6 restarts" >&3
}

@test "metrics: a file for node_exporter is replaced as a whole, in the format that promtool knows" {
	needs promtool
	make_guest a
	isle start a
	folder=$BATS_TEST_TMPDIR/textfile
	mkdir "$folder"
	isle metrics --output "$folder/isle.prom"
	first=$(stat -c %i "$folder/isle.prom")
	works promtool check metrics <"$folder/isle.prom"
	is mode 644 "$(stat -c %a "$folder/isle.prom")"
	grep -q '^# TYPE isle_guest_cpu_seconds_total counter$' "$folder/isle.prom"
	run ! grep -q '# EOF' "$folder/isle.prom"
	isle metrics -o "$folder/isle.prom"
	isnt inode "$first" "$(stat -c %i "$folder/isle.prom")"
	is files isle.prom "$(ls -A "$folder")"
	fails 1 isle metrics -o "$folder/nowhere/isle.prom"
	says node_exporter
	fails 2 isle metrics --format xml
	isle metrics --format prometheus | promtool check metrics
}

# The answer to a request, as a socket unit with Accept=yes would have it.
ask() {
	printf '%s\r\n' "$@" '' | isle metrics --http
}

@test "metrics: answers HTTP as it is asked to" {
	needs_parser
	make_guest a
	isle start a
	ask 'GET /metrics HTTP/1.1' 'Accept: application/openmetrics-text;version=1.0.0,text/plain;q=0.5' >"$BATS_TEST_TMPDIR/answer"
	head -n 1 "$BATS_TEST_TMPDIR/answer" | grep -q '^HTTP/1.0 200 OK'
	grep -q '^Content-Type: application/openmetrics-text; version=1.0.0' "$BATS_TEST_TMPDIR/answer"
	sed '1,/^\r$/d' "$BATS_TEST_TMPDIR/answer" >"$BATS_TEST_TMPDIR/body"
	is length "$(sed -n 's/^Content-Length: \([0-9]*\)\r$/\1/p' "$BATS_TEST_TMPDIR/answer")" "$(stat -c %s "$BATS_TEST_TMPDIR/body")"
	openmetrics <"$BATS_TEST_TMPDIR/body" | grep -q '^isle_guest_state{guest=a,state=running} 1'
	ask 'GET /metrics HTTP/1.0' | grep -q '^Content-Type: text/plain; version=0.0.4'
	ask 'HEAD /metrics HTTP/1.0' >"$BATS_TEST_TMPDIR/answer"
	is 'no body' 0 "$(sed '1,/^\r$/d' "$BATS_TEST_TMPDIR/answer" | wc -c)"
	ask 'GET /secret HTTP/1.0' | grep -q '^HTTP/1.0 404 '
	ask 'POST /metrics HTTP/1.0' | grep -q '^HTTP/1.0 405 '
	printf 'nonsense' | isle metrics --http | grep -q '^HTTP/1.0 400 '
	head -c 20000 /dev/zero | tr '\0' x | isle metrics --http | grep -q '^HTTP/1.0 400 '
}

@test "metrics: a real scrape over the socket" {
	needs systemd-socket-activate
	needs curl
	make_guest a
	isle start a
	systemd-socket-activate --accept --inetd -l 127.0.0.1:9767 -E ISLE_PATH -E ISLE_TEMPLATES "$ISLE" metrics --http \
		>"$BATS_TEST_TMPDIR/log" 2>&1 3>&- &
	server=$!
	wait_until 10 curl -s -o "$BATS_TEST_TMPDIR/body" 127.0.0.1:9767/metrics
	kill "$server"
	grep -q '^isle_guest_state{guest="a",state="running"} 1' "$BATS_TEST_TMPDIR/body" || flunk "$(cat "$BATS_TEST_TMPDIR/log")"
}
