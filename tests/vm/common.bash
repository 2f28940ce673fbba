# What the recipes of tests/vm/pieces share.
# shellcheck shell=bash
set -eu

# The machine's own mirror, as apt has it: KIND is main or security.
mirror() {
	local uri release label
	# A list that was never fetched has no label: then the address must tell.
	apt-get indextargets --format '$(REPO_URI) $(RELEASE) $(LABEL)' 'Created-By: Packages' | while read -r uri release label; do
		case $1/$release/$label/$uri in
		security/*-security/Debian-Security/* | security/*-security/\$*/*debian-security/) ;;
		security/* | */*-*/*) continue ;;
		main/*/Debian/* | main/*/\$*/*debian/) ;;
		*) continue ;;
		esac
		printf '%s\n' "$uri"
	done | head -n 1
}

# The lines of a sources.list for SUITE.
sources() {
	local main security
	main=$(mirror main)
	[ -n "$main" ] || { echo "apt's configuration names no mirror of Debian" >&2 && return 1; }
	printf 'deb %s %s main\n' "$main" "$1"
	[ "$1" != sid ] || return 0
	printf 'deb %s %s-updates main\n' "$main" "$1"
	security=$(mirror security)
	[ -z "$security" ] || printf 'deb %s %s-security main\n' "$security" "$1"
}

# bootstrap SUITE FOLDER OPTION...: mmdebstrap as all recipes want it.
bootstrap() {
	local suite=$1 folder=$2
	shift 2
	command -v mmdebstrap >/dev/null || { echo 'mmdebstrap is missing: apt-get install mmdebstrap' >&2 && return 1; }
	# A mirror may stand still at a day: its Release files have then expired.
	sources "$suite" | mmdebstrap --mode=root --dpkgopt=force-unsafe-io --dpkgopt='path-exclude=/usr/share/man/*' \
		--dpkgopt='path-exclude=/usr/share/doc/*' --dpkgopt='path-exclude=/usr/share/locale/*' \
		--aptopt='Acquire::Languages "none"' --aptopt='Acquire::Check-Valid-Until "false"' \
		--aptopt='APT::Install-Recommends "false"' "$@" "$suite" "$folder"
}
