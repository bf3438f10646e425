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

    /// Text at the right of its column, as numbers are.
    pub(crate) fn right(text: impl Into<String>) -> Self {
        Self {
            right: true,
            ..Self::left(text)
        }
    }

    /// A rate, in colour where something happened.
    pub(crate) fn rate(per_second: f64) -> Self {
        let cell = Self::right(format!("{per_second:.1}"));
        if per_second > 0.0 {
            cell.painted(AnsiColor::Green)
        } else {
            cell
        }
    }

    /// The same cell in a colour.
    pub(crate) fn painted(self, color: AnsiColor) -> Self {
        Self {
            color: Some(color),
            ..self
        }
    }
}

/// Rows of cells, whose columns are as wide as their widest cell.
#[derive(Default)]
pub(crate) struct Table {
    rows: Vec<Vec<Cell>>,
}

impl Table {
    pub(crate) fn row(&mut self, cells: impl IntoIterator<Item = Cell>) {
        self.rows.push(cells.into_iter().collect());
    }

    /// The lines of the table, in colour if `output` is.
    pub(crate) fn render(&self, output: &Output) -> String {
        let mut text = String::new();
        for row in &self.rows {
            let mut gap = 0;
            for (column, cell) in row.iter().enumerate() {
                let padding = self.width(column) - cell.text.chars().count();
                let before = if cell.right { padding } else { 0 };
                text += &" ".repeat(gap + before);
                text += &match cell.color {
                    Some(color) => output.paint(color, &cell.text).to_string(),
                    None => cell.text.clone(),
                };
                gap = padding - before + 2;
            }
            text.truncate(text.trim_end_matches(' ').len());
            text.push('\n');
        }
        text
    }

    fn width(&self, column: usize) -> usize {
        let cells = self.rows.iter().filter_map(|row| row.get(column));
        let widths = cells.map(|cell| cell.text.chars().count());
        widths.max().unwrap_or_default()
    }
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
}
