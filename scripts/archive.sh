# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Functions that read an archive of Debian. They run apt with a configuration and with directories that are
# in the cache. So any user can run them on any machine with apt, and an interrupted download resumes.
# If the network fails, the user sees apt's messages. scripts/setup and scripts/package-root source this
# file.
#
# shellcheck disable=SC2154 # $mode and $architecture, which setup sets

keyring=/usr/share/keyrings/debian-archive-keyring.gpg

# Prints the mirror from which the host gets Debian's packages. Prints nothing if the host is not Debian.
host_mirror() {
	command -v apt-get >/dev/null || return 0
	# shellcheck disable=SC2016 # apt expands it
	apt-get indextargets --format '$(CREATED_BY)|$(ORIGIN)|$(CODENAME)|$(REPO_URI)' 2>/dev/null |
		awk -F'|' '$1 == "Packages" && $2 == "Debian" && $3 !~ /-(security|backports|updates)/ { print $4; exit }'
}

# archive_mirror SUITE: prints the mirror to fetch SUITE from. Fails with a message if it finds none.
archive_mirror() {
	local mirror=${NLDEMO_MIRROR:-$(host_mirror)}
	# If the host has no mirror, this takes the mirror that mmdebstrap would choose. The hook prints it, and
	# stops mmdebstrap.
	# shellcheck disable=SC2016 # the hook's own shell expands it
	[[ $mirror ]] || mirror=$(mmdebstrap --variant=custom --skip=update --setup-hook='cat "$1/etc/apt/sources.list" >&3; exit 1' \
		"--mode=$mode" "$1" - 3>&1 >/dev/null 2>&1 | awk -v suite="$1" '$1 == "deb" { for (i = 2; i < NF; i++) if ($(i + 1) == suite) { print $i; exit } }') || true
	[[ $mirror ]] || die "cannot tell which Debian mirror to use; name one with NLDEMO_MIRROR=URL"
	echo "$mirror"
}

# use_archive NAME SUITE...: after this call apt() reads these suites, and keeps its files in the directory
# NAME of the cache.
use_archive() {
	local mirror suite list
	apt_dir=$CACHE/apt/$1
	list=$apt_dir/sources.list
	shift
	mkdir -p "$apt_dir/lists/partial" "$apt_dir/archives/partial" "$apt_dir/kernels"
	: >"$apt_dir/status"
	mirror=$(archive_mirror "$1") || exit
	for suite; do printf "deb [signed-by=$keyring] %s %s main\n" "$mirror" "$suite"; done >"$list"
	# Only the kernel comes from backports. The pin uses the suite's codename (n=), because backports of other
	# suites can have the same archive name (a=).
	printf '%s\n' 'Package: src:linux src:linux-signed-amd64 linux-*' 'Pin: release n=trixie-backports' \
		'Pin-Priority: 900' >"$apt_dir/preferences"
	{
		# This takes the host's proxy and timeouts. The rest of the host's configuration is left out: its hooks
		# would run, and its pins would apply.
		apt-config dump --no-empty Acquire | grep -v '^Acquire::IndexTargets' || true
		cat <<-EOF
			Acquire::http::Proxy::127.0.0.1 "DIRECT";
			Dir::Etc::main "/dev/null";
			Dir::Etc::parts "/dev/null";
			Dir::Etc::sourcelist "$list";
			Dir::Etc::sourceparts "/dev/null";
			Dir::Etc::preferences "$apt_dir/preferences";
			Dir::Etc::preferencesparts "/dev/null";
			Dir::State::lists "$apt_dir/lists";
			Dir::State::status "$apt_dir/status";
			Dir::Cache "$apt_dir";
			Dir::Cache::archives "$apt_dir/archives";
			APT::Architecture "amd64";
			APT::Architectures { "amd64"; $([[ $architecture == amd64 ]] || echo "\"$architecture\";") };
			APT::Install-Recommends "false";
			APT::Sandbox::User "root";
			APT::Update::Error-Mode "any";
			Acquire::Languages "none";
			Acquire::Retries "3";
		EOF
	} >"$apt_dir/apt.conf"
}

apt() { APT_CONFIG=$apt_dir/apt.conf "$@"; }

# essential ARCHITECTURE: prints apt's pattern for the essential packages. It names the architecture, because
# apt 2.6 takes no package for "?architecture(native)".
essential() { echo "?essential ?architecture($1)"; }

update_lists() {
	local log=$CACHE/log/download.log
	say "downloading the package lists"
	apt apt-get update >"$log" 2>&1 && return
	compgen -G "$apt_dir/lists/*Packages*" >/dev/null ||
		explain_failure "$log" "apt-get update" || exit 1
	say "cannot update the package lists (see $log); using the lists of the last update"
}

# megabytes DIR <URIS: prints the size of those files that are not in DIR yet. URIS is the output of apt's
# --print-uris.
megabytes() {
	local uri file size _ sum=0
	while read -r uri file size _; do
		[[ $uri != \'* || -f $1/$file ]] || sum=$((sum + size))
	done
	echo "$(((sum + 999999) / 1000000)) MB"
}
