# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Kernels by name, and the packages of an archive that a name stands for. To be sourced.

# The series that the module is known to work on, the newest first.
KNOWN_SERIES=(7.3 7.2)

# A kernel's name is SOURCE[-FLAVOUR][-ARCHITECTURE], or one of these for short.
declare -A KERNEL_ALIASES=(
	[rt]=stock-rt
	[cloud]=stock-cloud
	[arm64]=stock-arm64
	[arm64-16k]=stock-arm64-16k
)
KERNEL_NAMES="SOURCE[-FLAVOUR][-ARCHITECTURE]. SOURCE is stock (the newest of trixie-backports of a series that the module is known to work on: ${KNOWN_SERIES[*]}), a series or version of trixie-backports (7.3, 7.3.4), forky, sid or experimental (the newest of that suite). FLAVOUR is rt (PREEMPT_RT) or cloud, ARCHITECTURE arm64 or arm64-16k (pages of 16 KiB). Short for stock-X are rt, cloud, arm64 and arm64-16k. debug is built here from the source of stock, with sanitizers; debug-cfi with control flow integrity, too"
# is_debug NAME: whether it is one that is built here.
is_debug() { [[ $1 == debug || $1 == debug-cfi ]]; }
check_kernel_name() {
	local source='stock|forky|sid|experimental|[0-9]+\.[0-9]+(\.[0-9]+)?'
	is_debug "$1" || [[ -v KERNEL_ALIASES[$1] || $1 =~ ^($source)(-(rt|cloud))?(-arm64(-16k)?)?$ ]] ||
		usage_error "unknown kernel '$1'; a name is $KERNEL_NAMES"
}

# kernel_source NAME, kernel_architecture NAME: that part of a name. kernel_flavour NAME: what the
# names of its packages end with. kernel_suite NAME: the release of Debian whose root it has.
kernel_source() {
	! is_debug "$1" || set -- stock
	set -- "${KERNEL_ALIASES[$1]-$1}"
	echo "${1%%-*}"
}
kernel_architecture() {
	case $1 in
	*arm64*) echo arm64 ;;
	*) echo amd64 ;;
	esac
}
kernel_flavour() {
	case $1 in
	rt | *-rt*) printf rt- ;;
	cloud | *-cloud*) printf cloud- ;;
	esac
	case $1 in
	*arm64-16k) echo arm64-16k ;;
	*) kernel_architecture "$1" ;;
	esac
}
kernel_suite() {
	case $(kernel_source "$1") in
	forky) echo forky ;;
	# Those of experimental are built with what is in sid.
	sid | experimental) echo sid ;;
	*) echo trixie ;;
	esac
}

# complete_kernels FLAVOUR <TABLE: the kernels of which TABLE has image, headers and source, as
# "VERSION IMAGE HEADERS SOURCE", the newest first. TABLE is "PACKAGE VERSION" a line. An archive
# keeps images for much longer than headers and source.
complete_kernels() {
	awk -v pattern="^linux-image-[0-9][0-9.]*([+]deb[0-9]+)?-$1\$" '
		{ known[$1, $2] }
		$1 ~ pattern { image[$1, $2] }
		END {
			for (i in image) {
				split(i, part, SUBSEP)
				headers = source = part[1]
				sub(/image/, "headers", headers)
				match(source, /[0-9]+\.[0-9]+/)
				source = "linux-source-" substr(source, RSTART, RLENGTH)
				if ((headers, part[2]) in known && (source, part[2]) in known)
					print part[2], part[1], headers, source
			}
		}' | sort -rV
}

# choose_kernel NAME <TABLE: sets kernel_version, and kernel_packages to image, headers and source of
# a kernel. Fails when TABLE has none of that name.
choose_kernel() {
	local source complete newest series
	source=$(kernel_source "$1")
	complete=$(complete_kernels "$(kernel_flavour "$1")")
	newest=${complete%% *}
	kernel_version='' kernel_packages=()
	# take PATTERN: the newest with such a version.
	take() {
		local packages
		read -r kernel_version packages < <(grep -m 1 -E "^$1" <<<"$complete" || true)
		[[ $kernel_version ]] || return
		# shellcheck disable=SC2034 # for the caller
		read -r -a kernel_packages <<<"$packages"
	}
	case $source in
	stock)
		for series in "${KNOWN_SERIES[@]}"; do take "${series//./\\.}[.~-]" && break; done
		if [[ ! $kernel_version && $newest ]]; then
			take ".*"
			note "the archive has no kernel of series ${KNOWN_SERIES[*]} with headers and source any more; taking $newest, on which the module was never tried"
		elif [[ $kernel_version != "$newest" ]]; then
			say "taking kernel $kernel_version: the archive has $newest, but the module was never tried on that series"
		fi
		;;
	forky | sid | experimental) take ".*" || true ;;
	*) take "${source//./\\.}[.~-]" || true ;;
	esac
	[[ $kernel_version ]] || {
		note "the archive has no kernel '$1' with headers and source, which its Rust SDK is made from; it has:" \
			"$(awk '{ sub(/-.*/, "", $1); printf "%s ", $1 }' <<<"$complete")"
		return 1
	}
}
