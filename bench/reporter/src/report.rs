// SPDX-License-Identifier: GPL-2.0

//! The report: a page of tables, with plots.

use std::error::Error;
use std::fmt::Write;
use std::fs;
use std::path::Path;

use crate::plot::{Chart, Group, MODULE, OTHER, RIVAL, Series, TWIN};
use crate::row::{Ratio, Row};
use crate::section::{SECTIONS, Section};
use crate::table::table;

/// The sections that have rows.
fn sections(rows: &[Row]) -> impl Iterator<Item = (&'static Section, Vec<&Row>)> {
    SECTIONS.iter().filter_map(|section| {
        let rows: Vec<_> = rows
            .iter()
            .filter(|row| row.section == section.key)
            .collect();
        (!rows.is_empty()).then_some((section, rows))
    })
}

/// The tables, each under its heading.
pub(crate) fn tables(rows: &[Row]) -> String {
    let mut text = String::new();
    for (section, rows) in sections(rows) {
        let _ = write!(text, "## {}\n\n{}\n", section.title, table(&rows));
    }
    text
}

/// A sentence for each ratio for which `holds` returns true.
pub(crate) fn ratios(rows: &[Row], holds: impl Fn(&Ratio) -> bool) -> Vec<String> {
    let mut found = Vec::new();
    for row in rows {
        for ratio in row.ratios.iter().filter(|ratio| holds(ratio)) {
            let (work, name, bound) = (&row.work, &ratio.name, &ratio.bound);
            found.push(format!("{work}: {name} is {:.3} ({bound})", ratio.value));
        }
    }
    found
}

/// A plot and how it is drawn.
struct Plot {
    /// The key of the plot's section. It is empty for the plot at the top of the page.
    section: &'static str,
    file: &'static str,
    alt: &'static str,
    draw: fn(&[Row]) -> Chart,
}

const PLOTS: [Plot; 4] = [
    Plot {
        section: "",
        file: "overview.svg",
        alt: "The module's cost divided by that of its twin in C",
        draw: overview,
    },
    Plot {
        section: "echo",
        file: "echo.svg",
        alt: "Instructions of an echo round trip by size",
        draw: echo,
    },
    Plot {
        section: "passing",
        file: "hooks.svg",
        alt: "Instructions that hooks add to a UDP packet",
        draw: hooks,
    },
    Plot {
        section: "consumers",
        file: "consumers.svg",
        alt: "Packets that consumers accept in a million instructions",
        draw: consumers,
    },
];

fn module_and_twin() -> Vec<Series> {
    vec![
        Series {
            name: "Rust module",
            color: MODULE,
        },
        Series {
            name: "C twin",
            color: TWIN,
        },
    ]
}

fn overview(rows: &[Row]) -> Chart {
    let of = |row: &Row| {
        let hook = row.cost(crate::row::PATH).is_some();
        let label = if hook {
            format!("hook: {}", row.work)
        } else {
            row.work.clone()
        };
        let values = vec![row.ratio("module / twin")?.value];
        Some(Group { label, values })
    };
    Chart {
        title: "The module's cost divided by that of its twin in C (instructions)",
        series: vec![Series {
            name: "Rust module",
            color: MODULE,
        }],
        groups: rows
            .iter()
            .filter(|row| {
                row.section == "echo"
                    || row.section == "passing" && row.work.ends_with("prerouting")
            })
            .filter_map(of)
            .collect(),
        reference: Some(1.0),
        decimals: true,
    }
}

fn echo(rows: &[Row]) -> Chart {
    Chart {
        title: "An echo round trip, instructions",
        series: module_and_twin(),
        groups: rows
            .iter()
            .filter(|row| row.section == "echo" && !row.work.contains("at once"))
            .filter_map(|row| {
                let values = vec![row.cost("module")?, row.cost("twin")?];
                Some(Group {
                    label: row.work.clone(),
                    values,
                })
            })
            .collect(),
        reference: None,
        decimals: false,
    }
}

fn hooks(rows: &[Row]) -> Chart {
    let mut series = module_and_twin();
    series.push(Series {
        name: "nftables rule",
        color: OTHER,
    });
    series.push(Series {
        name: "empty BPF program",
        color: RIVAL,
    });
    Chart {
        title: "What a hook adds to a packet that is not ICMP, instructions",
        series,
        groups: rows
            .iter()
            .filter(|row| row.section == "passing" && row.work.starts_with("UDP,"))
            .filter_map(|row| {
                let values = ["module", "twin", "nft", "BPF, empty"];
                let values = values.map(|name| row.added(name));
                let values = values.into_iter().collect::<Option<_>>()?;
                Some(Group {
                    label: row.work.clone(),
                    values,
                })
            })
            .collect(),
        reference: None,
        decimals: false,
    }
}

fn consumers(rows: &[Row]) -> Chart {
    Chart {
        title: "Packets that consumers accept in a million instructions",
        series: vec![
            Series {
                name: "nldemo, batches",
                color: MODULE,
            },
            Series {
                name: "nldemo, one by one",
                color: OTHER,
            },
            Series {
                name: "C, tuned",
                color: TWIN,
            },
            Series {
                name: "C, one by one",
                color: RIVAL,
            },
        ],
        groups: rows
            .iter()
            .filter(|row| row.section == "consumers" && row.work.starts_with("a packet"))
            .filter_map(|row| {
                let million = |name| Some(1e6 / row.cost(name)?);
                let values = vec![
                    million("batches")?,
                    million("one by one")?,
                    million("C, tuned")?,
                    million("C")?,
                ];
                let label = row.work.trim_start_matches("a packet, ").to_owned();
                Some(Group { label, values })
            })
            .collect(),
        reference: None,
        decimals: false,
    }
}

/// Writes the page and its plots.
pub(crate) fn write(
    directory: &Path,
    rows: &[Row],
    about: &[(String, String)],
) -> Result<(), Box<dyn Error>> {
    fs::create_dir_all(directory)?;
    for plot in &PLOTS {
        fs::write(directory.join(plot.file), (plot.draw)(rows).svg()?)?;
    }
    let mut page = String::from(HEAD);
    page += &format!("![{}]({})\n\n", PLOTS[0].alt, PLOTS[0].file);
    for (what, value) in about {
        let _ = writeln!(page, "- {what}: {value}");
    }
    let missed = ratios(rows, |ratio| !ratio.met);
    if missed.is_empty() {
        page += "\nAll bounds are met.\n";
    } else {
        page += "\nBounds that are not met yet:\n\n";
        for ratio in missed {
            let _ = writeln!(page, "- {ratio}");
        }
        let mut reasons = Vec::new();
        for ratio in rows.iter().flat_map(|row| &row.ratios) {
            if !ratio.met && !ratio.why.is_empty() && !reasons.contains(&&ratio.why) {
                let _ = write!(page, "\n{}\n", ratio.why);
                reasons.push(&ratio.why);
            }
        }
    }
    for (section, rows) in sections(rows) {
        let _ = write!(page, "\n## {}\n\n{}\n\n", section.title, section.about);
        if let Some(plot) = PLOTS.iter().find(|plot| plot.section == section.key) {
            let _ = write!(page, "![{}]({})\n\n", plot.alt, plot.file);
        }
        page += &table(&rows);
    }
    fs::write(directory.join("README.md"), page)?;
    Ok(())
}

const HEAD: &str = "\
<!-- SPDX-License-Identifier: GPL-2.0 -->
<!-- Written by `scripts/bench --record`. -->
# What the module costs

`make bench` measures all of this again, on any machine: the guest's clock counts instructions
(`-icount`), so figures do not depend on the machine's speed or load, only on the kernel, the
compilers and the emulated CPU. All subjects take turns in one boot, and every answer is checked.
Numbers in parentheses are bounds; a ratio that misses its bound is bold. The module is compared with

- the **twin** ([`nldemo_twin.c`](../twin/nldemo_twin.c)): C with equal duties. Only the language and
  its compiler differ. Some rows also have the bare twin ([`nldemo_bare.c`](../twin/nldemo_bare.c)). It
  lacks the calls for tracing and the stack protectors, which the kernel's flags add to C code only;
- the **floor** ([`nldemo_floor.c`](../twin/nldemo_floor.c)): C without statistics, configuration and
  most checks, which copies every echo. The duties and the algorithm differ;
- rules of **nftables** that do the hook's job, and **BPF** programs, which cannot do it: a BPF program
  can let a packet pass or drop it, but cannot queue it. The empty program shows the least cost of a BPF
  program; the other one reads the protocol, as the module's hook does.

";
