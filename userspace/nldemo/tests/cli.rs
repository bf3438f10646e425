// SPDX-License-Identifier: GPL-2.0

//! Tests of the command line that need no kernel module.

use std::os::fd::OwnedFd;
use std::os::unix::net::UnixStream;
use std::process::Command;
use std::process::Output;
use std::process::Stdio;

/// A protocol number that no loaded module uses.
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
fn usage_errors_show_the_usage_of_their_subcommand() {
    for (arguments, usage) in [
        // clap finds some of these errors, and the program finds the others.
        (
            &["queue", "run", "--queue", "65536"][..],
            "nldemo queue run [OPTIONS]",
        ),
        (
            &["config", "set", "queue=x"],
            "nldemo config set [OPTIONS] <KEY=VALUE>...",
        ),
        (
            &["config", "set", "queue=1", "queue=2"],
            "nldemo config set [OPTIONS] <KEY=VALUE>...",
        ),
        (
            &["queue", "run", "--nonsense"],
            "nldemo queue run [OPTIONS]",
        ),
        (
            &["stats", "--watch", "--count", "0"],
            "nldemo stats [OPTIONS]",
        ),
        (&["nonsense"], "nldemo [OPTIONS] <COMMAND>"),
    ] {
        let message = stderr(&nldemo(arguments));
        assert!(
            message.contains(&format!("\n\nUsage: {usage}\n")),
            "{message}"
        );
    }
}

#[test]
fn bash_completes_what_the_program_takes() {
    for (words, expected) in [
        ("nldemo queue r", "run"),
        ("nldemo queue run --fail", "--fail-open"),
        ("nldemo --color al", "always"),
    ] {
        let script = r#"
            source <("$0" completions bash) && read -ra COMP_WORDS <<<"$1"
            COMP_CWORD=$((${#COMP_WORDS[@]} - 1)) && COMP_LINE=$1 COMP_POINT=${#1}
            _nldemo nldemo "${COMP_WORDS[-1]}" "${COMP_WORDS[-2]}" && echo "${COMPREPLY[@]}"
        "#;
        let output = Command::new("bash")
            .args(["-c", script, env!("CARGO_BIN_EXE_nldemo"), words])
            .output()
            .unwrap();
        assert_eq!(stdout(&output).trim(), expected, "{}", stderr(&output));
    }
    for shell in ["zsh", "fish"] {
        assert!(stdout(&nldemo(&["completions", shell])).contains("fail-open"));
    }
}

#[test]
fn each_subcommand_has_a_manual_page() {
    let directory = std::env::temp_dir().join(format!("nldemo-man-{}", std::process::id()));
    std::fs::create_dir(&directory).unwrap();
    let written = nldemo(&["man", directory.to_str().unwrap()]);
    let page = |name: &str| std::fs::read_to_string(directory.join(name)).unwrap_or_default();
    let (program, run) = (page("nldemo.1"), page("nldemo-queue-run.1"));
    std::fs::remove_dir_all(&directory).unwrap();
    assert_eq!(
        (written.status.code(), stderr(&written)),
        (Some(0), String::new())
    );
    assert!(
        program.contains("nldemo\\-queue(1)") && !program.contains("nldemo\\-man"),
        "{program}"
    );
    assert!(
        run.contains(".TH nldemo-queue-run 1") && run.contains("fail\\-open"),
        "{run}"
    );

    let refused = nldemo(&["man", directory.to_str().unwrap()]);
    assert_eq!(refused.status.code(), Some(2));
    assert!(stderr(&refused).contains("No such file or directory"));
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
        &["queue", "run", "--copy", "meta", "--policy", "icmp drop"],
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
            &["forward,ingress", "input, forward, output, postrouting"],
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
        (&["queue"], &["expected KEY=VALUE"]),
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

/// The invalid value that the program's error message names, if there is such a message.
fn complaint(arguments: &[&str]) -> Option<String> {
    let message = stderr(&nldemo(arguments));
    let (_, complaint) = message.split_once("invalid value '")?;
    Some(complaint.split('\'').next().unwrap().to_owned())
}

#[test]
fn numbers_and_times_are_read_alike_everywhere() {
    // Each row has the words of a command before a number, the number, and the text after it.
    for (before, number, after) in [
        (&["echo", "--protocol"][..], "31", ""),
        (&["echo", "--protocol", "31", "--size"], "1", ""),
        (&["echo", "--protocol", "31", "--count"], "1", ""),
        (&["echo", "--protocol", "31", "--batch"], "1", ""),
        (&["monitor", "--protocol", "31", "--count"], "1", ""),
        (
            &["stats", "--protocol", "31", "--watch=1", "--count"],
            "1",
            "",
        ),
        (
            &[
                "filter",
                "attach",
                "--protocol=31",
                "--parity=odd",
                "--count",
            ],
            "1",
            "",
        ),
        (&["filter", "count", "no-such0", "--count"], "1", ""),
        (&["queue", "run", "-N", "no-such", "--queue"], "1", ""),
        (&["queue", "run", "-N", "no-such", "--queue"], "1", "-7"),
        (&["queue", "run", "-N", "no-such", "--count"], "1", ""),
        (&["queue", "run", "-N", "no-such", "--max-len"], "1", ""),
        (&["queue", "run", "-N", "no-such", "--buffer"], "1", ""),
        (&["queue", "run", "-N", "no-such", "--batch"], "1", ",5ms"),
        (&["queue", "run", "-N", "no-such", "--copy"], "packet:1", ""),
        (&["queue", "run", "-N", "no-such", "--set"], "ttl=1", ""),
        (
            &["queue", "run", "-N", "no-such", "--policy"],
            "size>1",
            " drop",
        ),
        (
            &["queue", "run", "-N", "no-such", "--policy"],
            "type 1",
            " drop",
        ),
        (
            &["queue", "run", "-N", "no-such", "--policy"],
            "mark 1",
            " drop",
        ),
        (
            &["queue", "run", "-N", "no-such", "--policy"],
            "rate 1",
            "/s drop",
        ),
        (
            &["queue", "run", "-N", "no-such", "--policy"],
            "queue 1",
            "",
        ),
        (&["config", "set", "--protocol", "31"], "queue=1", ""),
        (&["config", "set", "--protocol", "31"], "priority=1", ""),
        (&["config", "set", "--protocol", "31"], "ipv4-types=1", "-7"),
        (&["diag", "list", "-N", "no-such"], "port=1", ""),
        (&["diag", "list", "-N", "no-such"], "local=*:1", "-7"),
        (&["diag", "list", "-N", "no-such"], "inode=1", ""),
        (&["diag", "list", "-N", "no-such"], "cookie=1", ""),
        (&["diag", "list", "-N", "no-such"], "protocol=1", ""),
    ] {
        let with = |number: &str| complaint(&[before, &[&format!("{number}{after}")]].concat());
        let name = number.trim_end_matches(|digit: char| digit.is_ascii_digit());
        let digits = &number[name.len()..];
        let hexadecimal = format!("{name}{:#x}", digits.parse::<u64>().unwrap());
        assert_eq!(with(number), None, "{before:?} {number}");
        assert_eq!(with(&hexadecimal), None, "{before:?} {hexadecimal}");
        for sign in ["+", "0x+"] {
            let wrong = format!("{name}{sign}{digits}");
            assert_ne!(with(&wrong), None, "{before:?} {wrong}");
        }
    }
    for before in [
        &["echo", "--protocol", "31", "--timeout"][..],
        &["monitor", "--protocol", "31", "--timeout"],
        &[
            "filter",
            "attach",
            "--protocol=31",
            "--events=config",
            "--timeout",
        ],
        &["filter", "count", "no-such0", "--interval"],
        &["queue", "run", "-N", "no-such", "--timeout"],
    ] {
        let with = |time| complaint(&[before, &[time]].concat());
        for time in ["5", "0.5", "5s", "250ms", "5000us", "1m30s"] {
            assert_eq!(with(time), None, "{before:?} {time}");
        }
        for time in ["+5", "5 parsecs", "0", "5m5"] {
            assert_eq!(with(time).as_deref(), Some(time), "{before:?}");
        }
    }
}

#[test]
fn hooks_and_interfaces_are_named_alike_everywhere() {
    for name in ["input", "local-in", "LOCAL_IN", "prerouting", "PRE_ROUTING"] {
        let policy = format!("hook {name} drop");
        for arguments in [
            &["config", "set", "--protocol=31", &format!("hooks={name}")][..],
            &["queue", "run", "-N", "no-such", "--policy", &policy],
        ] {
            assert_eq!(complaint(arguments), None, "{arguments:?}");
        }
    }
    for (name, valid) in [
        ("lo", true),
        ("no-such0", true),
        ("4711", true),
        ("longer-than-15-b", false),
        ("a/b", false),
    ] {
        let (policy, place) = (format!("out {name} drop"), format!("local=*%{name}"));
        for arguments in [
            &["queue", "run", "-N", "no-such", "--policy", &policy][..],
            &["diag", "list", "-N", "no-such", &place],
            &["filter", "count", "-N", "no-such", name],
        ] {
            assert_eq!(complaint(arguments).is_none(), valid, "{arguments:?}");
        }
    }
}

/// Checks that the help of a command has these words.
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
    // clap prints help and usage errors before it has parsed `--color`.
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
