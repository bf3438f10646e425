# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Kernels by name, and the packages of an archive that a name stands for. To be sourced.

# The series that the module is known to work on, the newest first.
KNOWN_SERIES=(7.3)

KERNEL_NAMES="stock (the newest of trixie-backports of a series that the module is known to work on: ${KNOWN_SERIES[*]}), a series or version of the archive (7.3, 7.3.4), rt or VERSION-rt (the same with PREEMPT_RT), and debug (built here from the source of stock, with sanitizers)"
check_kernel_name() {
	[[ $1 =~ ^(stock|rt|debug|[0-9]+\.[0-9]+(\.[0-9]+)?(-rt)?)$ ]] ||
		usage_error "unknown kernel '$1'; known are: $KERNEL_NAMES"
}

# complete_kernels FLAVOUR <TABLE: the kernels of which TABLE has image, headers and source, as
# "VERSION IMAGE HEADERS SOURCE", the newest first. TABLE is "PACKAGE VERSION" a line. An archive
# keeps images for much longer than headers and source.
complete_kernels() {
	awk -v pattern="^linux-image-[0-9][0-9.]*([+]deb[0-9]+)?-$1amd64\$" '
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

# choose_kernel NAME <TABLE: sets kernel_packages to image, headers and source of a kernel, as
# PACKAGE=VERSION. Fails when TABLE has none of that name.
choose_kernel() {
	local from=$1 flavour='' complete newest series version='' packages p
	case $from in
	rt) from=stock flavour=rt- ;;
	*-rt) from=${from%-rt} flavour=rt- ;;
	debug) from=stock ;;
	esac
	complete=$(complete_kernels "$flavour")
	newest=${complete%% *}
	of() { grep -m 1 -E "^${1//./\\.}[.~-]" <<<"$complete" || true; } # VERSION-OR-SERIES
	if [[ $from != stock ]]; then
		read -r version packages < <(of "$from") || true
	else
		for series in "${KNOWN_SERIES[@]}"; do
			read -r version packages < <(of "$series") && break
		done
		if [[ ! $version && $complete ]]; then
			read -r version packages <<<"$complete"
			note "the archive has no kernel of series ${KNOWN_SERIES[*]} with headers and source any more; taking $version, on which the module was never tried"
		elif [[ $version != "$newest" ]]; then
			say "taking kernel $version: the archive has $newest, but the module was never tried on that series"
		fi
	fi
	[[ $version ]] || {
		note "the archive has no kernel '$1' with headers and source, which its Rust SDK is made from; it has:" \
			"$(awk '{ sub(/-.*/, "", $1); printf "%s ", $1 }' <<<"$complete")"
		return 1
	}
	kernel_packages=()
	for p in $packages; do kernel_packages+=("$p=$version"); done
}
