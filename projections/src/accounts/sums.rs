//! Sums over prefixes of addresses, kept, so that a rollup as of now does not depend on how many accounts it is over.
//!
//! `account_sums` has, for every prefix of whole segments with more than 64 accounts below it and for the empty one, a row a
//! currency and kind: how many accounts are below it, and their totals. A prefix with fewer is summed when somebody asks:
//! that reads at most 64 rows, and a ledger with a prefix for each customer does not keep a second row for each of them.

use std::collections::BTreeMap;

use cauri_domain::account::AccountKind;
use cauri_domain::fold::Totals;
use cauri_domain::ids::AccountAddress;
use cauri_domain::money::Currency;
use hashbrown::HashMap;
use rusqlite::{Connection, Row};

use crate::projector::ModelError;
use crate::read::SummedTotals;
use crate::stored::{number, parsed};
use crate::table::{Binder, Column, Table};

/// So many accounts below a prefix are summed when somebody asks; of more a sum is kept. In unit tests so few that small
/// ledgers have both.
pub(crate) const SUMMED_WHEN_ASKED: usize = if cfg!(test) { 2 } else { 64 };

pub(super) static ACCOUNT_SUMS: Table = Table {
    name: "account_sums",
    columns: &[
        Column::text("prefix"),
        Column::text("currency"),
        Column::text("kind"),
        Column::integer("accounts"),
        // Sums over many accounts may leave 64 bits: in decimal digits.
        Column::text("debits_posted"),
        Column::text("credits_posted"),
        Column::text("debits_pending"),
        Column::text("credits_pending"),
    ],
    key: &["prefix", "currency", "kind"],
    indexes: &[],
};

/// What is summed together.
pub(crate) type SumKey = (Currency, AccountKind);

/// Totals over accounts.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub(crate) struct Sum {
    /// How many accounts.
    pub(crate) accounts: u64,
    /// Their totals.
    pub(crate) totals: SummedTotals,
}

impl Sum {
    /// One more account.
    pub(crate) fn add(&mut self, totals: &Totals) {
        self.accounts += 1;
        self.totals.add(totals);
    }

    /// One account less.
    pub(super) fn remove(&mut self, totals: &Totals) {
        self.accounts -= 1;
        self.totals.remove(totals);
    }

    /// Columns of a sum, in the order of [`Sum::read`].
    pub(crate) const COLUMNS: &'static str = "currency, kind, accounts, debits_posted, credits_posted, debits_pending, credits_pending";

    /// A sum with its key, from columns of a row.
    pub(crate) fn read(row: &Row<'_>) -> rusqlite::Result<(SumKey, Self)> {
        let totals = SummedTotals {
            debits_posted: parsed(row, 3)?,
            credits_posted: parsed(row, 4)?,
            debits_pending: parsed(row, 5)?,
            credits_pending: parsed(row, 6)?,
        };
        Ok(((parsed(row, 0)?, parsed(row, 1)?), Self { accounts: number(row, 2)?, totals }))
    }

    /// Binds [`Sum::COLUMNS`].
    pub(super) fn bind(&self, (currency, kind): SumKey, bind: &mut Binder<'_, '_>) -> rusqlite::Result<()> {
        bind.text(currency.code())?;
        bind.text(kind.as_str())?;
        bind.number(self.accounts)?;
        let SummedTotals { debits_posted, credits_posted, debits_pending, credits_pending } = self.totals;
        [debits_posted, credits_posted, debits_pending, credits_pending].iter().try_for_each(|total| bind.text(&total.to_string()))
    }
}

/// Sums by currency and kind.
pub(crate) type Sums = BTreeMap<SumKey, Sum>;

/// The prefixes of all accounts, as a tree: the empty one is its root.
#[derive(Debug)]
pub(super) struct Prefixes {
    numbers: HashMap<Box<str>, u32>,
    nodes: Vec<Node>,
    touched: Vec<u32>,
}

#[derive(Debug)]
struct Node {
    prefix: Box<str>,
    /// The root is its own.
    parent: u32,
    below: Below,
    /// Its rows are written by the next batch.
    touched: bool,
}

/// The accounts below a prefix.
#[derive(Debug)]
enum Below {
    /// So few that no sum is kept.
    Few(Vec<u32>),
    /// More.
    Many(Sums),
}

const ROOT: u32 = 0;

impl Default for Prefixes {
    fn default() -> Self {
        // A sum over everything is kept from the first account on.
        let root = Node { prefix: "".into(), parent: ROOT, below: Below::Many(Sums::new()), touched: false };
        Self { numbers: HashMap::new(), nodes: vec![root], touched: Vec::new() }
    }
}

impl Prefixes {
    /// Adds an account to the prefixes that it is below: the node of the longest of them, and those of which a sum has to be
    /// kept from now on.
    pub(super) fn add(&mut self, account_no: u32, address: &AccountAddress) -> (u32, Vec<u32>) {
        let direct = address.as_str().rsplit_once(':').map_or(ROOT, |(prefix, _)| self.node(prefix));
        let mut filled = Vec::new();
        let mut node = direct;
        while node != ROOT {
            if let Below::Few(accounts) = &mut self.nodes[node as usize].below {
                accounts.push(account_no);
                if accounts.len() > SUMMED_WHEN_ASKED {
                    filled.push(node);
                }
            }
            node = self.nodes[node as usize].parent;
        }
        (direct, filled)
    }

    fn node(&mut self, prefix: &str) -> u32 {
        if let Some(node) = self.numbers.get(prefix) {
            return *node;
        }
        let parent = prefix.rsplit_once(':').map_or(ROOT, |(above, _)| self.node(above));
        // No more than 16 of them an account, of which there are at most 4 billion: memory ends long before numbers do.
        let node = self.nodes.len() as u32;
        self.nodes.push(Node { prefix: prefix.into(), parent, below: Below::Few(Vec::new()), touched: false });
        self.numbers.insert(prefix.into(), node);
        node
    }

    /// Keeps a sum of a prefix from now on.
    pub(super) fn keep(&mut self, node: u32, account: impl Fn(u32) -> (SumKey, Totals)) {
        let Below::Few(accounts) = &self.nodes[node as usize].below else { return };
        let mut sums = Sums::new();
        for account_no in accounts {
            let (key, totals) = account(*account_no);
            sums.entry(key).or_default().add(&totals);
        }
        self.nodes[node as usize].below = Below::Many(sums);
        self.touch(node);
    }

    /// Keeps a sum of every prefix that has to have one, after the accounts 1 to `last` were added; the rows are there.
    pub(super) fn keep_all(&mut self, last: u32, account: impl Fn(u32) -> (SumKey, Totals)) {
        for account_no in 1..=last {
            let (key, totals) = account(account_no);
            if let Below::Many(sums) = &mut self.nodes[ROOT as usize].below {
                sums.entry(key).or_default().add(&totals);
            }
        }
        for node in 0..self.nodes.len() as u32 {
            if matches!(&self.nodes[node as usize].below, Below::Few(accounts) if accounts.len() > SUMMED_WHEN_ASKED) {
                self.keep(node, &account);
            }
        }
        self.touched.drain(..).for_each(|node| self.nodes[node as usize].touched = false);
    }

    /// One more account below a prefix, with nothing on it.
    pub(super) fn count(&mut self, node: u32, key: SumKey) {
        self.each_sum(node, key, |sum| sum.accounts += 1);
    }

    /// Adds what moved on an account below a prefix.
    pub(super) fn add_totals(&mut self, node: u32, key: SumKey, moved: &Totals) {
        self.each_sum(node, key, |sum| sum.totals.add(moved));
    }

    fn each_sum(&mut self, node: u32, key: SumKey, change: impl Fn(&mut Sum)) {
        let mut at = node;
        loop {
            let Node { below, parent, .. } = &mut self.nodes[at as usize];
            let parent = *parent;
            if let Below::Many(sums) = below {
                change(sums.entry(key).or_default());
                self.touch(at);
            }
            if at == ROOT {
                return;
            }
            at = parent;
        }
    }

    fn touch(&mut self, node: u32) {
        let touched = &mut self.nodes[node as usize].touched;
        if !*touched {
            *touched = true;
            self.touched.push(node);
        }
    }

    /// Writes the sums that changed.
    pub(super) fn write(&mut self, db: &Connection) -> Result<(), ModelError> {
        let nodes = &mut self.nodes;
        self.touched.sort_unstable_by(|left, right| nodes[*left as usize].prefix.cmp(&nodes[*right as usize].prefix));
        let mut rows: Vec<(&str, SumKey, Sum)> = Vec::new();
        for node in &self.touched {
            if let Node { prefix, below: Below::Many(sums), .. } = &nodes[*node as usize] {
                rows.extend(sums.iter().map(|(key, sum)| (&**prefix, *key, *sum)));
            }
        }
        ACCOUNT_SUMS.replace(db, &rows, |(prefix, key, sum), bind| {
            bind.text(prefix)?;
            sum.bind(*key, bind)
        })?;
        drop(rows);
        self.touched.drain(..).for_each(|node| nodes[node as usize].touched = false);
        Ok(())
    }
}
