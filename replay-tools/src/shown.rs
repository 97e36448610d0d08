//! How instants, amounts and tables are shown to a person.

use std::fmt::Write;

use cauri_domain::money::Currency;
use cauri_domain::time::Timestamp;

/// An instant in its one text form.
pub(crate) fn instant(micros: i64) -> String {
    Timestamp::from_micros(micros).map_or_else(|| format!("{micros} µs"), |instant| instant.to_string())
}

/// Minor units in major units without separators, as in every JSON: `9890`, `-12.50`.
pub(crate) fn plain(minor: i128, currency: Currency) -> String {
    written(minor, currency, "")
}

/// Minor units in major units for a person: `9,890`, `-12.50`.
pub(crate) fn amount(minor: i128, currency: Currency) -> String {
    written(minor, currency, ",")
}

fn written(minor: i128, currency: Currency, separator: &str) -> String {
    let exponent = currency.exponent() as usize;
    let digits = format!("{:0>width$}", minor.unsigned_abs(), width = exponent + 1);
    let (whole, fraction) = digits.split_at(digits.len() - exponent);
    let mut text = String::with_capacity(digits.len() + 8);
    if minor < 0 {
        text.push('-');
    }
    text.push_str(&grouped(whole, separator));
    if exponent > 0 {
        text.push('.');
        text.push_str(fraction);
    }
    text
}

/// A count for a person: `12,345`.
pub(crate) fn count(number: u64) -> String {
    grouped(&number.to_string(), ",")
}

fn grouped(digits: &str, separator: &str) -> String {
    let mut text = String::with_capacity(digits.len() * 4 / 3);
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push_str(separator);
        }
        text.push(digit);
    }
    text
}

/// Bytes for a person, in units of 1,000: `512 B`, `6.1 MB`.
pub(crate) fn size(bytes: u64) -> String {
    let mut units = ["B", "kB", "MB", "GB", "TB"].into_iter().peekable();
    let (mut whole, mut tenth) = (bytes, 0);
    while let Some(unit) = units.next() {
        if whole < 1_000 || units.peek().is_none() {
            return if unit == "B" { format!("{whole} B") } else { format!("{whole}.{tenth} {unit}") };
        }
        tenth = whole % 1_000 / 100;
        whole /= 1_000;
    }
    format!("{bytes} B")
}

/// To which side a column's cells lean.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub(crate) enum Lean {
    /// Words.
    Left,
    /// Figures.
    Right,
}

/// A table of aligned columns.
#[derive(Debug)]
pub(crate) struct Table {
    columns: Vec<(String, Lean)>,
    rows: Vec<Row>,
}

#[derive(Debug)]
enum Row {
    Cells(Vec<String>),
    Line,
}

impl Table {
    /// An empty table under these headings.
    pub(crate) fn new(columns: &[(&str, Lean)]) -> Self {
        Self { columns: columns.iter().map(|(name, lean)| ((*name).to_owned(), *lean)).collect(), rows: Vec::new() }
    }

    /// Adds a row, one cell a column.
    pub(crate) fn row<S: Into<String>>(&mut self, cells: impl IntoIterator<Item = S>) {
        self.rows.push(Row::Cells(cells.into_iter().map(Into::into).collect()));
    }

    /// Adds a ruled line, as above a sum.
    pub(crate) fn line(&mut self) {
        self.rows.push(Row::Line);
    }

    /// The table as text, each line beginning with `indent`.
    pub(crate) fn text(&self, indent: &str) -> String {
        let width = |text: &str| text.chars().count();
        let mut widths: Vec<usize> = self.columns.iter().map(|(name, _)| width(name)).collect();
        for row in &self.rows {
            if let Row::Cells(cells) = row {
                for (widest, cell) in widths.iter_mut().zip(cells) {
                    *widest = (*widest).max(width(cell));
                }
            }
        }
        let mut out = String::new();
        let mut put = |cells: &[&str]| {
            let mut line = indent.to_owned();
            for (index, (cell, (_, lean))) in cells.iter().zip(&self.columns).enumerate() {
                let gap = widths[index].saturating_sub(width(cell));
                if index > 0 {
                    line.push_str("  ");
                }
                if *lean == Lean::Right {
                    line.extend(std::iter::repeat_n(' ', gap));
                }
                line.push_str(cell);
                if *lean == Lean::Left {
                    line.extend(std::iter::repeat_n(' ', gap));
                }
            }
            let _ = writeln!(out, "{}", line.trim_end());
        };
        let rule: Vec<String> = widths.iter().map(|width| "-".repeat(*width)).collect();
        let rule: Vec<&str> = rule.iter().map(String::as_str).collect();
        put(&self.columns.iter().map(|(name, _)| name.as_str()).collect::<Vec<_>>());
        put(&rule);
        for row in &self.rows {
            match row {
                Row::Cells(cells) => put(&cells.iter().map(String::as_str).collect::<Vec<_>>()),
                Row::Line => put(&rule),
            }
        }
        out
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn amounts_have_their_currencys_digits_and_groups_of_three() {
        assert_eq!(amount(1_234_567, Currency::XOF), "1,234,567");
        assert_eq!(amount(-5, Currency::EUR), "-0.05");
        assert_eq!(plain(123_456, Currency::EUR), "1234.56");
        assert_eq!((count(999), count(1_000)), ("999".to_owned(), "1,000".to_owned()));
    }

    #[test]
    fn sizes_have_one_digit_after_the_point() {
        assert_eq!([size(0), size(999), size(1_000), size(6_149_999)], ["0 B", "999 B", "1.0 kB", "6.1 MB"]);
    }
}
