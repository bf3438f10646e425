// SPDX-License-Identifier: GPL-2.0

//! Rows as a Markdown table.

use crate::row::{PATH, Ratio, Row};

/// A number with commas between thousands, and a decimal place only if it is small.
pub(crate) fn number(value: f64) -> String {
    let text = if value.abs() < 100.0 {
        format!("{value:.1}")
    } else {
        format!("{value:.0}")
    };
    let (whole, rest) = text.split_at(text.find('.').unwrap_or(text.len()));
    let (sign, digits) = whole.split_at(usize::from(whole.starts_with('-')));
    let mut grouped = String::new();
    for (i, digit) in digits.chars().enumerate() {
        if i > 0 && (digits.len() - i) % 3 == 0 {
            grouped.push(',');
        }
        grouped.push(digit);
    }
    format!("{sign}{grouped}{rest}")
}

/// A ratio with its bound, in bold type if the bound is not met.
fn ratio(ratio: &Ratio) -> String {
    let value = format!("{:.3}", ratio.value);
    match (ratio.bound.as_str(), ratio.met) {
        ("", _) => value,
        (bound, true) => format!("{value} ({bound})"),
        (bound, false) => format!("**{value}** ({bound}, not met)"),
    }
}

/// The distinct items, in the order of their first occurrence.
fn distinct<'a>(items: impl Iterator<Item = &'a str>) -> Vec<&'a str> {
    let mut found = Vec::new();
    for item in items {
        if !found.contains(&item) {
            found.push(item);
        }
    }
    found
}

/// The text for the cost of the subject `of`. If the row has the cost of the packet's path without
/// a hook ([`PATH`]), the text is the difference to that cost.
fn cost(row: &Row, of: &str) -> String {
    match (row.cost(of), row.cost(PATH)) {
        (None, _) => String::new(),
        (Some(cost), Some(path)) if of != PATH => format!("+ {}", number(cost - path)),
        (Some(cost), _) => number(cost),
    }
}

/// The table of the rows of one section. If the units of the rows differ, each row names its unit.
pub(crate) fn table(rows: &[&Row]) -> String {
    let costs = distinct(
        rows.iter()
            .flat_map(|row| row.costs.iter().map(|(name, _)| name.as_str())),
    );
    let ratios = distinct(
        rows.iter()
            .flat_map(|row| row.ratios.iter().map(|ratio| ratio.name.as_str())),
    );
    let units = distinct(rows.iter().map(|row| row.unit.as_str()));
    let first = match units[..] {
        [unit] => unit,
        _ => "",
    };

    let headings = costs
        .iter()
        .map(|name| if *name == PATH { "path" } else { name });
    let line = |cells: Vec<String>| format!("| {} |\n", cells.join(" | "));
    let mut text = line(
        [first]
            .into_iter()
            .chain(headings)
            .chain(ratios.iter().copied())
            .map(String::from)
            .collect(),
    );
    text += &format!("|---{}|\n", "|---:".repeat(costs.len() + ratios.len()));
    for row in rows {
        let work = if units.len() > 1 {
            format!("{}, {}", row.work, row.unit)
        } else {
            row.work.clone()
        };
        let costs = costs.iter().map(|of| cost(row, of));
        let ratios = ratios
            .iter()
            .map(|name| row.ratio(name).map_or(String::new(), ratio));
        text += &line([work].into_iter().chain(costs).chain(ratios).collect());
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn numbers_have_commas_between_thousands() {
        for (value, text) in [
            (0.04, "0.0"),
            (93.46, "93.5"),
            (-7.0, "-7.0"),
            (999.9, "1,000"),
            (-12_345.6, "-12,346"),
            (1_234_567.0, "1,234,567"),
        ] {
            assert_eq!(number(value), text);
        }
    }

    #[test]
    fn costs_behind_the_path_are_what_is_added() {
        let row = |costs: &[(&str, f64)], ratios| Row {
            section: "passing".into(),
            work: "UDP".into(),
            unit: "instructions".into(),
            costs: costs
                .iter()
                .map(|(name, cost)| ((*name).into(), *cost))
                .collect(),
            ratios,
        };
        let missed = Ratio {
            name: "module / twin".into(),
            value: 1.0753,
            spread: 0.0,
            more_is_better: false,
            bound: "≤ 1.00".into(),
            met: false,
            allowed: true,
            why: String::new(),
        };
        let rows = [
            row(&[(PATH, 8000.0), ("twin", 8093.0)], vec![missed]),
            row(&[("twin", 900.0)], vec![]),
        ];
        assert_eq!(
            table(&rows.iter().collect::<Vec<_>>()),
            "| instructions | path | twin | module / twin |\n\
             |---|---:|---:|---:|\n\
             | UDP | 8,000 | + 93.0 | **1.075** (≤ 1.00, not met) |\n\
             | UDP |  | 900 |  |\n"
        );
    }
}
