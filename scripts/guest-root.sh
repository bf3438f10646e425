# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes the root of guests that have another architecture than this machine. This machine cannot run the
# programs of such a root. So the packages are only unpacked, not configured, and this file does what the
# packages' scripts would do. scripts/setup sources this file.
#
# shellcheck disable=SC2154 # $kernel, $suite, $architecture and $apt_dir, which setup sets
#
# The root's name in the cache has a checksum of the lines between the two marks. So a change of these lines
# makes a new root.
# <guest>
guest_packages=(
	# What guest-init needs, and the tests. Essential packages are there anyway.
	busybox-static kmod iproute2 iputils-ping nftables procps mount python3 python3-pytest
	tcpdump ethtool conntrack git
	python3-yaml python3-jsonschema
	tshark python3-scapy libnetfilter-queue1 libnetfilter-queue-dev libmnl-dev
	dhcpoptinj python3-netfilterqueue opensnitch
)
# unpack_guest ROOT FILE...: of packages, base-files first: it has the links from /bin to /usr/bin. Each failed
# command must end the function, and bash ignores set -e in a function before "||".
unpack_guest() {
	local root=$1 file
	shift
	for file; do
		dpkg-deb --fsys-tarfile "$file" | tar -x -C "$root" --no-same-owner --keep-directory-symlink \
			--exclude=./usr/share/{doc,man,info,locale,lintian,bug}/\* || return
	done
	printf '%s\n' root:x:0:0:root:/root:/bin/bash nobody:x:65534:65534:nobody:/nonexistent:/usr/sbin/nologin \
		tcpdump:x:100:100::/nonexistent:/usr/sbin/nologin >"$root/etc/passwd" &&
		printf '%s\n' root:x:0: nogroup:x:65534: tcpdump:x:100: >"$root/etc/group" &&
		printf '127.0.0.1 localhost\n::1 localhost\n' >"$root/etc/hosts" &&
		: >"$root/etc/resolv.conf" && : >"$root/etc/nldemo-kernel" &&
		mkdir -p "$root"/{dev,proc,sys,run,tmp,root,mnt,home} "$root"/usr/{lib/modules,share/linux-source} || return
	[[ -e $root/usr/bin/awk ]] || ln -s mawk "$root/usr/bin/awk"
}
# </guest>

# make_guest_root LINK: makes the root, and makes LINK point to it.
make_guest_root() {
	local link=$1 tmp file files=() log=$CACHE/log/guest-root-$suite.log
	local get=(apt-get install -y -o "APT::Architecture=$architecture" "$(essential "$architecture")" "${guest_packages[@]}")
	mapfile -t files < <(apt "${get[@]}" --simulate 2>>"$log" |
		sed -n -E 's/^Inst ([^ ]+) \(([^ ]+) .*\[([^]]+)\].*/\1_\2_\3.deb/p' | sed 's/:/%3a/g' | sort)
	say "downloading the packages of the guest's root ($(apt "${get[@]}" --print-uris 2>>"$log" | megabytes "$apt_dir/archives"))"
	apt "${get[@]}" --download-only >"$log" 2>&1 || explain_failure "$log" "downloading packages" || exit 1
	tmp=$(mktemp -d "$link.XXXXXX")
	chmod 755 "$tmp"
	# shellcheck disable=SC2064 # $tmp is a local variable
	trap "remove_tree '$tmp'" EXIT
	say "unpacking the guest's root ($suite, $architecture; log: $log)"
	for file in "${!files[@]}"; do files[file]=$apt_dir/archives/${files[file]}; done
	unpack_guest "$tmp" "$apt_dir"/archives/base-files_*"_$architecture.deb" "${files[@]}" >>"$log" 2>&1 ||
		explain_failure "$log" "unpacking the guest's root" || exit 1
	# In emulation, Python would take minutes to compile the modules that a test imports. Errors of compileall
	# are ignored: some files of Python's own tests are no valid Python.
	"$CHECKOUT/scripts/enter" --kernel "$kernel" --no-kernel --bind "$tmp" /mnt -- \
		python3 -m compileall -q -s /mnt /mnt/usr/lib/python3 /mnt/usr/lib/python3.* >>"$log" 2>&1 || true
	ln -s "${tmp##*/}" "$tmp.link"
	mv -T "$tmp.link" "$link"
	trap - EXIT
	say "the guest's root is ready"
}
