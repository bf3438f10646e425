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
    for json in [&[][..], &["-j"]] {
        let output = nldemo(&[&["echo", "--protocol", UNUSED_PROTOCOL], json].concat());
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
        &["queue", "run", "--policy", "echo-size=x"],
        &["queue", "run", "--color", "sometimes"],
    ] {
        let output = nldemo(arguments);
        assert_eq!(output.status.code(), Some(2), "{arguments:?}");
        assert_eq!(stdout(&output), "", "{arguments:?}");
        assert_ne!(stderr(&output), "", "{arguments:?}");
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
            &["Examples:", "echo-size=N", "event summary"],
        ),
    ] {
        let output = nldemo(arguments);
        assert_eq!(output.status.code(), Some(0));
        for word in words {
            assert!(stdout(&output).contains(word), "{arguments:?} lacks {word}");
        }
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
