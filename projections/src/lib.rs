//! Read models, their runner and the read store: events become rows, any of which can be thrown away and rebuilt.
//!
//! Start with [`read::ReadStore`] to ask, and with [`runner::Runner`] to keep it current. One file or folder per read
//! model: each head comment says what it reads, what it writes and what a rebuild costs.
//!
//! **Invariant:** SQL over read models stands in this crate only; nobody else knows a table's name. **Invariant:** rows and the
//! checkpoint that they belong to are committed together, so a group of read models is always exactly at its position.
//! **Invariant:** groups know nothing of each other. **Invariant:** nothing here decides anything about money, and nothing here
//! can change the journal.
pub mod digest;
pub mod read;
pub mod runner;
pub mod tail;

mod accounts;
mod entries;
mod feed;
mod file;
mod journal_events;
mod projector;
mod requests;
mod stored;
mod table;

pub use projector::Reads;
pub use requests::{RequestError, ask_for_rebuild};

use projector::{Group, ReadModel};

/// Every group of read models: what one answer joins in one object stands together. The ids below count them.
pub(crate) static GROUPS: [Group; 3] = [
    Group { name: "accounts", models: &[ReadModel::of::<accounts::Accounts>()] },
    Group { name: "entries", models: &[ReadModel::of::<entries::Entries>()] },
    Group { name: "journal", models: &[ReadModel::of::<journal_events::JournalEvents>()] },
];

/// One of the groups.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub struct GroupId(usize);

/// Accounts: their terms, balances, postings, sums and sets.
pub const ACCOUNTS: GroupId = GroupId(0);
/// Entries, with what became of them. Statements and the lists of an account or of a stream join it.
pub const ENTRIES: GroupId = GroupId(1);
/// The journal's events.
pub const JOURNAL: GroupId = GroupId(2);

impl GroupId {
    /// Every group.
    pub const ALL: [Self; GROUPS.len()] = [ACCOUNTS, ENTRIES, JOURNAL];

    /// Its name.
    pub fn name(self) -> &'static str {
        GROUPS[self.0].name
    }
}

impl std::fmt::Display for GroupId {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.name())
    }
}

/// A read model, as the manual lists it.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct ReadModelInfo {
    /// Its name.
    pub name: &'static str,
    /// The group that it is built, stopped and waited for with.
    pub group: &'static str,
    /// The types of event that it reads.
    pub reads: Reads,
}

/// The read models, by group.
pub fn read_models() -> impl Iterator<Item = ReadModelInfo> {
    let of_group =
        |group: &'static Group| group.models.iter().map(|model| ReadModelInfo { name: model.name, group: group.name, reads: model.reads });
    GROUPS.iter().flat_map(of_group)
}

#[cfg(test)]
#[path = "../tests/read_models/ledger.rs"]
mod ledger;
