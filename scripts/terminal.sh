# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Connects this terminal with one in a guest of scripts/vm. In the directory of the guest's job, QEMU
# reads keys from the pipe `keys` and writes to the file `screen`. scripts/vm sources this file.

ESCAPE=$'\x1d' # Ctrl-], as telnet has it

# need_terminal: a shell is of no use without one.
need_terminal() {
	[[ -t 0 && -t 1 ]] ||
		usage_error "no command given, and a shell needs a terminal on standard input and output; give a command behind '--'"
}

# pass_keys: what is typed, one by one. Returns 0 at the escape and 1 at the end.
pass_keys() {
	local LC_ALL=C key
	while IFS= read -r -d '' -n 1 key; do
		[[ $key != "$ESCAPE" ]] || return 0
		# Without a delimiter, bash gives nothing for a NUL.
		if [[ $key ]]; then printf '%s' "$key"; else printf '\0'; fi
	done
	return 1
}

# prepare_terminal JOB: what the guest's shell and QEMU read.
prepare_terminal() {
	mkfifo "$1/keys" "$1/typed"
	: >"$1/screen"
	stty size >"$1/size"
	cat >"$1/rc" <<-'EOF'
		PS1='\h \w\$ '
		. <(nldemo completions bash)
		echo "Kernel $(uname -r), with rust_nldemo loaded; nldemo is in PATH; dmesg shows the kernel log."
		echo "Files are read-only, except in /tmp, /run, /root and /var/tmp. exit or Ctrl-] ends the guest."
	EOF
}

# connect_terminal JOB PID: until process PID ends. The escape ends it, and leaves the file `escaped`.
connect_terminal() {
	exec {terminal_fd}<&0
	settings=$(stty -g)
	# By itself, bash would change the mode of the terminal that it reads.
	cat <&"$terminal_fd" >"$1/typed" &
	terminal_pids=($!)
	{ pass_keys <"$1/typed" >"$1/keys" && : >"$1/escaped" && kill "$2"; } &
	terminal_pids+=($!)
	# bash does not tell then that they were killed.
	disown "${terminal_pids[@]}"
	tail -c +1 -s 0.05 --pid="$2" -f "$1/screen" 2>/dev/null | show_screen &
	screen=$!
}

# show_screen: what comes from the guest. With it, all keys are for the guest; before, Ctrl-C ends this
# script, and messages of the boot need their line feeds translated.
show_screen() {
	local LC_ALL=C first
	IFS= read -r -d '' -n 1 first || return 0
	stty raw -echo <&"$terminal_fd"
	printf '%s' "$first"
	exec cat
}

# finish_terminal: disconnects when all was shown.
finish_terminal() {
	[[ ! ${settings-} ]] || wait "$screen" || true
	disconnect_terminal
}

# disconnect_terminal: may be called again, and without a connection.
disconnect_terminal() {
	[[ ${settings-} ]] || return 0
	kill "${terminal_pids[@]}" 2>/dev/null || true
	# The terminal may be gone.
	stty "$settings" 2>/dev/null || true
	settings=''
}
