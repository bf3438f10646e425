# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Connects the terminal on which scripts/vm runs with a terminal in the guest. scripts/vm sources this file.
# JOB is the directory with the files of this run of scripts/vm. There, QEMU reads keys from the pipe `keys`
# and writes to the file `screen`.

ESCAPE=$'\x1d' # Ctrl-], as in telnet

# need_terminal: stops with a usage error if there is no terminal for a shell.
need_terminal() {
	[[ -t 0 && -t 1 ]] ||
		usage_error "no command given, and a shell needs a terminal on standard input and output; give a command after '--'"
}

# pass_keys: copies the typed keys from its input to its output, one by one. Returns 0 when the user types
# ESCAPE, and 1 at the end of the input.
pass_keys() {
	local LC_ALL=C key
	while IFS= read -r -d '' -n 1 key; do
		[[ $key != "$ESCAPE" ]] || return 0
		# If the user types a NUL, bash sets `key` to an empty string.
		if [[ $key ]]; then printf '%s' "$key"; else printf '\0'; fi
	done
	return 1
}

# prepare_terminal JOB: makes the files in JOB: two pipes for keys, the file `screen` for the guest's output,
# a file with the size of the terminal, and the startup file of the guest's shell.
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

# connect_terminal JOB PID: starts processes that copy keys and output until the guest, process PID, ends.
# When the user types ESCAPE, one of these processes ends the guest and makes the file `escaped` in JOB.
connect_terminal() {
	exec {terminal_fd}<&0
	settings=$(stty -g)
	# pass_keys does not read the terminal itself, because bash would change the mode of the terminal. So cat
	# reads the terminal.
	cat <&"$terminal_fd" >"$1/typed" &
	terminal_pids=($!)
	{ pass_keys <"$1/typed" >"$1/keys" && : >"$1/escaped" && kill "$2"; } &
	terminal_pids+=($!)
	# Without disown, bash would print a message when disconnect_terminal kills these processes.
	disown "${terminal_pids[@]}"
	tail -c +1 -s 0.05 --pid="$2" -f "$1/screen" 2>/dev/null | show_screen &
	screen=$!
}

# show_screen: shows the guest's output. When the first byte arrives, the terminal becomes raw, so that all
# keys go to the guest. Until then the terminal is not raw: Ctrl-C ends scripts/vm, and the terminal
# translates the line feeds in the messages of scripts/vm.
show_screen() {
	local LC_ALL=C first
	IFS= read -r -d '' -n 1 first || return 0
	stty raw -echo <&"$terminal_fd"
	printf '%s' "$first"
	exec cat
}

# finish_terminal: waits until all output is shown, and disconnects the terminal.
finish_terminal() {
	[[ ! ${settings-} ]] || wait "$screen" || true
	disconnect_terminal
}

# disconnect_terminal: stops the copying of keys, and restores the terminal's settings. Does nothing if the
# terminal is not connected.
disconnect_terminal() {
	[[ ${settings-} ]] || return 0
	kill "${terminal_pids[@]}" 2>/dev/null || true
	# stty fails if the terminal's window was closed.
	stty "$settings" 2>/dev/null || true
	settings=''
}
