#!/usr/bin/env bats
# isle checkpoint of Debian with nginx, redis, postgresql, mariadb and rsyslog at work: with E2E_PACKAGES=yes, since they are fetched.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	[ "$E2E_PACKAGES" = yes ] && [ "$E2E_DEBIAN" = yes ] && has_criu || return 0
	make_debian one --set "mount.packages.source=$E2E_ROOT/packages" --set mount.packages.target=/srv/packages --set mount.packages.options=ro,create=dir
	chmod 711 "$E2E_ROOT"
	isle start --wait --timeout 120 one
	isle exec one -- sh -c 'rm -rf /etc/apt/sources.list.d/*; echo "deb [trusted=yes] file:/srv/packages ./" >/etc/apt/sources.list; apt-get -q update'
	# shellcheck disable=SC2086 # words
	isle exec --env DEBIAN_FRONTEND=noninteractive one -- apt-get -q install -y $E2E_SERVERS >"$E2E_ROOT/install.log" 2>&1 || {
		tail -n 20 "$E2E_ROOT/install.log" >&2
		return 1
	}
	isle exec one -- sh -c '
		su postgres -c "createdb rows" && su postgres -c "psql -qc \"create table t (n int primary key)\" rows"
		mariadb -e "create database kept; create table kept.t (n int primary key) engine=innodb"'
}

setup() {
	needs_criu
	needs_debian
	[ "$E2E_PACKAGES" = yes ] || skip "packages to install were not asked for (E2E_PACKAGES=$E2E_PACKAGES)"
}

teardown_file() { end_of_file; }

# One client each, with one connection for all: numbers from 1 up, the next when the last was taken.
begin_clients() {
	isle exec one -- sh -c '
		mkfifo /tmp/pg /tmp/my /tmp/re
		su postgres -c "psql -qAt -v ON_ERROR_STOP=1 rows" </tmp/pg >/tmp/pg.out 2>/tmp/pg.err &
		mariadb --batch --silent --unbuffered kept </tmp/my >/tmp/my.out 2>/tmp/my.err &
		redis-cli </tmp/re >/tmp/re.out 2>/tmp/re.err &
		for kind in pg my re; do
			(exec >/tmp/$kind; i=0
			while :; do
				i=$((i + 1))
				case $kind in
				re) echo "rpush t $i" ;;
				*) echo "insert into t values ($i);" ;;
				esac
				sleep 0.05
			done) &
		done
		(i=0; while :; do i=$((i + 1)); logger -t rows "row $i"; sleep 0.2; done) &
		echo begun' </dev/null
}

rows() {
	case $1 in
	postgresql) isle exec one -- su postgres -c 'psql -qAtc "select count(*), min(n), max(n) from t" rows' | tr '|' ' ' ;;
	mariadb) isle exec one -- mariadb --batch --skip-column-names -e 'select count(*), min(n), max(n) from kept.t' | tr '\t' ' ' ;;
	redis) isle exec one -- redis-cli eval 'return redis.call("llen", "t") .. " " .. redis.call("lindex", "t", 0) .. " " .. redis.call("lindex", "t", -1)' 0 ;;
	rsyslog) isle exec one -- awk '/ rows: row /{ n++; if (n == 1) min = $NF; max = $NF } END { print n, min, max }' /var/log/syslog ;;
	esac
}

# Rows come in without a gap.
grows() {
	local before after
	before=$(rows "$1")
	more() { after=$(rows "$1") && [ "${after%% *}" -gt "${before%% *}" ]; }
	wait_until 30 more "$1"
	is "rows of $1" "${after%% *} 1 ${after%% *}" "$after"
}

@test "servers: nothing that is written is lost over sleeps in a row" {
	local unit number
	begin_clients
	# Of its own accord nginx ends a connection on which nobody has asked for a minute.
	isle exec one -- sh -c 'echo "client_header_timeout 1h;" >/etc/nginx/conf.d/patience.conf && systemctl reload nginx'
	exec 5<>"/dev/tcp/$(address one)/80"
	for unit in postgresql mariadb redis rsyslog; do grows "$unit"; done
	for number in $(seq "${E2E_CYCLES:-3}"); do
		works isle checkpoint one
		printf '# servers, %s: %s; load %s\n' "$number" "${output#*, }" "$(cut -d' ' -f1 /proc/loadavg)" >&3
		isle start one
		for unit in nginx redis-server postgresql@15-main mariadb rsyslog; do
			is "$unit" active "$(isle exec one -- systemctl is-active "$unit")"
		done
		for unit in postgresql mariadb redis rsyslog; do grows "$unit"; done
		is errors '' "$(isle exec one -- sh -c 'cat /tmp/*.err')"
	done
	# The connection was made before all of them.
	printf 'GET / HTTP/1.0\r\n\r\n' >&5
	run timeout 10 cat <&5
	says 'Welcome to nginx'
	exec 5>&-
	is 'failed units' '' "$(isle exec one -- systemctl --failed --no-legend --plain)"
	isle exec one -- systemctl restart postgresql@15-main mariadb redis-server nginx rsyslog
	is system running "$(isle exec one -- systemctl is-system-running)"
}
