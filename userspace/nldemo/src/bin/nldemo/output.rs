// SPDX-License-Identifier: GPL-2.0

//! Standard output as text or JSON, and errors on standard error.

use std::fmt;
use std::io;
use std::io::IsTerminal;
use std::io::Stdout;
use std::io::Write;

use anstream::AutoStream;
use anstream::stream::RawStream;
use anstyle::AnsiColor;
use anstyle::Style;
use clap::ColorChoice;
use serde::Serialize;

/// What begins the control sequences of terminals (ECMA-48).
const ESC: char = '\u{1b}';

/// How results are printed.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Format {
    Plain,
    /// One object a line.
    Json,
    PrettyJson,
}

/// Standard output. Everything printed is flushed at once, for readers that wait for it.
pub(crate) struct Output {
    stdout: Stdout,
    format: Format,
    color: ColorChoice,
    colored: bool,
    /// How many lines the latest frame has that is to be drawn over.
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
        self.stdout.write_all(text.as_ref())?;
        self.stdout.flush()
    }

    /// Prints text over what the latest call printed if this is a terminal, else below it.
    pub(crate) fn frame(&mut self, text: &str) -> io::Result<()> {
        if !self.stdout.is_terminal() {
            return self.text(text);
        }
        let home = match std::mem::replace(&mut self.drawn, text.lines().count()) {
            0 => String::new(),
            lines => format!("{ESC}[{lines}A{ESC}[J"),
        };
        // Lines that are too long are cut: wrapped, they would take more lines than counted.
        self.text(format!("{home}{ESC}[?7l{text}{ESC}[?7h"))
    }

    /// Prints a value as JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let text = self.json_text(value)?;
        self.text(text)
    }

    /// A value as JSON, as [`json`](Self::json) prints it.
    pub(crate) fn json_text(&self, value: &impl Serialize) -> io::Result<String> {
        let mut text = if self.format == Format::PrettyJson {
            serde_json::to_string_pretty(value)?
        } else {
            serde_json::to_string(value)?
        };
        text.push('\n');
        Ok(text)
    }

    /// Prints a warning on standard error.
    pub(crate) fn warn(&self, warning: impl fmt::Display) {
        let stderr = io::stderr();
        let style = style(colored(self.color, &stderr), AnsiColor::Yellow);
        // There is nowhere left to report a failure of this.
        let _ = writeln!(&stderr, "{style}warning:{style:#} {warning}");
    }

    /// Paints text if colours are wanted.
    pub(crate) fn paint<T: fmt::Display>(&self, color: AnsiColor, text: T) -> Painted<T> {
        Painted {
            style: style(self.colored, color),
            text,
        }
    }
}

/// Text with a style around it.
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
    // There is nowhere left to report a failure of this.
    let _ = writeln!(&stderr, "{style}error:{style:#} {failure}");
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
