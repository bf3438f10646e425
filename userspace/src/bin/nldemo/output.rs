// SPDX-License-Identifier: GPL-2.0

//! Standard output as text or JSON, and errors on standard error.

use std::fmt;
use std::io;
use std::io::Stdout;
use std::io::Write;

use anstream::AutoStream;
use anstream::stream::RawStream;
use anstyle::AnsiColor;
use anstyle::Style;
use clap::ColorChoice;
use serde::Serialize;

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
    colored: bool,
}

impl Output {
    pub(crate) fn new(format: Format, color: ColorChoice) -> Self {
        let stdout = io::stdout();
        Self {
            colored: colored(color, &stdout),
            stdout,
            format,
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

    /// Prints a value as JSON.
    pub(crate) fn json(&mut self, value: &impl Serialize) -> io::Result<()> {
        let mut text = if self.format == Format::PrettyJson {
            serde_json::to_string_pretty(value)?
        } else {
            serde_json::to_string(value)?
        };
        text.push('\n');
        self.text(text)
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
