# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Makes the tree of a distribution's kernel: image, modules, headers and source, from its packages.
# scripts/enter mounts the tree into the root. The cache keeps the packages, so that the tree can be made
# again after the archive has dropped the kernel. scripts/setup sources this file.
#
# shellcheck disable=SC2154 # $kernel, $architecture, $apt_dir and the variables that choose_kernel sets

# Prints the kernel packages of the archive, each as a line "PACKAGE VERSION".
archive_kernels() {
	apt apt-cache pkgnames linux- | grep -E '^linux-(image|headers|source)-[0-9]' |
		APT_CONFIG=$apt_dir/apt.conf xargs apt-cache madison | awk '{ sub(/:.*/, "", $1); print $1, $3 }'
}

# A list file names the package files of a kernel. It is written after all these files were downloaded.
have_packages() { [[ -f $1 ]] && (cd -- "${1%/*}" && xargs -a "$1" ls >/dev/null 2>&1); }
kept_kernels() {
	local list
	for list in "$apt_dir"/kernels/*.list; do
		! have_packages "$list" || tr _ ' ' <"$list"
	done
}

# kernel_closure VERSION PACKAGE...: prints the PACKAGEs of a kernel, and the packages of the same kernel that
# the PACKAGEs depend on, each as a line "PACKAGE=VERSION FILE".
kernel_closure() {
	local version=$1 package name fields
	local -A seen=()
	shift
	while (($#)); do
		name=$1
		shift
		[[ ! -v seen[$name] ]] || continue
		seen[$name]=1
		# The packages with programs that build modules are for this machine's architecture. All other packages
		# are for the kernel's architecture.
		for package in "$name" "$name:$architecture"; do
			fields=$(apt apt-cache show "$package=$version" 2>/dev/null || true)
			[[ $fields ]] || continue
			echo "$package=$version $(sed -n 's,^Filename: .*/,,p;T;q' <<<"$fields")"
			# shellcheck disable=SC2046 # names without white space
			set -- "$@" $(sed -n -E 's/^(Pre-)?Depends: //p' <<<"$fields" | tr ',|' '\n' | sed -n 's/^ *\(linux-[^ :]*\).*/\1/p')
			break
		done
	done
}

# download_kernel LIST: downloads the packages that choose_kernel chose, and writes the list of their files
# to LIST.
download_kernel() {
	local list=$1 closure packages log=$CACHE/log/download.log
	! have_packages "$list" || return 0
	closure=$(kernel_closure "$kernel_version" "${kernel_packages[@]}")
	mapfile -t packages < <(cut -d' ' -f1 <<<"$closure")
	cd "$apt_dir/kernels"
	say "downloading the packages of kernel $kernel_version ($(apt apt-get download --print-uris "${packages[@]}" | megabytes .))"
	apt apt-get download "${packages[@]}" >"$log" 2>&1 || explain_failure "$log" "downloading packages" || exit 1
	cut -d' ' -f2 <<<"$closure" >"$list.new"
	mv "$list.new" "$list"
	cd "$CHECKOUT"
}

# The name of the tree in the cache has a checksum of the lines from here to "# </kernel>". So a change of these
# lines makes a new tree.
# <kernel>
unpack_kernel() ( # LIST TREE
	set -e
	local list=$1 tree=$2 package file n=0
	mkdir "$tree/dpkg"
	while read -r package; do
		dpkg-deb --fsys-tarfile "${list%/*}/$package" | tar -x -C "$tree" --no-same-owner --exclude=./usr/share
		# A journal of dpkg, by which the packages are installed.
		{
			echo "Package: $(dpkg-deb -f "${list%/*}/$package" Package)"
			echo "Status: install ok installed"
			dpkg-deb -f "${list%/*}/$package" | sed '/^Package:/d'
		} >"$tree/dpkg/$(printf '%04d' "$n")"
		n=$((n + 1))
	done <"$list"
	# Of the source, the kernel's own YNL client with the schemas, and KUnit's tool.
	mkdir -p "$tree/usr/share/linux-source"
	tar -xJ -C "$tree/usr/share/linux-source" -f "$tree"/usr/src/linux-source-*.tar.xz --strip-components=1 \
		--wildcards --no-wildcards-match-slash \
		'linux-source-*/tools/net/ynl/pyynl' 'linux-source-*/Documentation/netlink/*.yaml' \
		'linux-source-*/tools/testing/kunit'
	# Where bootloaders look for it.
	mkdir -p "$tree/boot"
	for file in vmlinuz config; do
		[[ -e $tree/boot/$file-$kernel_release ]] ||
			ln "$tree/usr/lib/modules/$kernel_release/$file" "$tree/boot/$file-$kernel_release"
	done
	echo "$kernel_release $kernel_version" >"$tree/release"
)
# </kernel>

# choose_and_download NAME: chooses the kernel NAME, and downloads its packages. Sets kernel_release and
# kernel_version, and sets packages_list to the path of the kernel's list file.
choose_and_download() {
	local table
	table=$(archive_kernels)
	choose_kernel "$1" < <(sort -u <<<"$table"$'\n'"$(kept_kernels)") || exit 2
	kernel_release=${kernel_packages[0]#linux-image-}
	grep -q -x -F "${kernel_packages[0]} $kernel_version" <<<"$table" ||
		say "the archive has no kernel $kernel_version any more; its packages were kept"
	packages_list=$apt_dir/kernels/${kernel_release}_$kernel_version.list
	download_kernel "$packages_list"
}

# start_unpacking: unpacks the kernel in the background, while the root is made. finish_tree waits for it.
start_unpacking() {
	tree=$CACHE/kernels/$kernel_release-$kernel_version-$(tree_key) unpacking=''
	[[ ! -d $tree ]] || return 0
	unpacking=$(mktemp -d "$tree.XXXXXX")
	chmod 755 "$unpacking"
	unpack_kernel "$packages_list" "$unpacking" >"$CACHE/log/kernel.log" 2>&1 </dev/null &
	unpacker=$!
}

# finish_tree LINK: makes LINK point to the finished tree. It needs the finished root, because it runs the
# root's depmod.
finish_tree() {
	local log=$CACHE/log/kernel.log
	if [[ $unpacking ]]; then
		say "unpacking kernel $kernel_version"
		wait "$unpacker" || explain_failure "$log" "unpacking the kernel" || exit 1
		"$CHECKOUT/scripts/enter" --kernel "$kernel" --no-kernel --bind "$unpacking/usr/lib/modules" /usr/lib/modules -- \
			depmod "$kernel_release" >>"$log" 2>&1 || explain_failure "$log" "unpacking the kernel" || exit 1
		mv -T "$unpacking" "$tree"
	fi
	ln -sfn "${tree##*/}" "$1.link"
	mv -T "$1.link" "$1"
	say "the kernel is ready: $kernel_release, version $kernel_version"
}
