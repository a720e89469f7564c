//! A case as text: what each server did, and what Windrose did by that.

use super::spread::number;
use super::{Row, Summary};
use crate::cases::{Case, Column};
use std::fmt::Write;

/// The width of servers' names.
const NAME: usize = 18;

/// The tables of a case.
pub(super) fn of(case: &Case, rounds: usize, summary: &Summary) -> String {
    let columns = case.columns();
    let compared = case.compared().min(columns.len());
    let mut text = format!("{}: {}; {rounds} rounds\n", case.name, case.about);
    heading(&mut text, "", columns, compared);
    for row in &summary.servers {
        if row.spreads.iter().all(Option::is_none) {
            let _ = writeln!(text, "  {:<NAME$}{:>12}", row.server, "failed");
        } else {
            line(&mut text, row, compared);
        }
    }
    if !summary.ratios.is_empty() {
        heading(&mut text, "windrose by", columns.get(..compared).unwrap_or_default(), compared);
        summary.ratios.iter().for_each(|row| line(&mut text, row, compared));
    }
    let direction = if case.less_is_better() { "less is better" } else { "more is better" };
    let best = summary.best.and_then(|best| summary.ratios.iter().find(|row| row.server == best));
    if let (Some(row), Some((title, _))) = (best, columns.first())
        && let Some(Some(spread)) = row.spreads.first()
    {
        let (peer, ratio, range) = (row.server, number(spread.median), spread.range());
        let _ = writeln!(
            text,
            "  best peer: {peer}; windrose has {ratio} {range} times its {title}, {direction}"
        );
    }
    if !summary.left_out.is_empty() {
        let _ = writeln!(text, "  cannot: {}", summary.left_out.join(", "));
    }
    text
}

/// Compared columns come with least and most, the others are medians.
fn heading(text: &mut String, first: &str, columns: &[Column], compared: usize) {
    let mut line = format!("  {first:<NAME$}");
    for (index, (title, _)) in columns.iter().enumerate() {
        let _ = write!(line, "{title:>12}");
        if index < compared {
            let _ = write!(line, " {:<22}", "(least..most)");
        }
    }
    text.push_str(line.trim_end());
    text.push('\n');
}

fn line(text: &mut String, row: &Row, compared: usize) {
    let mut line = format!("  {:<NAME$}", row.server);
    for (index, spread) in row.spreads.iter().enumerate() {
        let (median, range) =
            spread.map_or_else(|| ("-".to_owned(), String::new()), |it| (number(it.median), it.range()));
        let _ = write!(line, "{median:>12}");
        if index < compared {
            let _ = write!(line, " {range:<22}");
        }
    }
    text.push_str(line.trim_end());
    text.push('\n');
}
