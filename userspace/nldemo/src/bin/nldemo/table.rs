// SPDX-License-Identifier: GPL-2.0

//! Columns of text.

use anstyle::AnsiColor;

use crate::output::Output;

/// One cell of a [`Table`].
pub(crate) struct Cell {
    text: String,
    right: bool,
    color: Option<AnsiColor>,
}

impl Cell {
    /// Text at the left of its column.
    pub(crate) fn left(text: impl Into<String>) -> Self {
        Self {
            text: text.into(),
            right: false,
            color: None,
        }
    }

    /// Text at the right of its column, for numbers.
    pub(crate) fn right(text: impl Into<String>) -> Self {
        Self {
            right: true,
            ..Self::left(text)
        }
    }

    /// A rate, in colour if it is not 0.
    pub(crate) fn rate(per_second: f64) -> Self {
        let cell = Self::right(format!("{per_second:.1}"));
        if per_second > 0.0 {
            cell.painted(AnsiColor::Green)
        } else {
            cell
        }
    }

    fn width(&self) -> usize {
        self.text.chars().count()
    }

    /// The same cell in a colour.
    pub(crate) fn painted(self, color: AnsiColor) -> Self {
        Self {
            color: Some(color),
            ..self
        }
    }
}

/// Rows of cells. A column is as wide as its widest cell.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
    /// For each column, the width of the widest cell so far.
    widths: Vec<usize>,
}

impl Table {
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        let cells: Vec<_> = cells.into_iter().collect();
        self.widths.resize(self.widths.len().max(cells.len()), 0);
        for (width, cell) in self.widths.iter_mut().zip(&cells) {
            *width = cell.width().max(*width);
        }
        self.rows.push(cells);
    }

    /// The lines of the table, in colour if `output` uses colours.
    pub(crate) fn render(&self, output: &Output) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let mut gap = 0;
            for (cell, width) in row.iter().zip(&self.widths) {
                let padding = width - cell.width();
                let before = if cell.right { padding } else { 0 };
                pad(&mut text, gap + before);
                match cell.color {
                    Some(color) => text += &output.paint(color, &cell.text).to_string(),
                    None => text += &cell.text,
                }
                gap = padding - before + 2;
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }

    /// Renders the rows and then removes them. The columns keep their widths, so that rows of the
    /// next call have the same columns.
    pub(crate) fn drain(&mut self, output: &Output) -> String {
        let text = self.render(output);
        self.rows.clear();
        text
    }
}

fn pad(text: &mut String, spaces: usize) {
    text.extend(std::iter::repeat_n(' ', spaces));
}

#[cfg(test)]
mod tests {
    use clap::ColorChoice;

    use super::*;
    use crate::output::Format;

    #[test]
    fn columns_are_aligned_whatever_their_colour() {
        let mut table = Table::default();
        table.row([Cell::left("key"), Cell::right("n"), Cell::left("")]);
        table.row([Cell::left("a").painted(AnsiColor::Red), Cell::right("100")]);
        table.row([Cell::left("longer"), Cell::right("7"), Cell::left("end")]);
        let render = |color| table.render(&Output::new(Format::Plain, color));
        assert_eq!(
            render(ColorChoice::Never),
            "key       n\na       100\nlonger    7  end\n"
        );
        let painted = render(ColorChoice::Always);
        assert!(
            painted.contains("\u{1b}[31ma\u{1b}[0m       100\n"),
            "{painted:?}"
        );
    }
    #[test]
    fn columns_of_a_drained_table_do_not_shrink() {
        let output = Output::new(Format::Plain, ColorChoice::Never);
        let mut table = Table::default();
        table.row([Cell::left("wide"), Cell::left("x")]);
        assert_eq!(table.drain(&output), "wide  x\n");
        table.row([Cell::left("a"), Cell::left("y")]);
        assert_eq!(table.drain(&output), "a     y\n");
        assert_eq!(table.drain(&output), "");
    }
}
