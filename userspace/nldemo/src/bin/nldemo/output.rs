// SPDX-License-Identifier: GPL-2.0

//! Standard output as text or JSON, and errors on standard error.

use std::fmt;
use std::fs::File;
use std::io;
use std::io::IsTerminal;
use std::io::Stdout;
use std::sync::Arc;
use std::sync::mpsc;
use std::thread;
use std::time::Duration;

use anstream::AutoStream;
use anstream::stream::RawStream;
use anstyle::AnsiColor;
use anstyle::Style;
use clap::ColorChoice;
use clap::builder::StyledStr;
use linux_names::text::is_harmful;
use serde::Serialize;

use crate::patient;
use crate::pretty;
use crate::writer;

/// The longest time to wait for standard error to take a message.
const PATIENCE: Duration = Duration::from_secs(1);
/// The start of the control sequences of terminals (ECMA-48).
const ESC: char = '\u{1b}';

/// The format of results.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Plain,
    /// JSON, one object on each line.
    Json,
    PrettyJson,
}

/// Standard output. Each function writes its text before it returns, because a reader may wait for
/// the text.
pub(crate) struct Output {
    stdout: Stdout,
    format: Format,
    color: ColorChoice,
    colored: bool,
    /// The number of lines of the latest frame. The next frame is drawn over these lines.
    drawn: usize,
}

impl Output {
    pub(crate) fn new(format: Format, color: ColorChoice) -> Self {
        let stdout = io::stdout();
        Self {
            colored: colored(color, &stdout),
            stdout,
            format,
            color,
            drawn: 0,
        }
    }

    pub(crate) fn is_json(&self) -> bool {
        self.format != Format::Plain
    }

    /// Prints text as it is.
    pub(crate) fn text(&mut self, text: impl AsRef<[u8]>) -> io::Result<()> {
        patient::write_all(&self.stdout, text.as_ref())
    }

    /// Prints styled text, in colours if colours are wanted.
    pub(crate) fn styled(&mut self, text: &StyledStr) -> io::Result<()> {
        if self.colored {
            self.text(text.ansi().to_string())
        } else {
            self.text(text.to_string())
        }
    }

    /// A second descriptor of standard output.
    pub(crate) fn file(&self) -> io::Result<File> {
        writer::duplicate(&self.stdout)
    }

    /// On a terminal, prints text over the text of the previous call. Otherwise prints the text
    /// below the previous text.
    pub(crate) fn frame(&mut self, text: &str) -> io::Result<()> {
        if !self.stdout.is_terminal() {
            return self.text(text);
        }
        let home = match std::mem::replace(&mut self.drawn, text.lines().count()) {
            0 => String::new(),
            lines => format!("{ESC}[{lines}A{ESC}[J"),
        };
        // The control sequences turn line wrap off, so the terminal cuts long lines. A line that
        // wraps would take more lines of the terminal than `drawn` counts.
        self.text(format!("{home}{ESC}[?7l{text}{ESC}[?7h"))
    }

    /// Prints a value as JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = self.json_text(value)?;
        self.text(text)
    }

    /// A value as JSON, in the form that [`json`](Self::json) prints.
    pub(crate) fn json_text(&self, value: &impl Serialize) -> io::Result<Vec<u8>> {
        let mut text = Vec::new();
        self.append_json(&mut text, value)?;
        Ok(text)
    }

    /// Appends a value as JSON to `text`.
    pub(crate) fn append_json(&self, text: &mut Vec<u8>, value: &impl Serialize) -> io::Result<()> {
        let start = text.len();
        if self.format == Format::PrettyJson {
            serde_json::to_writer_pretty(&mut *text, value)?;
        } else {
            serde_json::to_writer(&mut *text, value)?;
        }
        escape_json(text, start);
        text.push(b'\n');
        Ok(())
    }

    /// Appends an object in the form that [`json`](Self::json) prints. `append` appends the object
    /// on one line, without the end of the line.
    pub(crate) fn append_object(&self, text: &mut Vec<u8>, append: impl FnOnce(&mut Vec<u8>)) {
        if self.format == Format::PrettyJson {
            let mut object = Vec::new();
            append(&mut object);
            pretty::append(text, &object);
        } else {
            append(text);
        }
        text.push(b'\n');
    }

    /// Prints a warning on standard error.
    pub(crate) fn warn(&self, warning: impl fmt::Display) {
        let stderr = io::stderr();
        let style = style(colored(self.color, &stderr), AnsiColor::Yellow);
        complain(format!("{style}warning:{style:#} {warning}\n"));
    }

    /// The control sequences that begin and end this colour. They are empty if the output has no
    /// colours.
    pub(crate) fn around(&self, color: AnsiColor) -> [String; 2] {
        let style = style(self.colored, color);
        [style.to_string(), format!("{style:#}")]
    }

    /// Text in a colour, if colours are wanted.
    pub(crate) fn paint<T: fmt::Display>(&self, color: AnsiColor, text: T) -> Painted<T> {
        Painted {
            style: style(self.colored, color),
            text,
        }
    }
}

/// Text as a JSON string.
pub(crate) fn json_string(text: &str) -> String {
    let mut json = serde_json::Value::from(text).to_string().into_bytes();
    escape_json(&mut json, 0);
    String::from_utf8_lossy(&json).into_owned()
}

/// Escapes characters that JSON allows in strings and that can do harm to a terminal.
fn escape_json(text: &mut Vec<u8>, start: usize) {
    let json = text.get(start..).unwrap_or_default();
    // Indented JSON has line ends outside its strings. These line ends must stay as they are. All
    // other characters that can do harm to a terminal are in strings, where JSON allows escapes.
    let is_plain = |byte: &u8| byte.is_ascii() && *byte != 0x7f;
    if json.iter().all(is_plain) {
        return;
    }
    let json = String::from_utf8_lossy(json).into_owned();
    text.truncate(start);
    for character in json.chars() {
        if character != '\n' && is_harmful(character) {
            // Four digits are enough, because no harmful character is above U+FFFF.
            text.extend(format!("\\u{:04x}", u32::from(character)).into_bytes());
        } else {
            text.extend(character.encode_utf8(&mut [0; 4]).as_bytes());
        }
    }
}

/// Text with a style.
pub(crate) struct Painted<T> {
    style: Style,
    text: T,
}

impl<T: fmt::Display> fmt::Display for Painted<T> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}{}{:#}", self.style, self.text, self.style)
    }
}

/// Prints the reason of a failure.
pub(crate) fn print_error(color: ColorChoice, failure: &dyn fmt::Display) {
    let stderr = io::stderr();
    let style = style(colored(color, &stderr), AnsiColor::Red);
    complain(format!("{style}error:{style:#} {failure}\n"));
}

/// Writes to standard error. If standard error is a stopped terminal, this function waits at most
/// for the time [`PATIENCE`].
pub(crate) fn complain(text: String) {
    let (done, waiting) = mpsc::channel::<()>();
    let text = Arc::new(text);
    let theirs = Arc::clone(&text);
    let started = thread::Builder::new().spawn(move || {
        write_error(&theirs);
        drop(done);
    });
    if started.is_ok() {
        // The thread sends no value. `recv_timeout` returns when the thread has written the text
        // and drops its end of the channel, or after the time `PATIENCE`.
        let _ = waiting.recv_timeout(PATIENCE);
    } else {
        // If no thread can be started, this function itself writes. It may wait long for a stopped
        // terminal, but the text is not lost.
        write_error(&text);
    }
}

fn write_error(text: &str) {
    // A failure of this write cannot be reported anywhere.
    let _ = patient::write_all(io::stderr(), text.as_bytes());
}

fn style(colored: bool, color: AnsiColor) -> Style {
    if colored {
        color.on_default()
    } else {
        Style::new()
    }
}

fn colored(color: ColorChoice, stream: &impl RawStream) -> bool {
    match color {
        ColorChoice::Always => true,
        ColorChoice::Never => false,
        ColorChoice::Auto => AutoStream::choice(stream) != anstream::ColorChoice::Never,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_does_a_terminal_no_harm_and_means_the_same() {
        let name = "a\u{1b}[31m \u{9b}31m \u{7f} \u{202e} gr\u{fc}n\n";
        for format in [Format::Json, Format::PrettyJson] {
            let text = Output::new(format, ColorChoice::Never)
                .json_text(&[name])
                .unwrap();
            let text = String::from_utf8(text).unwrap();
            let harmful = text.chars().filter(|&c| c != '\n' && is_harmful(c));
            assert_eq!(harmful.count(), 0, "{text:?}");
            assert!(text.contains("gr\u{fc}n"));
            assert_eq!(serde_json::from_str::<Vec<String>>(&text).unwrap(), [name]);
        }
    }
}
