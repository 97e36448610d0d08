//! Part of `transitions`: every event of an entry or an account is possible, and reversals and sweeps link both ways.

use cauri_domain::IllegalTransition;
use cauri_domain::account::{self, Account as State, AccountEvent};
use cauri_domain::event::EventSet;
use cauri_event_schemas::Position;
use hashbrown::{HashMap, HashTable};

use super::super::{Check, versions};
use crate::finding::Findings;
use crate::ledger::{Ledger, Number};
use crate::reading::{EntryKey, Fact, Happening, Motion, Moved, Movement, ReadBatch, Seed, Span, entry_id};

/// What an entry is, in one byte.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
#[repr(u8)]
pub(crate) enum EntryState {
    Posted,
    Held,
    HoldPosted,
    HoldVoided,
    HoldExpired,
    Reversed,
    HoldReversed,
    /// Something impossible happened to it and was told: nothing more is said of it.
    Contradictory,
}

impl EntryState {
    /// One match of legal pairs, the same as `cauri_domain::entry::evolve`'s; a test compares them.
    pub(crate) fn after(state: Option<EntryState>, event: &Happening) -> Option<EntryState> {
        match (state, event) {
            (None, Happening::Moved(Moved { motion: Motion::Posted, .. })) => Some(EntryState::Posted),
            (None, Happening::Moved(Moved { motion: Motion::Held, .. })) => Some(EntryState::Held),
            (Some(EntryState::Held), Happening::Moved(moved)) => match moved.motion {
                Motion::HoldPosted => Some(EntryState::HoldPosted),
                Motion::HoldVoided => Some(EntryState::HoldVoided),
                Motion::HoldExpired => Some(EntryState::HoldExpired),
                Motion::Posted | Motion::Held => None,
            },
            (Some(EntryState::Posted), Happening::Reversed { .. }) => Some(EntryState::Reversed),
            (Some(EntryState::HoldPosted), Happening::Reversed { .. }) => Some(EntryState::HoldReversed),
            (Some(state), Happening::Noted(_)) => Some(state),
            _ => None,
        }
    }

    /// How many records brought an entry into this state, without those that only note something of it; legal histories
    /// have one length each.
    fn version(self) -> u64 {
        match self {
            EntryState::Posted | EntryState::Held => 1,
            EntryState::HoldPosted | EntryState::HoldVoided | EntryState::HoldExpired | EntryState::Reversed => 2,
            EntryState::HoldReversed => 3,
            EntryState::Contradictory => 0,
        }
    }

    fn status(state: Option<EntryState>) -> &'static str {
        match state {
            None => "unwritten",
            Some(EntryState::Posted) => "posted",
            Some(EntryState::Held) => "held",
            Some(EntryState::HoldPosted) => "hold_posted",
            Some(EntryState::HoldVoided) => "hold_voided",
            Some(EntryState::HoldExpired) => "hold_expired",
            Some(EntryState::Reversed | EntryState::HoldReversed) => "reversed",
            Some(EntryState::Contradictory) => "contradictory",
        }
    }
}

/// One entry for ever: 21 bytes, and one of the table's own, in a table that is 44 to 88 % full (25 to 50
/// bytes an entry).
#[derive(Clone, Copy, Debug)]
struct Slot {
    id: EntryKey,
    state: EntryState,
    // What moved, hashed: a reversal must move the opposite. The seed is another in every run, so nobody can
    // prepare amounts that collide; by chance one wrong reversal in four thousand million passes.
    mark: [u8; 4],
}

/// Every entry that was ever written, and what the commit at hand must still link.
#[derive(Debug, Default)]
pub(crate) struct Entries {
    entries: HashTable<Slot>,
    /// How many records noted something of an entry: few entries have any.
    notes: HashMap<EntryKey, u64>,
    commit: Commit,
}

/// What one commit says that must fit together within it.
#[derive(Debug, Default)]
struct Commit {
    written: Vec<EntryKey>,
    undone: Vec<Undone>,
    undoing: Vec<Undoing>,
    swept: Vec<(EntryKey, Position, String)>,
}

#[derive(Debug)]
struct Undone {
    original: EntryKey,
    by: EntryKey,
    mark: [u8; 4],
    position: Position,
}

#[derive(Debug)]
struct Undoing {
    id: EntryKey,
    original: EntryKey,
    opposite: [u8; 4],
    position: Position,
}

impl Entries {
    /// A commit ends: do its reversals and sweeps link both ways?
    pub(crate) fn end_commit(&mut self, findings: &mut Findings) {
        let commit = &mut self.commit;
        for undone in commit.undone.drain(..) {
            let Some(at) = commit.undoing.iter().position(|undoing| (undoing.id, undoing.original) == (undone.by, undone.original)) else {
                let what = format!(
                    "entry {} is reversed by {}, which is not in the same commit",
                    entry_id(&undone.original),
                    entry_id(&undone.by)
                );
                findings.at(Check::Transitions, undone.position, what);
                continue;
            };
            let undoing = commit.undoing.swap_remove(at);
            if undoing.opposite != undone.mark {
                let what = format!(
                    "entry {} does not move the opposite of entry {}, which it reverses",
                    entry_id(&undoing.id),
                    entry_id(&undone.original)
                );
                findings.at(Check::Transitions, undoing.position, what);
            }
        }
        for undoing in commit.undoing.drain(..) {
            let what = format!(
                "entry {} says that it reverses {}, which was not reversed by it",
                entry_id(&undoing.id),
                entry_id(&undoing.original)
            );
            findings.at(Check::Transitions, undoing.position, what);
        }
        for (entry, position, address) in commit.swept.drain(..) {
            if !commit.written.contains(&entry) {
                let what = format!("account {address} was swept by entry {}, which is not in the same commit", entry_id(&entry));
                findings.at(Check::Transitions, position, what);
            }
        }
        commit.written.clear();
    }

    /// Something happens to an entry, which then has one record more. True where it is possible.
    pub(crate) fn entry(
        &mut self,
        batch: &ReadBatch,
        fact: &Fact,
        (id, hash): (&EntryKey, u64),
        resolved: &[(Option<Number>, Option<Number>)],
        seed: &Seed,
        findings: &mut Findings,
    ) -> bool {
        let known = self.entries.find_mut(hash, |slot| slot.id == *id);
        let before = known.as_ref().map(|slot| slot.state);
        if before == Some(EntryState::Contradictory) {
            return false;
        }
        let notes = if self.notes.is_empty() { 0 } else { self.notes.get(id).copied().unwrap_or(0) };
        versions::check(batch, fact, before.map_or(0, EntryState::version) + notes, findings);
        let after = EntryState::after(before, &fact.event);
        let state = after.unwrap_or(EntryState::Contradictory);
        let mut moved = None;
        match &fact.event {
            Happening::Moved(happened) => {
                let transfers = &batch.movements[happened.transfers.clone()];
                if matches!(happened.motion, Motion::Posted | Motion::HoldPosted) {
                    moved = Some(mark(transfers, resolved, false, seed));
                }
                self.commit.written.push(*id);
                if let Some(original) = happened.reverses {
                    let opposite = mark(transfers, resolved, true, seed);
                    self.commit.undoing.push(Undoing { id: *id, original, opposite, position: fact.position });
                }
            }
            Happening::Reversed { by } => {
                if let (Some(slot), Some(_)) = (&known, after) {
                    self.commit.undone.push(Undone { original: *id, by: *by, mark: slot.mark, position: fact.position });
                }
            }
            Happening::Noted(_) => *self.notes.entry(*id).or_default() += 1,
            Happening::Account(_) | Happening::JournalClosed | Happening::Refused | Happening::Other(_) | Happening::Market(_) => {}
        }
        match known {
            Some(slot) => {
                slot.state = state;
                slot.mark = moved.unwrap_or(slot.mark);
            }
            None => {
                let slot = Slot { id: *id, state, mark: moved.unwrap_or_default() };
                self.entries.insert_unique(hash, slot, |slot| seed.hash(&slot.id));
            }
        }
        if after.is_none() {
            let what = format!("`{}` is not possible for entry {} that is {}", name(&fact.event), entry_id(id), EntryState::status(before));
            findings.at(Check::Transitions, fact.position, what);
        }
        after.is_some()
    }

    /// Applies an event of an account to the ledger; the account's number, if the event was possible.
    pub(crate) fn account(
        &mut self,
        batch: &ReadBatch,
        fact: &Fact,
        (span, hash): (Span, u64),
        event: &AccountEvent,
        ledger: &mut Ledger,
        findings: &mut Findings,
    ) -> Option<Number> {
        let number = ledger.find(batch, (span, hash));
        let before = number.map_or(State::Unopened, |number| ledger.account(number).state);
        let after = match account::evolve(before, event) {
            Ok(after) => after,
            Err(IllegalTransition { state, event, .. }) => {
                let what = format!("`{event}` is not possible for account {} that is {state}", batch.shown(span));
                findings.at(Check::Transitions, fact.position, what);
                return None;
            }
        };
        let Some(number) = number else { return ledger.open(&batch.shown(span), hash, after) };
        let account = ledger.account_mut(number);
        account.state = after;
        account.version += u64::from(fact.part == 0);
        if let AccountEvent::Closed(closed) = event {
            if account.totals.available(account.kind) > 0 || account.totals.expected(account.kind) < 0 {
                let what = format!("account {} was closed with something left on it that no hold claims", account.address);
                findings.at(Check::Transitions, fact.position, what);
            }
            if let Some(entry) = closed.swept_by {
                self.commit.swept.push((*entry.as_bytes(), fact.position, account.address.to_string()));
            }
        }
        Some(number)
    }

    /// Looks where an entry with this hash would stand, so that it is in the cache when it is looked for.
    pub(crate) fn touch(&self, hash: u64) {
        std::hint::black_box(self.entries.find(hash, |_| false).is_some());
    }

    /// How many entries were ever written.
    pub(crate) fn len(&self) -> u64 {
        self.entries.len() as u64
    }
}

/// Is every account that an entry moves or holds on open?
pub(crate) fn open(ledger: &Ledger, fact: &Fact, moved: &Moved, resolved: &[(Option<Number>, Option<Number>)], findings: &mut Findings) {
    // A hold may be given back whatever became of its accounts meanwhile.
    if matches!(moved.motion, Motion::HoldVoided | Motion::HoldExpired) {
        return;
    }
    for number in resolved.iter().flat_map(|(debit, credit)| [debit, credit]).flatten() {
        let account = ledger.account(*number);
        if !matches!(account.state, State::Open(_)) {
            let what = format!("`{}` is not possible on account {} that is {}", name(&fact.event), account.address, account.state.status());
            findings.at(Check::Transitions, fact.position, what);
        }
    }
}

/// What moved, hashed; nothing that moved nothing counts. `opposite` with the sides exchanged.
fn mark(transfers: &[Movement], resolved: &[(Option<Number>, Option<Number>)], opposite: bool, seed: &Seed) -> [u8; 4] {
    let mut hash = 0_u64;
    for (movement, (debit, credit)) in transfers.iter().zip(resolved).filter(|(movement, _)| movement.minor > 0) {
        let sides = if opposite { (credit, debit) } else { (debit, credit) };
        hash = seed.hash(&(hash, sides, movement.minor));
    }
    (hash as u32).to_be_bytes()
}

/// The event's type, as stored.
fn name(event: &Happening) -> &'static str {
    match event {
        Happening::Account(event) => event.name(),
        Happening::JournalClosed => "journal.closed",
        Happening::Refused => "command.refused",
        Happening::Reversed { .. } => "entry.reversed",
        Happening::Noted(event_type) => event_type,
        Happening::Other(event) => event.name(),
        Happening::Market(event) => event.name(),
        Happening::Moved(moved) => match moved.motion {
            Motion::Posted => "entry.posted",
            Motion::Held => "entry.held",
            Motion::HoldPosted => "entry.hold_posted",
            Motion::HoldVoided => "entry.hold_voided",
            Motion::HoldExpired => "entry.hold_expired",
        },
    }
}

#[cfg(test)]
mod tests {
    use cauri_domain::entry::{
        self, Entry, EntryAnnotated, EntryEvent, EntryHeld, EntryPosted, EntryReversed, HoldExpired, HoldPosted, HoldVoided,
    };
    use cauri_domain::ids::EntryId;
    use cauri_domain::time::Timestamp;

    use super::*;

    #[test]
    fn the_auditors_pairs_are_those_of_the_domain() {
        let at = Timestamp::UNIX_EPOCH;
        let motion = |motion| Happening::Moved(Moved { motion, effective_at: 0, expires_at: None, reverses: None, transfers: 0..0 });
        let (dimensions, transfers) = (Default::default(), || [].into());
        let posted = EntryPosted { dimensions, effective_at: at, reference: None, reverses: None, transfers: transfers() };
        let held =
            EntryHeld { dimensions: Default::default(), effective_at: at, expires_at: None, reference: None, transfers: transfers() };
        let by = EntryId::from_u128(1);
        let events = [
            (EntryEvent::Posted(posted), motion(Motion::Posted)),
            (EntryEvent::Held(held), motion(Motion::Held)),
            (EntryEvent::HoldPosted(HoldPosted { effective_at: at, transfers: [].into() }), motion(Motion::HoldPosted)),
            (EntryEvent::HoldVoided(HoldVoided { effective_at: at, reason: None, transfers: transfers() }), motion(Motion::HoldVoided)),
            (EntryEvent::HoldExpired(HoldExpired { effective_at: at, transfers: transfers() }), motion(Motion::HoldExpired)),
            (EntryEvent::Reversed(EntryReversed { by, reason: None }), Happening::Reversed { by: *by.as_bytes() }),
        ];
        let annotated = EntryAnnotated { reason: None, removed: Default::default(), set: Default::default() };
        let (noted, noted_here) = (EntryEvent::Annotated(annotated), Happening::Noted("entry.annotated"));
        // Every state that any legal history reaches, by walking on from nothing.
        let mut reached = vec![(Entry::Unwritten, None, 0)];
        let mut next = 0;
        while next < reached.len() {
            let (theirs, ours, version): (Entry, Option<EntryState>, u64) = reached[next].clone();
            next += 1;
            assert_eq!(theirs.status(), EntryState::status(ours));
            assert_eq!(ours.map_or(0, EntryState::version), version);
            assert_eq!(entry::evolve(theirs.clone(), &noted).ok(), ours.is_some().then(|| theirs.clone()), "{noted:?}");
            assert_eq!(EntryState::after(ours, &noted_here), ours);
            for (event, happening) in &events {
                let after = (entry::evolve(theirs.clone(), event).ok(), EntryState::after(ours, happening));
                match after {
                    (Some(theirs), Some(ours)) => reached.push((theirs, Some(ours), version + 1)),
                    (None, None) => {}
                    (theirs_after, ours_after) => panic!("{} on {theirs:?}: {theirs_after:?}, {ours_after:?}", event.name()),
                }
            }
        }
        assert_eq!(reached.len(), 1 + 2 + 3 + 2, "unwritten; posted, held; three ends of a hold; two reversals");
    }
}
