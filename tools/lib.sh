# What the tools share: the Debian packages that isle needs, and a clean copy of the sources. Sourced by bash, never run.
# shellcheck shell=bash disable=SC2034

# To build isle from a clean clone.
mapfile -t packages_build < <(tr -s " " "\n" <"${BASH_SOURCE[0]%/*}/packages-build")
# To make and run guests.
packages_run=(
	libnftables1 debootstrap debian-archive-keyring gpgv ca-certificates busybox-static
)
# To check a change, beside both lists above.
packages_test=(
	git clang clang-format clang-tidy shellcheck codespell python3 libcmocka-dev
	bats nftables iproute2 e2fsprogs btrfs-progs libarchive-tools jq
	lxcfs tmux curl strace python3-prometheus-client zstd nbdkit libnbd-bin
)
# To make the VMs of tests/vm.
packages_vm=(
	mmdebstrap erofs-utils kmod e2fsprogs libarchive-tools openssh-client python3
)

say() {
	printf '%s\n' "$*"
}

# Those of the packages named that are not installed, in the array `missing`.
packages_missing() {
	local name

	missing=()
	for name; do
		[ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] || missing+=("$name")
	done
}

# Installs what is missing of the packages named.
packages_install() {
	if ! command -v dpkg-query >/dev/null; then
		say "no Debian: the packages are taken to be there"
		return 0
	fi
	packages_missing "$@"
	if [ "${#missing[@]}" -eq 0 ]; then
		say "all there"
		return 0
	fi
	say "missing: ${missing[*]}"
	if [ "$(id -u)" -ne 0 ]; then
		say "install them as root, or run this as root"
		return 1
	fi
	export DEBIAN_FRONTEND=noninteractive
	apt-get -q update || say "apt-get update failed, going on with the lists that are there"
	apt-get -q -y --no-install-recommends install "${missing[@]}"
}

# Copies the sources in TOP to the new folder COPY: what git knows and new files, but no build results.
copy_source() {
	local top=$1 copy=$2 lists

	mkdir "$copy" && lists=$(mktemp -d) || return 1
	if [ -e "$top/.git" ] && command -v git >/dev/null; then
		# The clone may be another user's: reading it is harmless.
		git -c safe.directory='*' -C "$top" ls-files -z --cached --others --exclude-standard >"$lists/all" || return 1
	else
		(cd "$top" && find . \( -name .git -o -name autom4te.cache -o -name .deps \) -prune -o \
			\( -type f -o -type l \) ! -name '*.[oa]' ! -path ./config.status ! -path ./Makefile ! -path ./config.h \
			! -path ./isle ! -path ./isle-monitor -print0) >"$lists/all" || return 1
	fi
	# A file that is deleted but not yet committed is in git's list all the same.
	(cd "$top" && while IFS= read -r -d '' file; do
		if [ -e "$file" ] || [ -L "$file" ]; then printf '%s\0' "$file"; fi
	done <"$lists/all" >"$lists/there") || return 1
	tar -C "$top" --null --no-recursion --verbatim-files-from -T "$lists/there" -cf - | tar -C "$copy" --no-same-owner -xf - || return 1
	rm -rf "$lists"
}
