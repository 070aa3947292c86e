#!/usr/bin/env bash
# Makes the release of a tag at GitHub from what the other jobs have built.
#
#   packaging/release.sh VERSION DIR [--dry-run]    DIR: the packages and archives; GITHUB_REPOSITORY says whose release
#
# Beside these files a release has SHA256SUMS, which names them all, and install.sh, which knows whose release it is.
# --dry-run makes the two and leaves the rest.
set -euo pipefail
root=$(cd "$(dirname "${BASH_SOURCE[0]}")/.." && pwd)

die() {
	printf 'release: %s\n' "$*" >&2
	exit 1
}

[ $# -ge 2 ] || die "usage: packaging/release.sh VERSION DIR [--dry-run]"
version=$1 dir=$2
: "${GITHUB_REPOSITORY:?OWNER/NAME of the repository at GitHub}"
cd "$dir"
[ -s "fleet-agent_${version}_amd64.deb" ] || die "$dir has no fleet-agent_${version}_amd64.deb"
[ -s fleetctl-linux-x64.tar.gz ] || die "$dir has no fleetctl-linux-x64.tar.gz"
sed "s|^repository=.*|repository=\${FLEET_REPOSITORY:-$GITHUB_REPOSITORY}|" "$root/scripts/install.sh" >install.sh
grep -q ":-$GITHUB_REPOSITORY}" install.sh || die "install.sh does not say any more where its releases are"
rm -f SHA256SUMS
mapfile -t files < <(find . -maxdepth 1 -type f -printf "%f\n" | LC_ALL=C sort)
sha256sum -- "${files[@]}" >SHA256SUMS
cat SHA256SUMS
[ "${3:-}" != --dry-run ] || exit 0
gh release create "v$version" --verify-tag --title "v$version" --generate-notes -- *
