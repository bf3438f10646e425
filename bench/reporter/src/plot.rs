// SPDX-License-Identifier: GPL-2.0

//! Bar charts as SVG that is readable on a light and on a dark background.

use std::error::Error;

use plotters::prelude::*;
use plotters::style::text_anchor::{HPos, Pos, VPos};

use crate::table::number;

/// The colour of text and lines on a light background. On a dark background, the style sheet
/// replaces this colour.
const INK: RGBColor = RGBColor(0x1f, 0x23, 0x28);
const STYLE: &str = "<!-- SPDX-License-Identifier: GPL-2.0 -->\
                     <style>text { font-family: system-ui, sans-serif } \
                     @media (prefers-color-scheme: dark) { \
                     [fill=\"#1F2328\"] { fill: #e6edf3 } [stroke=\"#1F2328\"] { stroke: #e6edf3 } }</style>";

/// Colours that are visible on a light and on a dark background.
pub(crate) const MODULE: RGBColor = RGBColor(0x2f, 0x81, 0xf7);
pub(crate) const TWIN: RGBColor = RGBColor(0x8b, 0x94, 0x9e);
pub(crate) const OTHER: RGBColor = RGBColor(0xd2, 0x99, 0x22);
pub(crate) const RIVAL: RGBColor = RGBColor(0xa3, 0x71, 0xf7);

/// The bars of one colour.
pub(crate) struct Series {
    pub(crate) name: &'static str,
    pub(crate) color: RGBColor,
}

/// Bars side by side.
pub(crate) struct Group {
    pub(crate) label: String,
    /// A value for each series, in the order of the chart's series.
    pub(crate) values: Vec<f64>,
}

/// A chart of groups of bars.
pub(crate) struct Chart {
    pub(crate) title: &'static str,
    pub(crate) series: Vec<Series>,
    pub(crate) groups: Vec<Group>,
    /// The value where a line is drawn, to compare the bars with.
    pub(crate) reference: Option<f64>,
    pub(crate) decimals: bool,
}

const WIDTH: i32 = 820;
const LABELS: i32 = 300;
const HEAD: i32 = 64;
const FOOT: i32 = 12;
const BAR: i32 = 18;
const GAP: i32 = 14;
/// The space for bars is longer than the longest bar by this factor, so that there is room for the
/// number behind this bar.
const NUMBERS: f64 = 1.12;

impl Chart {
    fn value(&self, value: f64) -> String {
        if self.decimals {
            format!("{value:.2}")
        } else {
            number(value.round()).trim_end_matches(".0").to_owned()
        }
    }

    /// The chart as SVG.
    pub(crate) fn svg(&self) -> Result<String, Box<dyn Error>> {
        let bars = i32::try_from(self.series.len())?;
        let row = bars * BAR + GAP;
        let height = HEAD + row * i32::try_from(self.groups.len())? + FOOT;
        let longest = self.groups.iter().flat_map(|group| &group.values).copied();
        let longest = longest.chain(self.reference).fold(0.0, f64::max);
        let scale = f64::from(WIDTH - LABELS - 20) / (longest * NUMBERS);
        #[expect(clippy::cast_possible_truncation, reason = "a place within the width")]
        let x = |value: f64| LABELS + (value * scale).round() as i32;
        let style = |size: i32, h| {
            ("sans-serif", size)
                .into_font()
                .color(&INK)
                .pos(Pos::new(h, VPos::Center))
        };

        let size = (u32::try_from(WIDTH)?, u32::try_from(height)?);
        let mut svg = String::new();
        let area = SVGBackend::with_string(&mut svg, size).into_drawing_area();
        area.draw(&Text::new(self.title, (12, 20), style(20, HPos::Left)))?;
        let mut left = LABELS;
        for series in &self.series {
            area.draw(&Rectangle::new(
                [(left, 40), (left + 12, 52)],
                series.color.filled(),
            ))?;
            area.draw(&Text::new(
                series.name,
                (left + 18, 46),
                style(16, HPos::Left),
            ))?;
            left += 44 + 7 * i32::try_from(series.name.len())?;
        }
        for (i, group) in self.groups.iter().enumerate() {
            let top = HEAD + row * i32::try_from(i)?;
            let middle = top + (bars * BAR / 2);
            let label = (LABELS - 10, middle);
            area.draw(&Text::new(
                group.label.as_str(),
                label,
                style(16, HPos::Right),
            ))?;
            for ((n, series), value) in (0..).zip(&self.series).zip(&group.values) {
                let y = top + n * BAR;
                let end = (x(*value), y + BAR - 3);
                area.draw(&Rectangle::new([(x(0.0), y), end], series.color.filled()))?;
                let place = y + BAR / 2 - 1;
                // A reference line could cross numbers behind the bars. So if there is a reference
                // line, the numbers are inside the bars.
                let (text, style) = if self.reference.is_some() {
                    ((end.0 - 5, place), style(15, HPos::Right).color(&WHITE))
                } else {
                    ((end.0 + 5, place), style(15, HPos::Left))
                };
                area.draw(&Text::new(self.value(*value), text, style))?;
            }
        }
        if let Some(reference) = self.reference {
            let line = [(x(reference), HEAD - 6), (x(reference), (height - FOOT))];
            area.draw(&PathElement::new(line, INK.stroke_width(1)))?;
        }
        area.present()?;
        drop(area);
        let head = svg
            .find("<svg")
            .and_then(|start| Some(start + svg[start..].find('>')? + 1));
        svg.insert_str(head.ok_or("no SVG was drawn")?, STYLE);
        Ok(svg)
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ink_is_what_the_style_sheet_swaps_and_bars_keep_their_colours() -> Result<(), Box<dyn Error>>
    {
        let chart = Chart {
            title: "Title",
            series: vec![Series {
                name: "module",
                color: MODULE,
            }],
            groups: vec![Group {
                label: "UDP".into(),
                values: vec![93.0],
            }],
            reference: Some(100.0),
            decimals: false,
        };
        let svg = chart.svg()?;
        for part in [
            "<style>",
            ">\nTitle\n</text>",
            ">\nUDP\n</text>",
            ">\n93\n</text>",
            "#2F81F7",
        ] {
            assert!(svg.contains(part), "{part} in {svg}");
        }
        // The title, the legend, the label and the style sheet have this fill. The number inside the bar
        // is white. The reference line and the style sheet have this stroke.
        assert_eq!(svg.matches("fill=\"#1F2328\"").count(), 3 + 1);
        assert_eq!(svg.matches("stroke=\"#1F2328\"").count(), 1 + 1);
        Ok(())
    }
}
