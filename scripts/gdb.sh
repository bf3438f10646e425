# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Functions of scripts/vm --gdb, which sources this file. They make a socket through which gdb reaches QEMU,
# and a script for gdb. That script attaches gdb to the guest, and loads the module's symbols at the
# module's addresses. JOB is the directory of the run.

# prepare_gdb JOB: makes the files that QEMU opens. The guest writes to `gdb-from` and waits for a line in
# `gdb-to`.
prepare_gdb() {
	mkfifo "$1/gdb-to"
	: >"$1/gdb-from"
	# Opens the pipe also for writing. Otherwise QEMU would wait for a writer when it opens the pipe.
	exec 5<>"$1/gdb-to"
}

# gdb_options: prints the options with which virtme-run lets gdb reach QEMU.
gdb_options() {
	printf '%s\n' -q=-gdb "-q=unix:/nldemo-vm/gdb-socket,server=on,wait=off" \
		-q=-chardev "-q=file,id=nldemo-gdb,path=/nldemo-vm/gdb-from,input-path=/nldemo-vm/gdb-to" \
		-q=-device "-q=virtserialport,name=nldemo.gdb,chardev=nldemo-gdb"
}

# offer_gdb JOB PID MODULE COMMAND: waits until the guest, process PID, has sent the addresses of MODULE's
# sections. Then it writes the script for gdb and prints how to use the script. If there is a COMMAND, the
# script starts it after gdb has attached.
offer_gdb() {
	local job=$1 module=$3 section address arguments=''
	while read -r section address; do
		case $section in
		ready) break ;;
		.text) arguments=" $address$arguments" ;;
		*) arguments+=" -s $section $address" ;;
		esac
	done < <(tail -c +1 -s 0.05 --pid="$2" -f "$job/gdb-from" 2>/dev/null)
	[[ $section == ready ]] || return 0
	{
		echo "set pagination off"
		[[ ! $arguments ]] || printf 'add-symbol-file %s%s\n' "$module" "$arguments"
		echo "target remote $job/gdb-socket"
		[[ ! $4 ]] || echo "shell echo >$job/gdb-to"
	} >"$job/gdb"
	say "to attach, in another terminal: gdb -x $job/gdb${4:+; the command starts when gdb lets the guest continue}"
}
