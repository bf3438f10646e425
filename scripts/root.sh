# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes the Debian root in which everything is built and booted. It has the toolchain, QEMU and the
# programs that tests use. Kernels have their own trees (scripts/kernel-tree.sh). scripts/setup sources
# this file.
#
# shellcheck disable=SC2154 # $suite, $architecture, $tests, $mode, $use_sudo and $apt_dir, which setup sets
#
# The root's name in the cache has a checksum of the lines between the two marks. So a change of these lines
# makes a new root.
# <root>
packages=(
	# The toolchain of Debian's own kernel, and what its build needs.
	rustc rust-src rustfmt cargo bindgen gcc make pahole
	flex bison bc libelf-dev libssl-dev kmod cpio xz-utils zstd python3 file ca-certificates
	# The virtual machine.
	virtme-ng qemu-system-x86 virtiofsd busybox-static
	# What the demo runs in the guest, and the tests of modules made by scripts/new-module.
	iproute2 iputils-ping nftables procps mount python3-pytest
)
test_packages=(
	# What else runs in the guest, and the checks.
	tcpdump ethtool conntrack pyflakes3 shellcheck rust-clippy git
	# What the kernel's YNL client needs.
	python3-yaml python3-jsonschema
	# Other witnesses of packets, C's own libraries for queues and BPF, and a checker of
	# memory for programs in Rust, which has no sanitizer's runtime here.
	tshark python3-scapy libnetfilter-queue-dev libmnl-dev libbpf-dev
	# NFQUEUE programs of others: in C, Python and Go.
	dhcpoptinj python3-netfilterqueue opensnitch
)
case $suite in
trixie)
	# The compiler that the suite's kernels were built with.
	compiler=gcc-14
	# The debug kernel's compiler: Rust with KASAN needs Clang.
	test_packages+=(clang-19 lld-19 llvm-19)
	;;
*) compiler=gcc-16 ;;
esac
packages+=("$compiler")
# For kernels of another machine: its compiler, its libraries for static programs, its emulator.
[[ $architecture == amd64 ]] ||
	packages+=("$compiler-aarch64-linux-gnu" gcc-aarch64-linux-gnu libc6-dev-arm64-cross "libstd-rust-dev:$architecture" qemu-system-arm)
excludes=(
	/usr/share/{man,info,locale,groff,lintian,bug}/\*
	/usr/share/doc/\*
)

# Runs in the finished root, with its path as $1.
finish_root() {
	local root=$1
	# The mount points that scripts/enter needs, and no secrets or state.
	rm -rf "${root:?}"/{var/lib/apt/lists,var/cache/apt,dev}/* "$root/etc/resolv.conf"
	rm -f "$root"/etc/hostname
	: >"$root/etc/resolv.conf"
	: >"$root/etc/nldemo-kernel"
	mkdir -p "$root/usr/lib/modules" "$root/usr/share/linux-source"
	# A guest may look up its own name, and must not go out for it.
	printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts"
}
# </root>

# The first architecture is that of the root's own programs. It is amd64, because this machine runs only
# programs for amd64.
root_architectures() { if [[ $architecture == amd64 ]]; then echo amd64; else echo "amd64,$architecture"; fi; }

# download_root: downloads the packages of the root.
download_root() {
	local uris log=$CACHE/log/download.log
	[[ ! $tests ]] || packages+=("${test_packages[@]}")
	local all=("$(essential amd64)" apt "${packages[@]}")
	uris=$(apt apt-get install -y --print-uris "${all[@]}" 2>>"$log" || true)
	say "downloading the packages of the root ($(megabytes "$apt_dir/archives" <<<"$uris"))"
	apt apt-get install -y --download-only "${all[@]}" >>"$log" 2>&1 ||
		explain_failure "$log" "downloading packages" || exit 1
}

# make_root LINK
make_root() {
	local link=$1 tmp log=$CACHE/log/root-$suite.log p alone
	local args=(--variant=apt "--mode=$mode" "--architectures=$(root_architectures)" --skip=update
		"--aptopt=APT::Install-Recommends false"
		"--aptopt=APT::Sandbox::User root"
		# dpkg need not wait for the disk: if a crash leaves a root unfinished, that root is never used.
		--dpkgopt=force-unsafe-io)
	for p in "${excludes[@]}"; do args+=("--dpkgopt=path-exclude=$p"); done
	# mmdebstrap splits a hook at spaces. The hooks name files relative to apt_dir, so they have no path with a space.
	args+=("--setup-hook=mkdir -p \"\$1/etc/apt/preferences.d\" \"\$1/var/cache/apt/archives\""
		"--setup-hook=upload preferences /etc/apt/preferences.d/nldemo"
		"--setup-hook=sync-in lists /var/lib/apt/lists"
		"--setup-hook=sync-in archives /var/cache/apt/archives")
	IFS=, eval 'args+=("--include=${packages[*]}")'

	tmp=$(mktemp -d "$link.XXXXXX")
	chmod 755 "$tmp"
	# shellcheck disable=SC2064 # $tmp is a local variable
	trap "remove_tree '$tmp'" EXIT
	say "making the Debian root ($suite; about a minute; log: $log)"
	# mmdebstrap runs in its own namespaces and is killed together with this script. So its mounts and
	# processes always disappear with it.
	alone=(setpriv --pdeathsig KILL unshare --mount --pid --fork --kill-child --mount-proc)
	if ((EUID == 0)); then
		(cd "$apt_dir" && exec "${alone[@]}" mmdebstrap "${args[@]}" "$suite" "$tmp" sources.list)
	else
		if [[ $use_sudo ]]; then alone=(sudo "--preserve-env=TMPDIR" "${alone[@]}"); else alone=(); fi
		# mmdebstrap writes a tar archive, and this user unpacks it. So this user owns the files.
		(cd "$apt_dir" && exec env TMPDIR=/var/tmp "${alone[@]}" \
			mmdebstrap --format=tar "${args[@]}" "$suite" - sources.list) |
			tar -x --no-same-owner --exclude=./dev/\* -C "$tmp"
	fi >"$log" 2>&1 </dev/null || explain_failure "$log" "making the root" || exit 1
	# In the background, because bash ignores set -e in a function before "||".
	finish_root "$tmp" >>"$log" 2>&1 &
	wait "$!" || explain_failure "$log" "making the root" || exit 1
	# The link is replaced last, in one step: a root without a link is not used.
	ln -s "${tmp##*/}" "$tmp.link"
	mv -T "$tmp.link" "$link"
	trap - EXIT
	say "the root is ready"
}
