//! What came of the day, for a person: counts, refusals, speed, the trial balance, the head.

use std::collections::BTreeMap;
use std::fmt;
use std::time::Duration;

use cauri_domain::money::Currency;
use cauri_event_store::Head;
use cauri_projections::read::{MAX_PAGE, ReadError, ReadSnapshot, TrialBalanceRow};

use super::day::Kind;

/// What became of the commands of one kind.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Counts {
    /// In the journal.
    pub accepted: u64,
    /// Refused by the rules.
    pub refused: u64,
    /// Of both, answered as an earlier command was.
    pub replayed: u64,
}

/// What became of a day's commands.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Report {
    /// By kind of command.
    pub kinds: BTreeMap<Kind, Counts>,
    /// Refusals by code.
    pub refused: BTreeMap<&'static str, u64>,
    /// How long the engine took for all of them.
    pub took: Duration,
    /// Events that the read models were behind when the last command was answered, and how long they took to catch up.
    pub lag: (u64, Duration),
}

/// What stands in the journal, as the read models have it.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Books {
    /// The head.
    pub head: Head,
    /// The trial balance in francs, by group of accounts.
    pub groups: Vec<Group>,
}

/// Accounts that begin alike, summed.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Group {
    /// How they begin.
    pub name: String,
    /// How many they are.
    pub accounts: u64,
    /// Posted debits, in francs.
    pub debits: i128,
    /// Posted credits, in francs.
    pub credits: i128,
}

impl Report {
    /// Commands of the day.
    pub fn commands(&self) -> u64 {
        self.kinds.values().map(|counts| counts.accepted + counts.refused).sum()
    }
}

/// The trial balance of the accounts in francs, by group.
///
/// # Errors
/// When the read models cannot be read.
pub fn groups(snapshot: &ReadSnapshot) -> Result<Vec<Group>, ReadError> {
    let mut groups: BTreeMap<String, Group> = BTreeMap::new();
    let mut after = None;
    loop {
        let page = snapshot.trial_balance(None, None, after.as_ref(), MAX_PAGE)?.rows;
        page.rows().filter(|row| row.currency == Currency::XOF).for_each(|row| add(row, &mut groups));
        match page.next() {
            Some(next) => after = Some(next.clone()),
            None => return Ok(groups.into_values().collect()),
        }
    }
}

fn add(row: &TrialBalanceRow, groups: &mut BTreeMap<String, Group>) {
    let address = row.address.as_str();
    let segments: Vec<&str> = address.split(':').collect();
    let name = match segments.as_slice() {
        ["providers", _, last] => format!("providers:*:{last}"),
        [first @ ("customers" | "merchants"), _, last] => format!("{first}:*:{last}"),
        [first, second, ..] => format!("{first}:{second}"),
        _ => address.to_owned(),
    };
    let group = groups.entry(name.clone()).or_insert_with(|| Group { name, accounts: 0, debits: 0, credits: 0 });
    group.accounts += 1;
    group.debits += i128::from(row.debits_minor);
    group.credits += i128::from(row.credits_minor);
}

impl fmt::Display for Report {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let seconds = self.took.as_secs_f64().max(0.001);
        let commands = self.commands();
        writeln!(f, "{:<30}{:>12}{:>12}", "The day", "accepted", "refused")?;
        for (kind, counts) in &self.kinds {
            writeln!(f, "  {:<28}{:>12}{:>12}", kind.name(), grouped(counts.accepted.into()), grouped(counts.refused.into()))?;
        }
        let (accepted, refused, replayed) =
            self.kinds.values().fold((0, 0, 0), |sum, counts| (sum.0 + counts.accepted, sum.1 + counts.refused, sum.2 + counts.replayed));
        writeln!(f, "  {:<28}{:>12}{:>12}", "all", grouped(accepted.into()), grouped(refused.into()))?;
        if replayed > 0 {
            writeln!(f, "  of which {} were answered as before, without a new event", grouped(replayed.into()))?;
        }
        writeln!(f, "\nRefused, by code")?;
        for (code, count) in &self.refused {
            writeln!(f, "  {code:<28}{:>12}", grouped((*count).into()))?;
        }
        writeln!(f)?;
        let rate = grouped((commands as f64 / seconds) as i128);
        writeln!(f, "Commands      {} in {seconds:.1} s, {rate} a second, each durable before its answer", grouped(commands.into()))?;
        write!(
            f,
            "Read models   {} events behind at the last answer, caught up after {:.1} s",
            grouped(self.lag.0.into()),
            self.lag.1.as_secs_f64()
        )
    }
}

impl fmt::Display for Books {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        writeln!(f, "{:<26}{:>9}{:>19}{:>19}{:>19}", "Trial balance, XOF", "accounts", "debits", "credits", "balance")?;
        let (mut accounts, mut debits, mut credits) = (0, 0, 0);
        for group in &self.groups {
            accounts += group.accounts;
            debits += group.debits;
            credits += group.credits;
            let balance = grouped(group.debits - group.credits);
            writeln!(
                f,
                "  {:<24}{:>9}{:>19}{:>19}{balance:>19}",
                group.name,
                group.accounts,
                grouped(group.debits),
                grouped(group.credits)
            )?;
        }
        let balance = grouped(debits - credits);
        writeln!(f, "  {:<24}{accounts:>9}{:>19}{:>19}{balance:>19}", "all", grouped(debits), grouped(credits))?;
        writeln!(f, "\nHead          position {}", self.head.position)?;
        write!(f, "Root          {}", self.head.root)
    }
}

/// A whole number with its digits in groups of three.
fn grouped(number: i128) -> String {
    let digits = number.unsigned_abs().to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3 + 1);
    if number < 0 {
        text.push('-');
    }
    for (index, digit) in digits.chars().enumerate() {
        if index > 0 && (digits.len() - index).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn digits_stand_in_groups_of_three() {
        let shown: Vec<String> = [0, 7, 999, 1_000, -1_234_567, 100_000].into_iter().map(grouped).collect();
        assert_eq!(shown, ["0", "7", "999", "1,000", "-1,234,567", "100,000"]);
    }
}
