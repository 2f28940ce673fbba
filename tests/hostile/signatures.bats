#!/usr/bin/env bats
# Mirrors that are not Debian's: what has no signature, a stranger's, or was changed afterwards is not installed.
load lib
bats_require_minimum_version 1.5.0

setup_file() {
	local folder=$BATS_FILE_TMPDIR/mirror/dists/bookworm
	command -v debootstrap >/dev/null || return 0
	mkdir -p "$folder/main/binary-amd64"
	: >"$folder/main/binary-amd64/Packages"
	gzip -k "$folder/main/binary-amd64/Packages"
	release >"$folder/Release"
}
setup() {
	needs debootstrap
	mirror=$BATS_FILE_TMPDIR/mirror
	before
}
teardown() {
	isle destroy -q --force evil 2>/dev/null || :
	same_host
}
teardown_file() { end_of_file; }

release() {
	local file
	printf 'Origin: Debian\nLabel: Debian\nSuite: oldstable\nCodename: bookworm\nArchitectures: amd64\nComponents: main\nDate: Sat, 01 Jan 2028 00:00:00 UTC\nSHA256:\n'
	for file in main/binary-amd64/Packages main/binary-amd64/Packages.gz; do
		printf ' %s %s %s\n' "$(sha256sum <"$BATS_FILE_TMPDIR/mirror/dists/bookworm/$file" | cut -d' ' -f1)" "$(stat -c %s "$BATS_FILE_TMPDIR/mirror/dists/bookworm/$file")" "$file"
	done
}

# refused WORDS...: a create from the mirror fails, with one of the words (of debootstrap's) in its reason.
refused() {
	local word words=("$@")
	run timeout 100 "$ISLE" create -v evil -t debian -- --release bookworm --arch amd64 --mirror "file://$mirror" "${options[@]}"
	[[ $status -ne 0 && $status -ne 124 ]] || flunk "status $status: $output"
	for word in "${words[@]}"; do
		[[ ${output,,} != *"${word,,}"* ]] || return 0
	done
	flunk "another reason: $output"
}

@test "signatures: a mirror without a signature is refused" {
	options=()
	rm -f "$mirror/dists/bookworm/InRelease" "$mirror/dists/bookworm/Release.gpg"
	refused 'release signature' 'release.gpg' 'inrelease' 'signature'
}

# With the stranger's key as keyring the same mirror gets past the signature, and fails for its lack of packages: so it was the signature
# that was refused before.
@test "signatures: a stranger's key and a Release that was changed after it was signed are refused" {
	needs gpg
	export GNUPGHOME=$BATS_TEST_TMPDIR/gpg
	mkdir -m 0700 "$GNUPGHOME"
	gpg --batch --quiet --passphrase '' --quick-gen-key stranger@example.org ed25519 sign never 2>/dev/null 3>&-
	gpg --batch --quiet --export >"$BATS_TEST_TMPDIR/stranger.gpg" 3>&-
	rm -f "$mirror/dists/bookworm/InRelease"
	gpg --batch --quiet --yes --armor --detach-sign --output "$mirror/dists/bookworm/Release.gpg" "$mirror/dists/bookworm/Release" 3>&-
	gpg --batch --quiet --yes --clearsign --output "$mirror/dists/bookworm/InRelease" "$mirror/dists/bookworm/Release" 3>&-
	options=()
	refused 'unknown key' 'signature'
	options=(--keyring "$BATS_TEST_TMPDIR/stranger.gpg")
	run timeout 100 "$ISLE" create -v evil -t debian -- --release bookworm --arch amd64 --mirror "file://$mirror" "${options[@]}"
	[ "$status" -ne 0 ]
	says_not 'unknown key'
	[[ ${output,,} == *"valid release signature"* || ${output,,} == *"couldn't find these debs"* || ${output,,} == *required* ]] || flunk "the key is not taken: $output"
	sed -i 's/^Suite: oldstable/Suite: unstable/' "$mirror/dists/bookworm/Release" "$mirror/dists/bookworm/InRelease"
	refused 'invalid' 'signature' 'bad'
	gpgconf --kill all 3>&- 2>/dev/null || :
}
