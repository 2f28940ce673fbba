# The images that tests find: how tests/e2e/place makes them, or takes them from a cache. Sourced by it; what it exports is used here.
# shellcheck shell=bash
# tests/vm/images makes a new set when this file changes.

export E2E_WANTED='openssh-server sudo cron iputils-ping nftables logrotate nginx postgresql'
export E2E_SERVERS='nginx redis-server postgresql mariadb-server rsyslog'

# Builds an image by way of a guest that is destroyed again: NAME OPTION... -- TEMPLATE-OPTION...
build_image() {
	local name=$1
	shift
	"$ISLE" create "$name" "$@" >"$E2E_ROOT/$name.log" 2>&1 || return 1
	"$ISLE" destroy "$name" >>"$E2E_ROOT/$name.log" 2>&1
}

# A Debian image, from the cache where that has a good one: RELEASE PACKAGES. The log is in prepare-RELEASE.log.
cached_debian() {
	local cache=${E2E_CACHE:-/var/cache/isle-e2e} copy=(cp -a --reflink=auto) new=() image status=0

	if [ "$cache" != no ] && mkdir -p "$cache" && chmod 0700 "$cache"; then
		exec 8>"$cache/.lock"
		flock 8 # two runs at once would build it twice
		[ "${E2E_LINK:-no}" != yes ] || copy=(cp -a --link)
		find "$cache" -mindepth 1 -maxdepth 1 -name "debian-$1-*" -exec "${copy[@]}" -t "$ISLE_PATH/images" {} +
	fi
	printf '# making the Debian image\n' >&2
	if build_image "prepare-$1" -t debian -- --release "$1" ${2:+--packages "$2"}; then
		if [ "$cache" != no ]; then
			for image in "$ISLE_PATH/images/debian-$1"-*; do
				[ -e "$cache/${image##*/}" ] || new+=("$image")
			done
			# Had a cached one been good, there were no new one; of what a run with other wishes made nobody knows here.
			[ "${#new[@]}" -eq 0 ] || [ "$E2E_DOCKER${E2E_RELEASES-}" != no ] || rm -rf "$cache/debian-$1"-*
			[ "${#new[@]}" -eq 0 ] || "${copy[@]}" -t "$cache" "${new[@]}"
		fi
	else
		printf '# no Debian image:\n' >&2
		sed 's/^/#   /' "$E2E_ROOT/prepare-$1.log" >&2
		status=1
	fi
	exec 8>&-
	return "$status"
}

# Releases beside bookworm. A VM has no network, and the images that were made for it are only brought in.
cached_releases() {
	local release known=()

	if [ "${ISLE_VM-}" = 1 ]; then
		[ "$E2E_DOCKER" = no ] || known=(! -name 'debian-trixie-*') # of which there are two then, and both are brought in below
		[ ! -d "${E2E_CACHE-}" ] || find "$E2E_CACHE" -mindepth 1 -maxdepth 1 -name 'debian-*' ! -name 'debian-bookworm-*' "${known[@]}" \
			-exec cp -a --link -t "$ISLE_PATH/images" {} +
		return
	fi
	for release in ${E2E_RELEASES-}; do
		cached_debian "$release" '' || return 1
	done
}

build_debian() {
	cached_debian bookworm openssh-server || E2E_DEBIAN="no: $(tail -n 1 "$E2E_ROOT/prepare-bookworm.log")"
	cached_releases || exit 1
	[ "$E2E_DOCKER" = no ] || cached_debian trixie docker.io,docker-cli,iptables,busybox-static ||
		E2E_DOCKER="no: $(tail -n 1 "$E2E_ROOT/prepare-trixie.log")"
	[ "$E2E_PACKAGES" = no ] || [ "$E2E_DEBIAN" != yes ] || fetch_packages >"$E2E_ROOT/packages.log" 2>&1 ||
		E2E_PACKAGES="no: $(tail -n 1 "$E2E_ROOT/packages.log")"
}

# What a guest of the Debian image installs is fetched by the image's own apt, into a folder that is an archive: packages.
fetch_packages() {
	local kept=${E2E_CACHE:-/var/cache/isle-e2e}/packages image=("$ISLE_PATH"/images/debian-bookworm-*) folder=$E2E_ROOT/packages deb
	local wanted="$E2E_WANTED $E2E_SERVERS"

	mkdir "$folder"
	if [ "${E2E_CACHE-}" = no ] || ! [ "$kept/Packages" -nt "${image[0]}" ] || [ "$(cat "$kept/wanted")" != "$wanted" ]; then
		# shellcheck disable=SC2016 # for the shell inside
		unshare --mount --propagation private -- sh -euc '
			mount -t tmpfs none /mnt
			mkdir /mnt/up /mnt/work /mnt/root
			mount -t overlay -o "lowerdir=$1/rootfs,upperdir=/mnt/up,workdir=/mnt/work" none /mnt/root
			mount --rbind /dev /mnt/root/dev
			mount -t proc none /mnt/root/proc
			rm -f /mnt/root/etc/resolv.conf
			cat /etc/resolv.conf >/mnt/root/etc/resolv.conf
			cat /etc/hosts >/mnt/root/etc/hosts
			mkdir -p /mnt/root/mnt/debs/partial
			mount --bind "$2" /mnt/root/mnt/debs
			mkdir /mnt/root/mnt/debs/partial
			apt() { chroot /mnt/root apt-get -q -o APT::Sandbox::User=root -o Dir::Cache::archives=/mnt/debs/ "$@"; }
			apt update
			apt install -y --download-only $3' sh "${image[0]}" "$folder" "$wanted" || return 1
		rm -rf "$folder/partial" "$folder/lock"
		printf '%s' "$wanted" >"$folder/wanted"
		(
			cd "$folder" || exit 1
			for deb in *.deb; do
				dpkg-deb --field "$deb" &&
					printf 'Filename: ./%s\nSize: %s\nSHA256: %s\n\n' "$deb" "$(stat -c %s "$deb")" "$(sha256sum "$deb" | cut -d' ' -f1)"
			done >Packages
		) || return 1
		if [ "${E2E_CACHE-}" != no ]; then
			rm -rf "$kept"
			cp -a "$folder" "$kept"
		fi
	else
		cp -a "$kept/." "$folder"
	fi
}
