#!/usr/bin/env bash
# Installs fleet-agent from a GitHub release on this server, or upgrades it, which is the same.
#
#   curl -fsSL https://github.com/OWNER/NAME/releases/latest/download/install.sh | sudo bash
#   ... | sudo bash -s -- [VERSION] [--console URL] [--token TOKEN]
#
#   VERSION           1.2.0; the newest release where none is given
#   --console URL     where this server's console is: written to /etc/fleet-agent/agent.env
#   --token TOKEN     what this server joins it with: likewise. Or FLEET_JOIN_TOKEN in the environment, which no other
#                     user of this server can see
#
# What is downloaded is compared with the release's SHA256SUMS. Settings that are there already are kept.
# FLEET_REPOSITORY (OWNER/NAME) says whose releases these are; the copy of this script in a release knows it.
# FLEET_API_URL and FLEET_DOWNLOAD_URL name a mirror in place of https://api.github.com and https://github.com.
set -euo pipefail

repository=${FLEET_REPOSITORY:-}
api=${FLEET_API_URL:-https://api.github.com}
downloads=${FLEET_DOWNLOAD_URL:-https://github.com}
settings=/etc/fleet-agent/agent.env
folder='' why=''

die() {
	printf 'install.sh: %s\n' "$*" >&2
	exit 1
}

check_system() {
	local id='' like=''
	[ "$(id -u)" = 0 ] || die "must be run as root: ... | sudo bash"
	if [ -r /etc/os-release ]; then
		# shellcheck disable=SC1091 # not ours
		id=$(. /etc/os-release && printf '%s' "${ID:-}") like=$(. /etc/os-release && printf '%s' "${ID_LIKE:-}")
	fi
	case " $id $like " in
	*" debian "* | *" ubuntu "*) ;;
	*) die "this is ${id:-an unknown system}; there are packages for Debian and Ubuntu on amd64 alone" ;;
	esac
	command -v dpkg >/dev/null || die "this system has no dpkg"
	[ "$(dpkg --print-architecture)" = amd64 ] ||
		die "this is $(dpkg --print-architecture); there are packages for Debian and Ubuntu on amd64 alone"
	command -v curl >/dev/null || die "curl is missing: apt-get install curl"
}

get() { # get URL FILE HINT; leaves in $why what curl says of a failure, and the hint where there is a server that refused
	why=$(curl --fail --silent --show-error --location --retry 3 --connect-timeout 20 --max-time 900 --output "$2" "$1" 2>&1) && return 0
	why=${why##*$'\n'}
	why=${why#curl: }
	case $why in "(22)"*) why="$why; $3" ;; esac
	return 1
}

newest_version() {
	local tag
	get "$api/repos/$repository/releases/latest" "$folder/latest.json" "name a version: ... | sudo bash -s -- 1.2.0" ||
		die "cannot ask $api for the newest release of $repository: $why"
	tag=$(tr ',{}' '\n' <"$folder/latest.json" | sed -n 's/^[[:space:]]*"tag_name"[[:space:]]*:[[:space:]]*"v\{0,1\}\([^"]*\)".*/\1/p' | head -n 1)
	[ -n "$tag" ] || die "$api does not say which release of $repository is the newest"
	printf '%s' "$tag"
}

download() { # download VERSION: the package, compared; prints its path
	local name=fleet-agent_$1_amd64.deb from=$downloads/$repository/releases/download/v$1 sum
	get "$from/$name" "$folder/$name" "is there a version $1?" || die "cannot download $from/$name: $why"
	[ -s "$folder/$name" ] || die "$from/$name is empty"
	get "$from/SHA256SUMS" "$folder/SHA256SUMS" "the release is not whole" ||
		die "cannot download $from/SHA256SUMS, which tells whether $name is whole: $why"
	sum=$(awk -v name="$name" '$2 == name || $2 == "*" name { print $1 }' "$folder/SHA256SUMS")
	[ -n "$sum" ] || die "SHA256SUMS of version $1 does not name $name"
	printf '%s  %s\n' "$sum" "$folder/$name" | sha256sum --check --status ||
		die "$name is not what the release says it is (its SHA-256 is not $sum); nothing was installed"
	printf '%s' "$folder/$name"
}

# A file of settings that the admin has changed stays as it is, and nobody is asked.
install_package() { # install_package FILE VERSION
	export DEBIAN_FRONTEND=noninteractive
	if ! dpkg --force-confold -i "$1" </dev/null; then
		echo "install.sh: apt brings what is missing"
		apt-get update -q </dev/null || true
		apt-get install -q -y --fix-broken --no-install-recommends -o Dpkg::Options::=--force-confold </dev/null || true
	fi
	[ "$(dpkg-query -W -f '${db:Status-Abbrev}${Version}' fleet-agent 2>/dev/null)" = "ii $2" ] ||
		die "fleet-agent $2 could not be installed; the reason is told above"
}

# Puts KEY=VALUE where the file has it (or has it as an example), else at its end. Owner and mode of the file stay.
set_setting() { # set_setting KEY VALUE
	KEY=$1 VALUE=$2 awk '
		BEGIN { key = ENVIRON["KEY"]; line = key "=" ENVIRON["VALUE"] }
		!done && ($0 ~ "^[[:space:]]*" key "=" || $0 ~ "^#" key "=") { print line; done = 1; next }
		$0 ~ "^[[:space:]]*" key "=" { next }
		{ print }
		END { if (!done) print line }' "$settings" >"$folder/agent.env"
	cat "$folder/agent.env" >"$settings"
}

main() {
	local version='' console='' token=${FLEET_JOIN_TOKEN:-} package
	while [ $# -gt 0 ]; do
		case $1 in
		--console | --token)
			[ $# -ge 2 ] || die "$1 wants a value"
			if [ "$1" = --console ]; then console=$2; else token=$2; fi
			shift 2
			;;
		-*) die "no option $1; there are --console URL and --token TOKEN" ;;
		*)
			[ -z "$version" ] || die "one version, please: '$version' or '$1'?"
			version=${1#v}
			shift
			;;
		esac
	done
	[[ -z $console || $console =~ ^https?://[][A-Za-z0-9._:/-]+$ ]] || die "'$console' is no console's address: https://console.example.com"
	[[ -z $token || $token =~ ^[][A-Za-z0-9._:/+=@-]+$ ]] || die "the token holds characters that no token has"
	[[ $repository =~ ^[A-Za-z0-9_.-]+/[A-Za-z0-9_.-]+$ ]] || die "say whose releases to install: FLEET_REPOSITORY=OWNER/NAME"
	check_system

	umask 077
	folder=$(mktemp -d /tmp/fleet-install.XXXXXX)
	trap 'rm -rf "$folder"' EXIT
	[ -n "$version" ] || version=$(newest_version)
	[[ $version =~ ^[0-9]+\.[0-9]+\.[0-9]+([+~.-][A-Za-z0-9.+~-]+)?$ ]] || die "'$version' is no version; it looks like 1.2.0"
	echo "install.sh: fleet-agent $version of $repository"
	package=$(download "$version")
	install_package "$package" "$version"

	if [ -n "$console" ]; then set_setting FLEET_CONSOLE_URL "$console"; fi
	if [ -n "$token" ]; then set_setting FLEET_JOIN_TOKEN "$token"; fi
	if [ -d /run/systemd/system ]; then
		if [ -n "$console$token" ]; then systemctl restart fleet-agent.service; fi
		systemctl --no-pager --lines=0 status fleet-agent.service || true
	fi
	if ! grep -q '^[[:space:]]*FLEET_CONSOLE_URL=.' "$settings"; then
		printf '\nNow say where the console is: edit %s, then: systemctl restart fleet-agent\n' "$settings"
	fi
}

# The last line, so that half a script does nothing.
main "$@"
