# shellcheck shell=bash
# SPDX-License-Identifier: GPL-2.0
#
# Connects this terminal with one in a guest of scripts/vm. JOB is the directory of the run. In this
# directory, QEMU reads keys from the pipe `keys` and writes to the file `screen`. scripts/vm sources this
# file.

ESCAPE=$'\x1d' # Ctrl-], as in telnet

# need_terminal: stops with a usage error if there is no terminal for a shell.
need_terminal() {
	[[ -t 0 && -t 1 ]] ||
		usage_error "no command given, and a shell needs a terminal on standard input and output; give a command behind '--'"
}

# pass_keys: copies the typed keys one by one. Returns 0 at the escape and 1 at the end.
pass_keys() {
	local LC_ALL=C key
	while IFS= read -r -d '' -n 1 key; do
		[[ $key != "$ESCAPE" ]] || return 0
		# For a NUL, bash reads an empty key.
		if [[ $key ]]; then printf '%s' "$key"; else printf '\0'; fi
	done
	return 1
}

# prepare_terminal JOB: makes the files that the guest's shell and QEMU read.
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

# connect_terminal JOB PID: connects the terminal until process PID ends. The escape ends the process, and
# leaves the file `escaped`.
connect_terminal() {
	exec {terminal_fd}<&0
	settings=$(stty -g)
	# cat reads the terminal, because bash would change the mode of a terminal that it reads.
	cat <&"$terminal_fd" >"$1/typed" &
	terminal_pids=($!)
	{ pass_keys <"$1/typed" >"$1/keys" && : >"$1/escaped" && kill "$2"; } &
	terminal_pids+=($!)
	# So bash prints no message when these processes are killed.
	disown "${terminal_pids[@]}"
	tail -c +1 -s 0.05 --pid="$2" -f "$1/screen" 2>/dev/null | show_screen &
	screen=$!
}

# show_screen: shows the guest's output. From the first byte on, the terminal is raw, so all keys go to the
# guest. Before it, Ctrl-C ends this script, and the boot's messages need translated line feeds.
show_screen() {
	local LC_ALL=C first
	IFS= read -r -d '' -n 1 first || return 0
	stty raw -echo <&"$terminal_fd"
	printf '%s' "$first"
	exec cat
}

# finish_terminal: disconnects after all output was shown.
finish_terminal() {
	[[ ! ${settings-} ]] || wait "$screen" || true
	disconnect_terminal
}

# disconnect_terminal: ends the connection. Without a connection it does nothing.
disconnect_terminal() {
	[[ ${settings-} ]] || return 0
	kill "${terminal_pids[@]}" 2>/dev/null || true
	# The terminal may be gone.
	stty "$settings" 2>/dev/null || true
	settings=''
}
