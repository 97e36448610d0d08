//! `idempotency`: no command was carried out twice.

use cauri_domain::ids::CommandKey;
use cauri_domain::kind::Kind;
use cauri_domain::ledger::Ledger;
use cauri_event_schemas::Position;
use cauri_event_store::{EventStore, Lookup};
use hashbrown::HashTable;

use super::Check;
use crate::finding::Findings;
use crate::reading::{Fact, ReadBatch};

/// Every command seen so far, as 8 bytes of hash: 9 bytes a command in a table that is 44 to 88 % full.
///
/// Two commands may share a hash (one pair is likely at five thousand million commands), so a hit is looked
/// at before it is told.
#[derive(Debug, Default)]
pub(crate) struct Idempotency {
    seen: HashTable<u64>,
    last: Option<u64>,
    /// The last record that names no caller and is not the engine's own.
    without_caller: Position,
}

/// A command that may have been carried out before.
#[derive(Clone, Debug, PartialEq, Eq)]
pub(crate) struct Suspect {
    command: String,
    position: Position,
}

impl Idempotency {
    /// Does a record begin a commit, and if so, of a command that was never seen?
    ///
    /// The records of a commit stand side by side, and the first of them carries the command's fingerprint.
    pub(crate) fn check(&mut self, batch: &ReadBatch, fact: &Fact, begins: bool, findings: &mut Findings) -> Option<Suspect> {
        if !begins {
            return None;
        }
        self.last = Some(fact.command_hash);
        if fact.caller.is_none() && !Ledger::OWN_COMMANDS.is_some_and(|own| batch.command(fact).starts_with(own)) {
            self.without_caller = fact.position;
        }
        if !fact.has_fingerprint {
            let what = format!("the first record of the command {} carries no fingerprint", batch.command(fact));
            findings.at(Check::Idempotency, fact.position, what);
        }
        let hash = fact.command_hash;
        if self.seen.find(hash, |seen| *seen == hash).is_some() {
            return Some(Suspect { command: batch.command(fact), position: fact.position });
        }
        self.seen.insert_unique(hash, hash, |seen| *seen);
        None
    }

    /// Does a record begin another commit than the one before it?
    pub(crate) fn begins(&self, fact: &Fact) -> bool {
        fact.part == 0 && (fact.has_fingerprint || self.last != Some(fact.command_hash))
    }

    /// Looks where a command with this hash would stand, so that it is in the cache when it is looked for.
    pub(crate) fn touch(&self, hash: u64) {
        std::hint::black_box(self.seen.find(hash, |_| false).is_some());
    }

    /// Does the journal say how far its records of format 1 go? What lies beyond it would not be looked up, and a repeated key be
    /// taken for a new one.
    pub(crate) fn format_1_ends(&self, until: Position, findings: &mut Findings) {
        if self.without_caller <= until {
            return;
        }
        let what = format!("the record names no caller, as those of journal format 1 do, and this journal says that they end at {until}");
        findings.at(Check::Idempotency, self.without_caller, what);
    }

    /// How many commands were carried out.
    pub(crate) fn commands(&self) -> u64 {
        self.seen.len() as u64
    }
}

/// Was a suspected command really carried out earlier? Asks the journal, since a hash alone proves nothing.
pub(crate) fn settle(suspect: &Suspect, store: Option<&dyn EventStore>, findings: &mut Findings) {
    let earlier = store.zip(suspect.command.parse::<CommandKey>().ok()).map(|(store, id)| store.locate(&[Lookup::Command(&id)]));
    let first = match earlier {
        Some(Ok(found)) => match found.into_iter().next().flatten() {
            // The look-ups know only this one: two ids share a hash.
            Some(first) if first >= suspect.position => return,
            first => first,
        },
        // An export has no look-ups, and damaged ones say nothing: better told than kept back.
        Some(Err(_)) | None => None,
    };
    let before = first.map_or_else(|| "before".to_owned(), |first| format!("at {first}"));
    let what = format!("the command {} was carried out {before} and again here", suspect.command);
    findings.at(Check::Idempotency, suspect.position, what);
}
