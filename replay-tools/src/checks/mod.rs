//! The named checks of `verify`: one name in four places, the case here, the file `x.rs`, its manual `x.md`, and a test.
//!
//! What holds for any journal stands here: bytes, positions, versions, roots, times, commands. What a kind of journal
//! promises beyond that stands in a folder of its own, behind `KindChecks`.

pub(crate) mod canonical;
pub(crate) mod checksums;
pub(crate) mod expected_heads;
pub(crate) mod idempotency;
pub(crate) mod index;
pub(crate) mod market;
pub(crate) mod positions;
pub(crate) mod read_models;
pub(crate) mod roots;
pub(crate) mod schemas;
pub(crate) mod snapshots;
pub(crate) mod time;
pub(crate) mod transitions;
pub(crate) mod versions;

/// What only a ledger promises. Its modules are declared here, so that the check of an aggregate is added in one place.
mod ledger {
    pub(super) mod account_sets;
    mod double_entry;
    mod entries;
    mod holds;
    pub(super) mod kind;
    mod limits;
}

use std::fmt;

use cauri_event_schemas::ledger::Event;
use cauri_event_store::Snapshot;
use serde::{Serialize, Serializer};

use crate::finding::Findings;
use crate::ledger::Ledger;
use crate::reading::{Fact, JournalKind, ReadBatch, Seed};

/// The checks of one kind of journal.
pub(crate) trait KindChecks {
    /// Brings into the cache what these facts will look at.
    fn touch(&self, facts: &[Fact]) {
        let _ = facts;
    }

    /// A command's records begin: those of the one before it are all there.
    fn begin_commit(&mut self, findings: &mut Findings) {
        let _ = findings;
    }

    /// Looks at a record, after what holds for any journal was looked at.
    fn record(&mut self, batch: &ReadBatch, fact: &Fact, findings: &mut Findings);

    /// Compares a snapshot of this position with what was folded. What was compared, in words.
    fn compare_snapshot(&self, snapshot: &Snapshot, findings: &mut Findings) -> String;

    /// The journal ends here, with every record read.
    fn end(&mut self, findings: &mut Findings);

    /// How much it has of what.
    fn holding(&self) -> Vec<(&'static str, u64)>;
}

/// A check of aggregates of a ledger that move no money. It sees every record of them, in order; which are its own it knows.
pub(crate) trait AggregateCheck {
    /// Looks at a record.
    fn record(&mut self, batch: &ReadBatch, fact: &Fact, event: &Event, ledger: &Ledger, findings: &mut Findings);
}

/// The checks of aggregates.
fn of_aggregates(seed: &Seed) -> Vec<Box<dyn AggregateCheck>> {
    vec![Box::new(ledger::account_sets::AccountSets::new(seed))]
}

/// The checks of a kind.
pub(crate) fn of_kind(kind: JournalKind, seed: &Seed) -> Box<dyn KindChecks> {
    match kind {
        JournalKind::Ledger => Box::new(ledger::kind::LedgerChecks::new(seed)),
        JournalKind::Market => Box::new(market::MarketChecks::default()),
    }
}

/// Declares the checks once: case, name, manual and what they are for come from the same list.
macro_rules! checks {
    ($($case:ident in $file:literal: $promise:literal, $next:literal;)+) => {
        /// A named check.
        #[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
        pub enum Check {
            $(#[doc = $promise] $case,)+
        }

        impl Check {
            /// All checks, in the order in which they are reported.
            pub const ALL: [Check; [$(Check::$case),+].len()] = [$(Check::$case),+];

            /// The check's name.
            pub fn name(self) -> &'static str {
                let file = match self { $(Check::$case => $file,)+ };
                file.rsplit_once('/').map_or(file, |(_, name)| name)
            }

            /// What holds where the check is silent, one sentence.
            pub fn promise(self) -> &'static str {
                match self { $(Check::$case => $promise,)+ }
            }

            /// What to do where it speaks.
            pub fn next(self) -> &'static str {
                match self { $(Check::$case => $next,)+ }
            }

            /// The manual entry.
            pub fn manual(self) -> &'static str {
                match self { $(Check::$case => include_str!(concat!($file, ".md")),)+ }
            }
        }
    };
}

checks! {
    Checksums in "checksums": "Every record has the checksum that was stored with it.",
        "Keep a copy of the damaged files, restore the journal from a backup or an export, and look at the disk.";
    Positions in "positions": "Positions run 1, 2, 3 … to the head, without a gap and without a record twice.",
        "Keep a copy of the damaged files and restore the journal from a backup or an export.";
    Roots in "roots": "Every stored Merkle root is the root of the records up to it.",
        "Compare the root with one that was noted elsewhere (`verify --against`), then restore the journal from a backup or an export.";
    ExpectedHeads in "expected_heads": "The journal agrees with every head, token and export that `--against` names.",
        "The journal is not the one that was noted: find out whether an older copy was restored or somebody changed it, and restore the copy that agrees.";
    Canonical in "canonical": "Every record's bytes are the canonical JSON of what they say.",
        "The record was not written by Cauri: find out who wrote it; nothing after it can be trusted.";
    Schemas in "schemas": "Every record is of a known type and version and can be read today.",
        "Use the newest Cauri; if that cannot read it either, restore the journal from a backup or an export.";
    Versions in "versions": "The records of each stream have the versions 1, 2, 3 …",
        "A record is missing, twice or made up: compare with a backup or an export.";
    Time in "time": "`recorded_at` never goes back, and lies in no future.",
        "Time that goes back: compare with a backup or an export, Cauri never writes it. The future: check this machine's clock; if it is right, the server's was ahead, and what expired or was dated since that position has to be looked at.";
    Transitions in "transitions": "Every event is possible for what it happened to, and reversals and sweeps link both ways.",
        "The event was not decided by Cauri's rules: find out how it came into the journal, and correct it by an entry of its own.";
    DoubleEntry in "ledger/double_entry": "At every position Σ debits = Σ credits in each currency, between accounts that exist and hold that currency.",
        "Money came from nowhere or went nowhere: find out how the entry came into the journal, and correct it by an entry of its own.";
    Limits in "ledger/limits": "No account was beyond its floor or ceiling at any position, counting holds.",
        "Look at the account with `cauri-replay show`, and find out how the entry came into the journal.";
    Holds in "ledger/holds": "What is pending is the sum of the open holds, each was resolved as it was held, and none outlived its expiry.",
        "Look at the entry with `cauri-replay show`, and find out how the record came into the journal.";
    AccountSets in "ledger/account_sets": "Members of account sets are added and removed in order, exist, and no set is ever in itself.",
        "The record was not decided by Cauri's rules: find out how it came into the journal, and correct it by removing the member.";
    Quotes in "market/quotes": "Quotes of each source and instrument go forward, and instrument and prices are possible.",
        "The record was not decided by Cauri's rules: find out how it came into the journal; what was computed from these quotes is in doubt.";
    Idempotency in "idempotency": "No command was carried out twice.",
        "Reverse the second effect if it is real money, and find out how the same command was accepted twice.";
    Index in "index": "The look-ups by stream and by command lead where the journal says.",
        "Stop the server, delete `index.sqlite` and start it again: the look-ups are built anew from the journal.";
    Snapshots in "snapshots": "The stored snapshot is the fold of the journal at its position.",
        "Stop the server, delete `index.sqlite` and start it again: a snapshot is a cache.";
    ReadModels in "read_models": "Every live read model holds what a replay of the journal gives.",
        "Stop the server, delete the read store and start it again: read models are rebuilt from the journal.";
}

impl Check {
    /// It needs every record before: it stops where a record is missing or cannot be understood.
    pub(crate) fn needs_all_before(self) -> bool {
        match self {
            Check::Versions
            | Check::Transitions
            | Check::DoubleEntry
            | Check::Limits
            | Check::Holds
            | Check::AccountSets
            | Check::Quotes
            | Check::Idempotency
            | Check::Snapshots
            | Check::ReadModels => true,
            Check::Checksums
            | Check::Positions
            | Check::Roots
            | Check::ExpectedHeads
            | Check::Canonical
            | Check::Schemas
            | Check::Time
            | Check::Index => false,
        }
    }

    /// The kind of journal that it is for; none where it is for all.
    pub fn of_kind(self) -> Option<JournalKind> {
        match self {
            Check::DoubleEntry | Check::Limits | Check::Holds | Check::AccountSets => Some(JournalKind::Ledger),
            Check::Quotes => Some(JournalKind::Market),
            Check::Checksums
            | Check::Positions
            | Check::Roots
            | Check::ExpectedHeads
            | Check::Canonical
            | Check::Schemas
            | Check::Versions
            | Check::Time
            | Check::Transitions
            | Check::Idempotency
            | Check::Index
            | Check::Snapshots
            | Check::ReadModels => None,
        }
    }

    /// It looks at what is built from the journal and can be built again, not at the journal itself.
    pub fn is_of_derived(self) -> bool {
        matches!(self, Check::Index | Check::Snapshots | Check::ReadModels)
    }
}

impl fmt::Display for Check {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.pad(self.name())
    }
}

impl Serialize for Check {
    fn serialize<S: Serializer>(&self, serializer: S) -> Result<S::Ok, S::Error> {
        serializer.serialize_str(self.name())
    }
}
