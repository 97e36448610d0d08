//! `roots`: every stored Merkle root is the root of the records up to it.

use std::collections::BTreeMap;

use cauri_event_schemas::Position;
use cauri_event_store::{Hash, Head, Tree};

use super::{Check, positions::span};
use crate::finding::Findings;
use crate::reading::ReadBatch;

/// The tree over the leaves so far, and the roots that somebody asked for.
#[derive(Debug, Default)]
pub(crate) struct Roots {
    tree: Tree,
    // Positions whose root is wanted, and the roots once the tree got there.
    wanted: BTreeMap<Position, Option<Hash>>,
    differing: Option<Differing>,
    last_stored: Option<Hash>,
}

/// Batches in a row whose stored root is another: after one bad record every later root differs.
#[derive(Debug)]
struct Differing {
    first: Position,
    until: Position,
    batches: u64,
    stored: Hash,
    computed: Hash,
}

impl Roots {
    /// Remembers the root at these positions when the tree gets there.
    pub(crate) fn want(&mut self, positions: impl IntoIterator<Item = Position>) {
        self.wanted.extend(positions.into_iter().map(|position| (position, None)));
        let nothing = self.tree.root();
        self.wanted.entry(Position::ZERO).and_modify(|root| *root = Some(nothing));
    }

    /// Adds a batch's leaves, and compares the root after them with the stored one.
    pub(crate) fn check(&mut self, batch: &ReadBatch, findings: &mut Findings) {
        let mut wanted = self.next_wanted();
        for leaf in &batch.leaves {
            self.tree.push(*leaf);
            if Some(self.tree.size()) == wanted {
                let root = self.tree.root();
                self.wanted.insert(Position::new(self.tree.size()), Some(root));
                wanted = self.next_wanted();
            }
        }
        let Some(stored) = batch.root else { return };
        self.last_stored = Some(stored);
        let computed = self.tree.root();
        if computed == stored {
            let same_peaks = |stored: &Vec<u8>| self.tree.peaks().iter().flat_map(|peak| peak.0).eq(stored.iter().copied());
            if batch.peaks.as_ref().is_some_and(|stored| !same_peaks(stored)) {
                findings.at(
                    Check::Roots,
                    batch.first,
                    "the peaks that are stored with the batch that begins here are not those of its records",
                );
            }
            return self.tell(findings);
        }
        match &mut self.differing {
            Some(differing) => {
                differing.until = batch.last;
                differing.batches += 1;
            }
            None => self.differing = Some(Differing { first: batch.first, until: batch.last, batches: 1, stored, computed }),
        }
    }

    /// Compares the tree with the stored head, and with the peaks from which the next append would go on.
    pub(crate) fn end(&mut self, head: &Head, peaks: Option<&Tree>, findings: &mut Findings) {
        self.tell(findings);
        // A root that was told with its batch is not told again with the head.
        if self.tree.size() != head.position.get() || (self.last_stored == Some(head.root) && self.tree.root() != head.root) {
            return;
        }
        let computed = self.tree.root();
        if computed != head.root {
            let what = format!("the head's stored root is {}, its records give {computed}", head.root);
            findings.at(Check::Roots, head.position, what);
        } else if peaks.is_some_and(|peaks| *peaks != self.tree) {
            findings.at(Check::Roots, head.position, "the head's stored peaks are not those that its records give");
        }
    }

    /// Tells of the batches in a row whose roots differ, once the row ended.
    pub(crate) fn tell(&mut self, findings: &mut Findings) {
        let Some(Differing { first, until, batches, stored, computed }) = self.differing.take() else { return };
        let others = if batches > 1 { format!("; nor do those of {} batches after it", batches - 1) } else { String::new() };
        let what = format!(
            "the records do not give the root that is stored with the batch that begins here: {stored} is stored, {computed} computed{others} (positions {})",
            span(first, until.next())
        );
        findings.at(Check::Roots, first, what);
    }

    /// The root at a wanted position, if the tree got there.
    pub(crate) fn at(&self, position: Position) -> Option<Hash> {
        self.wanted.get(&position).copied().flatten()
    }

    /// The tree so far.
    pub(crate) fn tree(&self) -> &Tree {
        &self.tree
    }

    fn next_wanted(&self) -> Option<u64> {
        self.wanted.iter().find(|(_, root)| root.is_none()).map(|(position, _)| position.get()).filter(|at| *at > self.tree.size())
    }
}
