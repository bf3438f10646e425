// SPDX-License-Identifier: GPL-2.0

//! The command line where no kernel module is needed.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

/// A protocol number on which nobody loads the module.
const UNUSED_PROTOCOL: &str = "31";

fn nldemo(arguments: &[&str]) -> Output {
    command(arguments).output().unwrap()
}

fn command(arguments: &[&str]) -> Command {
    let mut command = Command::new(env!("CARGO_BIN_EXE_nldemo"));
    command.args(arguments);
    command
}

fn stdout(output: &Output) -> String {
    String::from_utf8(output.stdout.clone()).unwrap()
}

fn stderr(output: &Output) -> String {
    String::from_utf8(output.stderr.clone()).unwrap()
}

#[test]
fn missing_module_is_a_sentence_and_status_2() {
    for command in [
        &["echo"][..],
        &["-j", "echo"],
        &["config", "show"],
        &["config", "set", "queue=1"],
        &["stats"],
        &["stats", "--per-cpu", "--watch", "--count", "2"],
        &["monitor"],
        &["-j", "monitor", "--timeout", "1"],
        &["filter", "attach", "--parity", "odd"],
        &["filter", "attach", "--events", "config"],
    ] {
        let output = nldemo(&[command, &["--protocol", UNUSED_PROTOCOL]].concat());
        assert_eq!(output.status.code(), Some(2));
        assert_eq!(stdout(&output), "");
        assert_eq!(
            stderr(&output),
            "error: protocol 31 has no kernel socket in this network namespace; \
             load the module: insmod rust_nldemo.ko protocol=31\n"
        );
    }
}

#[test]
fn missing_namespace_is_named() {
    let output = nldemo(&["-N", "no-such-namespace", "echo"]);
    assert_eq!(output.status.code(), Some(2));
    let message = stderr(&output);
    assert!(
        message.contains("'no-such-namespace' does not exist"),
        "{message}"
    );
}

#[test]
fn usage_errors_have_status_2() {
    for arguments in [
        &[][..],
        &["nonsense"],
        &["queue"],
        &["echo", "--protocol", "22"],
        &["echo", "--protocol", "32"],
        &["echo", "text", "--size", "1"],
        &["echo", "--count", "0"],
        &["echo", "--batch", "0"],
        &["echo", "--timeout", "0"],
        &["echo", "--timeout", "nan"],
        &["echo", "--legacy", "--ack"],
        &["echo", "--size", "1000000000", "--batch", "1000"],
        &["queue", "run", "--queue", "65536"],
        &["queue", "run", "--queue", "3-2"],
        &["queue", "run", "--policy", "echo-size=x"],
        &["queue", "run", "--policy", "icmp"],
        &["queue", "run", "--policy", "queue 7", "--queue", "5-9"],
        &["queue", "run", "--policy", "in no-such0 drop"],
        &["queue", "run", "--set", "ttl=0"],
        &["queue", "run", "--copy", "all"],
        &["queue", "run", "--batch", "0"],
        &["queue", "run", "--quiet", "--hexdump"],
        &["queue", "run", "--color", "sometimes"],
        &["config"],
        &["config", "show", "queue"],
        &["config", "set"],
        &["config", "set", "queue"],
        &["config", "set", "queue=1", "--protocol", "22"],
        &["stats", "--watch", "0"],
        &["stats", "--watch", "--count", "0"],
        &["stats", "--count", "2"],
        &["monitor", "--count", "0"],
        &["monitor", "--timeout", "never"],
        &["filter"],
        &["filter", "count"],
        &["filter", "count", "lo", "--interval", "0"],
        &["filter", "count", "lo", "--count", "0"],
        &["filter", "count", "lo", "eth0"],
        &["filter", "count", "no-such0"],
        &["filter", "count", ""],
        &["filter", "count", "longer-than-16-bytes"],
        &["filter", "attach"],
        &["filter", "attach", "--parity", "both"],
        &["filter", "attach", "--events", ""],
        &["filter", "attach", "--events", "config,queue"],
        &["filter", "attach", "--parity", "odd", "--events", "config"],
        &["filter", "attach", "--parity", "odd", "--count", "0"],
        &["filter", "attach", "--parity", "odd", "--timeout", "1"],
        &["diag"],
        &["diag", "list", "sctp"],
        &["diag", "list", "port=http"],
        &["diag", "list", "local=[::1]80"],
        &["diag", "list", "port=1", "port=2"],
        &["diag", "list", "netlink", "--protocol", "22"],
        &["diag", "kill"],
        &["diag", "kill", "tcp"],
        &["diag", "kill", "remote=*"],
        &["diag", "kill", "port=0-65535", "--dry-run"],
        &["diag", "kill", "--dry-run"],
        &["diag", "kill", "--stdin", "--all"],
        &["diag", "kill", "--stdin", "port=1"],
    ] {
        let output = nldemo(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert_ne!(stderr(&output), "", "{arguments:?}");
    }
}

#[test]
fn wrong_settings_are_told_with_what_is_right() {
    for (settings, words) in [
        (
            &["queue=70000"][..],
            &["70000", "queue", "numbers from 0 to 65535"][..],
        ),
        (
            &["hooks=forward,ingress"],
            &["forward,ingress", "post-routing"],
        ),
        (
            &["ipv6-types=ping"],
            &["'ping'", "ipv6-types", "mld-listener-query"],
        ),
        (&["quue=1"], &["unknown key 'quue', did you mean 'queue'?"]),
        (
            &["colour=red"],
            &["unknown key 'colour'; the keys are: enabled, queue, "],
        ),
        (&["queue"], &["give it as KEY=VALUE"]),
        (&["queue=1", "bypass=0", "queue=1"], &["queue is set twice"]),
    ] {
        let output = nldemo(&[&["config", "set"], settings].concat());
        assert_eq!(output.status.code(), Some(2), "{settings:?}");
        for word in words {
            let message = stderr(&output);
            assert!(
                message.contains(word),
                "{settings:?} lacks {word}: {message}"
            );
        }
    }
}

/// The help of a command must have these words.
fn assert_help(arguments: &[&str], words: &[&str]) {
    let output = nldemo(arguments);
    assert_eq!(output.status.code(), Some(0));
    for word in words {
        assert!(stdout(&output).contains(word), "{arguments:?} lacks {word}");
    }
}

#[test]
fn help_has_examples_and_keys() {
    for (arguments, words) in [
        (
            &["--help"][..],
            &["Examples:", "Exit status:", "--netns", "--json"][..],
        ),
        (
            &["echo", "--help"],
            &["Examples:", "JSON keys", "round_trip_ns", "--batch"],
        ),
        (
            &["queue", "run", "--help"],
            &[
                "Examples:",
                "echo-size=N",
                "event summary",
                "latency_ns",
                "--batch",
                "unwritable",
            ],
        ),
        (
            &["queue", "show", "--help"],
            &["Examples:", "JSON keys", "socket_full"],
        ),
        (
            &["config", "show", "--help"],
            &["skip-mark", "JSON keys", "ipv6_types"],
        ),
        (
            &["config", "set", "--help"],
            &[
                "Examples:",
                "KEY=VALUE",
                "skip-mark",
                "JSON keys",
                "--protocol",
            ],
        ),
        (
            &["stats", "--help"],
            &[
                "Examples:",
                "JSON keys",
                "per_second",
                "--per-cpu",
                "--watch",
            ],
        ),
        (
            &["monitor", "--help"],
            &[
                "Examples:",
                "JSON keys",
                "event lost",
                "--count",
                "--timeout",
            ],
        ),
    ] {
        assert_help(arguments, words);
    }
}

#[test]
fn help_of_socket_commands_has_examples_and_keys() {
    for (arguments, words) in [
        (
            &["filter", "count", "--help"][..],
            &[
                "Examples:",
                "JSON keys",
                "per_second",
                "icmpv6",
                "--interval",
                "--count",
            ][..],
        ),
        (
            &["filter", "attach", "--help"],
            &[
                "Examples:",
                "JSON keys",
                "received",
                "--parity",
                "--events",
                "--timeout",
            ],
        ),
        (
            &["diag", "list", "--help"],
            &[
                "Examples:",
                "JSON keys",
                "KEY=VALUE",
                "fin-wait-2",
                "receive_queue",
                "--processes",
            ],
        ),
        (
            &["diag", "kill", "--help"],
            &[
                "Examples:",
                "JSON keys",
                "KEY=VALUE",
                "out-of-reach",
                "--dry-run",
                "--stdin",
                "--all",
            ],
        ),
    ] {
        assert_help(arguments, words);
    }
}

#[test]
fn colors_follow_option_and_terminal() {
    let failing = ["echo", "--protocol", UNUSED_PROTOCOL];
    let always = nldemo(&[&failing[..], &["--color", "always"]].concat());
    assert!(stderr(&always).starts_with("\u{1b}[31merror:\u{1b}[0m "));
    for color in ["auto", "never"] {
        let output = nldemo(&[&failing[..], &["--color", color]].concat());
        assert!(stderr(&output).starts_with("error: "), "{color}");
    }
    // Help and usage errors are printed before the option is parsed.
    assert!(stdout(&nldemo(&["--color=always", "--help"])).contains('\u{1b}'));
    assert!(stderr(&nldemo(&["nonsense", "--color", "always"])).contains('\u{1b}'));
    assert!(!stdout(&nldemo(&["--color=never", "--help"])).contains('\u{1b}'));
}

#[test]
fn closed_standard_output_ends_help_quietly() {
    let (ours, theirs) = UnixStream::pair().unwrap();
    drop(theirs);
    let output = command(&["--help"])
        .stdout(Stdio::from(OwnedFd::from(ours)))
        .stderr(Stdio::piped())
        .output()
        .unwrap();
    assert_eq!(stderr(&output), "");
}
