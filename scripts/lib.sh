# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Functions that the scripts in this folder share: a known environment, messages, the cache, locks, the
# workspace of each kernel. Source this file after `set -euo pipefail`.

# The variables of the user's environment that every program gets, also a program in the workspace.
ENVIRONMENT=(TERM COLORTERM NO_COLOR COLUMNS CI RUST_BACKTRACE SOURCE_DATE_EPOCH V W TZ
	http_proxy https_proxy no_proxy HTTP_PROXY HTTPS_PROXY NO_PROXY all_proxy ALL_PROXY
	"${!CARGO_NET_@}" "${!CARGO_HTTP_@}" "${!CARGO_TERM_@}" "${!CARGO_REGISTRIES_@}" "${!CARGO_SOURCE_@}")

# A script starts again with only these variables, and those that say where things are on the machine (PATH,
# HOME, ...). Any other variable or exported function can change what a command does: CDPATH, BASH_ENV,
# GREP_OPTIONS, POSIXLY_CORRECT, GIT_DIR in a hook of git, MAKEFLAGS in another make.
if [[ ! ${NLDEMO_CLEAN-} ]]; then
	options=() environment=(NLDEMO_CLEAN=1 LC_ALL=C.UTF-8)
	[[ $- != *x* ]] || options=(-x)
	# An empty HOME must be unset: the tilde stands for the content of HOME, or, if HOME is unset, for the home
	# directory in the system's database of users.
	[[ ${HOME-} ]] || unset HOME
	HOME=${HOME:-~}
	for name in "${ENVIRONMENT[@]}" PATH HOME USER LOGNAME TMPDIR XDG_CACHE_HOME XDG_CONFIG_HOME \
		CARGO_HOME SSL_CERT_FILE "${!NLDEMO_@}" "${!PROPTEST_@}" "${!SUDO_@}"; do
		[[ ! -v $name ]] || environment+=("$name=${!name}")
	done
	exec env -i "${environment[@]}" "$BASH" "${options[@]}" -- "$0" "$@"
fi
unset NLDEMO_CLEAN # So a script that this script calls starts again, too, in a clean environment.
# All users must be able to read the built files: in a guest, not only the owner reads them.
umask 022

CHECKOUT=$(cd -P -- "$(dirname -- "${BASH_SOURCE[0]}")/.." && pwd)
PROG=$(cd -P -- "$(dirname -- "$0")" && pwd)/${0##*/}
PROG=${PROG#"$CHECKOUT"/}
CACHE=${NLDEMO_CACHE:-${XDG_CACHE_HOME:-$HOME/.cache}/rust_nldemo}
START=${EPOCHREALTIME/[.,]/}
# shellcheck source=scripts/kernels.sh
. "$CHECKOUT/scripts/kernels.sh"

# A script that fails always prints a message. With -E, functions and subshells inherit the trap.
set -E
trap 'note "stopped, because this command failed with status $?: $BASH_COMMAND (${BASH_SOURCE[0]##*/} line $LINENO)"' ERR

say() { # prints what the script does next, after the seconds since it started
	local now=${EPOCHREALTIME/[.,]/}
	printf '[%3ds] %s\n' $(((now - START) / 1000000)) "$*" >&2
}

note() { printf '%s: %s\n' "$PROG" "$*" >&2; }

die() {
	note "$@"
	exit 1
}

usage_error() {
	note "$@"
	note "try '$PROG --help'"
	exit 2
}

# TMPDIR becomes part of the paths of mounts and checkouts. So it must be a plain path.
if [[ -v TMPDIR && ! ($TMPDIR == /* && $TMPDIR != *[[:space:]:\\\"\',]* && -d $TMPDIR && -w $TMPDIR) ]]; then
	note "TMPDIR '$TMPDIR' is not a writable directory, or its path is not absolute or has white space or one of : \\ \" ' ,; /tmp is used instead"
	unset TMPDIR
fi

# The help text of a script is the comment block at its top.
help_text() { sed -n '4,/^[^#]/{/^#/!d;/^# shellcheck /d;s/^# \{0,1\}//;p}' "$0"; }

# check_paths: ends the script if the checkout or the cache has a path that kbuild or QEMU cannot use. kbuild
# and virtme's initramfs split paths at white space.
check_paths() {
	local p remedy="move the checkout"
	for p in "$CHECKOUT" "$CACHE"; do
		[[ $p != "$CACHE" ]] || remedy="set XDG_CACHE_HOME to another directory"
		case $p in
		/*[[:space:]:\\\"\',]*) die "'$p': kbuild and QEMU cannot work in a path with white space or one of : \\ \" ' , ($remedy)" ;;
		/*) ;;
		*) die "'$p' is not an absolute path (set XDG_CACHE_HOME or HOME to one)" ;;
		esac
	done
}

# lock FD FILE WHAT [-s]: waits for an exclusive or (-s) shared lock. If another run has the lock, it prints
# that the other run does WHAT.
lock() {
	mkdir -p -- "${2%/*}" || die "cannot create ${2%/*}"
	eval "exec $1>>\"\$2\"" || die "cannot write to $2"
	flock -n "${@:4}" "$1" && return
	say "waiting for another run that $3"
	flock "${@:4}" "$1" || die "cannot lock $2"
	say "the other run is done"
}

# project_files PATHSPEC...: prints the existing files of the current folder that git tracks or does not ignore,
# each with a NUL character after it.
project_files() {
	if git rev-parse --git-dir >/dev/null 2>&1; then
		git ls-files -z --cached --others --exclude-standard -- "$@"
	else
		die "this directory is not a git checkout, and only git knows which files belong to the project; use a git clone"
	fi | while IFS= read -r -d '' f; do [[ ! -f $f ]] || printf '%s\0' "$f"; done
}

# put FILE DEST: copies FILE to DEST, which is in the checkout, if they differ. DEST is replaced in one
# step, so a reader never sees a partly written file.
put() {
	local new=$CHECKOUT/build/.new.$$
	cmp -s -- "$1" "$2" && return
	cp -- "$1" "$new" && mv -f -- "$new" "$2"
}

# explain_failure LOG WHAT: prints the end of a log and a remedy. Returns 1.
explain_failure() {
	{
		echo "---- the end of $1:"
		tail -n 20 -- "$1" || true
		echo "----"
	} >&2
	if grep -q -i -e 'no space left on device' -e "don't have enough free space" -e 'disk quota exceeded' -- "$1"; then
		note "$2: the disk is full. The cache is $CACHE; free some space there (tests need about 7 GB in all) or set XDG_CACHE_HOME to a directory on another disk, then run the same command again"
	elif grep -q -E -e 'Temporary failure resolving|Could not (resolve|connect|handshake)|Cannot initiate the connection|Failed to fetch|Connection (timed out|failed|refused)|Network is unreachable|Could not wait for server' -- "$1"; then
		note "$2: the network failed. Run the same command again when the network works: finished downloads are kept"
	elif grep -q -E -e 'NO_PUBKEY|GPG error|is not signed|signatures were invalid' -- "$1"; then
		note "$2: this machine cannot check the signatures of Debian's archive; update the package debian-archive-keyring, then run the same command again"
	else
		note "$2: failed; the whole log is $1"
	fi
	return 1
}

# check_free_space MB WHAT: stops now if the disk lacks space, rather than in the middle of WHAT.
check_free_space() {
	local have dirs=("$CACHE")
	mkdir -p -- "$CACHE" || die "cannot create the cache $CACHE"
	# Inside scripts/enter, $CACHE/sdk is a separate mount, so its free space counts, too.
	[[ ! -d $CACHE/sdk ]] || dirs+=("$CACHE/sdk")
	have=$(df --output=avail -B1M -- "${dirs[@]}" | tail -n +2 | sort -n | head -n 1)
	((have >= $1)) ||
		die "$2 needs about $1 MB in $CACHE, and its disk has ${have//[[:space:]]/} MB free; free some space or set XDG_CACHE_HOME to a directory on another disk"
}

# remove_tree DIR: rm -rf that first unmounts what a killed build has left mounted there, so that it never
# follows a mount out of DIR.
remove_tree() {
	local dir=$1 m
	[[ $dir == "$CACHE"/?*/?* ]] || die "refusing to remove '$dir', which is not in the cache"
	[[ -e $dir || -L $dir ]] || return 0
	# Mounts are removed in the reverse order: a mount can be inside of an earlier one.
	while read -r m; do
		umount -- "$m" || umount -l -- "$m" || die "cannot unmount $m"
	done < <(awk -v d="$dir/" 'index($5 "/", d) == 1 { print $5 }' /proc/self/mountinfo | tac)
	# Package managers leave directories without write permission. Then rm fails until chmod has changed them.
	rm -rf --one-file-system -- "$dir" 2>/dev/null ||
		{ chmod -R u+rwX -- "$dir" && rm -rf --one-file-system -- "$dir"; } ||
		die "cannot remove $dir"
}

# remove_unlinked DIR [WHAT]: in DIR, links point to the directories that are kept. Removes links that were
# not used for two weeks, and directories without a link: a killed run left them, or another run replaced
# them. A directory in use is locked, and stays. WHAT describes the removed directories, for a message.
remove_unlinked() {
	local d linked
	find -H "$1" -maxdepth 1 -type l -mtime +14 -delete
	linked=$(find -H "$1" -maxdepth 1 -type l ! -name '*.link' -printf '%l\n')
	for d in "$1"/*; do
		if [[ -L $d ]]; then
			[[ $d != *.link ]] || rm -- "$d"
		elif [[ -d $d ]] && ! grep -qxF -- "${d##*/}" <<<"$linked"; then
			(
				exec 4<"$d"
				flock -n 4 || exit 0
				[[ ! ${2-} ]] || say "removing ${d##*/}, $2"
				remove_tree "$d"
			)
		fi
	done
}

# root_link KERNEL [TESTS]: prints the link to the finished root for a kernel. With TESTS, the root also has
# the packages that only tests need. setup replaces the link in one step. The link's name ends with a key: a
# checksum of the part of scripts/root.sh that lists the root's packages and prepares the root.
root_link() {
	local name key
	name=$(kernel_suite "$1")
	[[ $(kernel_architecture "$1") == amd64 ]] || name+=-arm64
	key=$({ sed -n '/^# <root>/,/^# <\/root>/p' "$CHECKOUT/scripts/root.sh" && echo "$name"; } | sha256sum | cut -c1-12)
	printf '%s/roots/%s%s-%s\n' "$CACHE" "$name" "${2:+-tests}" "$key"
}

# find_root KERNEL: prints the link to the root that the kernel's workspace uses. This is the root with the
# packages for tests if that root exists or if the kernel is a debug kernel, else the root without them.
find_root() {
	local link
	link=$(root_link "$1" tests)
	is_debug "$1" || [[ -d $link/. ]] || link=$(root_link "$1")
	echo "$link"
}

# guest_link KERNEL: prints the link to the root of the kernel's guests, if the kernel has another architecture
# than this machine. Guests of other kernels use the root that the kernel's modules are built in.
guest_link() {
	printf '%s/roots/%s-%s-guest-%s\n' "$CACHE" "$(kernel_suite "$1")" "$(kernel_architecture "$1")" \
		"$(sed -n '/^# <guest>/,/^# <\/guest>/p' "$CHECKOUT/scripts/guest-root.sh" | sha256sum | cut -c1-12)"
}
have_guest_root() { [[ $(kernel_architecture "$1") == amd64 || -d $(guest_link "$1")/. ]]; }

# kernel_link NAME: prints the link to the finished tree of a distribution's kernel; for a debug kernel, to
# the tree of stock. setup moves the link to the tree that it chose for NAME.
kernel_link() {
	local name=$1 key
	! is_debug "$name" || name=stock
	key=$({ tree_key && cat "$CHECKOUT/scripts/kernels.sh"; } | sha256sum | cut -c1-12)
	printf '%s/kernels/%s-%s\n' "$CACHE" "${KERNEL_ALIASES[$name]-$name}" "$key"
}
# tree_key: prints the key in the names of trees. It is a checksum of the code that makes a tree.
tree_key() { sed -n '/^# <kernel>/,/^# <\/kernel>/p' "$CHECKOUT/scripts/kernel-tree.sh" | sha256sum | cut -c1-12; }

# package_versions PATTERN FILE...: prints the versions of the packages whose names match PATTERN, from
# FILEs of dpkg's database, each as a line "NAME Version: VERSION".
package_versions() {
	local pattern=$1 file
	shift
	for file; do cat -- "$file" && echo; done |
		awk -v pattern="^Package: ($pattern)\n" 'BEGIN { RS = "" } $0 ~ pattern {
			match($0, /\nVersion: [^\n]*/)
			print $2, substr($0, RSTART + 1, RLENGTH - 1)
		}'
}

# debug_config NAME: prints the configuration of a debug kernel. The lines of a variant's
# kernels/NAME.config replace those of kernels/debug.config.
debug_config() {
	local files=("$CHECKOUT/kernels/debug.config")
	[[ $1 == debug ]] || files=("$CHECKOUT/kernels/$1.config" "${files[@]}")
	awk '{ option = match($0, /^(# )?CONFIG_[A-Z0-9_]+/) ? substr($0, RSTART, RLENGTH) : "" }
		{ sub(/^# /, "", option) }
		FNR == 1 { file++ }
		file == 1 && option { first[option] }
		file == 1 || !(option in first)' "${files[@]}"
}

# debug_key NAME FILE...: prints the key of a debug kernel: a checksum of its configuration, of the text
# that builds it, and of the versions of source and toolchain, from FILEs of dpkg's database.
debug_key() {
	local name=$1
	shift
	{
		sed -n '/^# <build>/,/^# <\/build>/p' "$CHECKOUT/scripts/debug-kernel"
		debug_config "$name" | grep -E '^(# )?CONFIG_'
		package_versions 'clang-19|lld-19|llvm-19|rustc|bindgen|linux-source-[0-9.]+' "$@" | sort
	} | sha256sum | cut -c1-12
}

# need_root KERNEL makes the root if it is missing. need_kernel KERNEL also makes the kernel's tree, and
# need_workspace KERNEL [TESTS] also the kernel's SDK. With TESTS, the root also has the packages that only
# tests need.
need_root() { [[ -d $(find_root "$1")/. ]] || "$CHECKOUT/scripts/setup" --kernel "$1" --root-only || exit; }
need_kernel() {
	[[ -d $(find_root "$1")/. && -d $(kernel_link "$1")/. ]] ||
		"$CHECKOUT/scripts/setup" --kernel "$1" --no-sdk || exit
}
need_workspace() { # KERNEL [TESTS]
	find_sdk "$1" && have_guest_root "$1" && [[ ! ${2-} || -d $(root_link "$1" tests)/. ]] && return
	"$CHECKOUT/scripts/setup" --kernel "$1" ${2:+--tests} || exit # it said why
	find_sdk "$1" || die "scripts/setup made no workspace for kernel '$1'"
}

# find_sdk KERNEL: sets $sdk to the SDK of a kernel, and $headers to the kernel's headers, the directory over
# which scripts/enter mounts the SDK. For a debug kernel, sets $debug to the directory of the whole kernel.
find_sdk() {
	local root kernel rel version
	debug=
	root=$(find_root "$1") kernel=$(kernel_link "$1")
	[[ -d $root/. && -d $kernel/. ]] || return 1
	read -r rel version <"$kernel/release"
	if is_debug "$1"; then
		rel=$(debug_release "$1" "$version")
		debug=$CACHE/debug/$rel-$(debug_key "$1" "$root/var/lib/dpkg/status" "$kernel"/dpkg/*)
		sdk=$debug/kdir
	else
		sdk=$("$CHECKOUT/packaging/sdk/linux-rust-sdk" --directory "$CACHE/sdk" --sources --version "$version" \
			--headers "$kernel/usr/src/linux-headers-$rel" find "$rel") || return
	fi
	# shellcheck disable=SC2034 # for the caller
	headers=/usr/src/linux-headers-$rel
	[[ -d $sdk ]]
}

# kernel_release KERNEL: prints the release that uname -r prints in a guest. debug_release NAME VERSION:
# prints the release of a debug kernel.
kernel_release() {
	local rel version
	read -r rel version <"$(kernel_link "$1")/release"
	! is_debug "$1" || rel=$(debug_release "$1" "$version")
	echo "$rel"
}
debug_release() { echo "${2%%[-~]*}-nldemo-$1"; }
