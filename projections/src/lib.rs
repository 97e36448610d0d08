//! Read models, their runner and the read store: events become rows, any of which can be thrown away and rebuilt.
//!
//! Start with [`read::ReadStore`] to ask, and with [`runner::Runner`] to keep it current. One file per read
//! model: each head comment says what it reads, what it writes and what a rebuild costs.
//!
//! **Invariant:** SQL over read models stands in this crate only; nobody else knows a table's name. **Invariant:** rows and the
//! checkpoint that they belong to are committed together, so a read model is always exactly at its position.
//! **Invariant:** nothing here decides anything about money, and nothing here can change the journal.
pub mod digest;
pub mod read;
pub mod runner;

mod account_balances;
mod account_numbers;
mod account_sets;
mod catalog;
mod entries;
mod feed;
mod insert;
mod journal_events;
mod postings;
mod projector;
mod stored;

pub use account_sets::{AccountSetRow, MembershipRow};
pub use projector::Reads;

use projector::ReadModel;

/// Every read model. A new one stands behind the others.
pub(crate) const READ_MODELS: [ReadModel; 5] = [
    ReadModel::of::<account_balances::AccountBalances>(),
    ReadModel::of::<entries::Entries>(),
    ReadModel::of::<journal_events::JournalEvents>(),
    ReadModel::of::<postings::Postings>(),
    ReadModel::of::<account_sets::AccountSets>(),
];

/// The read models by name, each with the types of event that it reads.
pub fn read_models() -> impl Iterator<Item = (&'static str, Reads)> {
    READ_MODELS.iter().map(|model| (model.name, model.reads))
}

#[cfg(test)]
#[path = "../tests/read_models/ledger.rs"]
mod ledger;
