//! What a store knows of its own condition, for readiness and metrics.

use std::sync::{Arc, Mutex, MutexGuard, PoisonError};

use crate::port::Corruption;

/// The condition of a store. Clones share it with the store.
#[derive(Clone, Debug, Default)]
pub struct StoreHealth(Arc<Mutex<Condition>>);

#[derive(Debug, Default)]
struct Condition {
    blocked: Option<Blocked>,
    damage: Option<Damage>,
    index: IndexCondition,
    index_rebuilds: u64,
    paused: Option<String>,
}

/// Why appends fail.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub enum BlockedBy {
    /// There is no space left for the journal.
    DiskFull,
    /// The journal's file was removed or replaced. Only a restart ends this.
    JournalReplaced,
    /// The last write failed for another reason.
    WriteFailed,
}

impl BlockedBy {
    /// Every reason.
    pub const ALL: [Self; 3] = [Self::DiskFull, Self::JournalReplaced, Self::WriteFailed];

    /// The reason as it stands in metrics and readiness.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::DiskFull => "disk_full",
            Self::JournalReplaced => "journal_replaced",
            Self::WriteFailed => "journal_write_failed",
        }
    }
}

/// Appends fail at present.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Blocked {
    /// The reason.
    pub by: BlockedBy,
    /// The same in words.
    pub detail: String,
}

/// Damage that was met in the journal since it was opened.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Damage {
    /// The damage at the lowest position.
    pub first: Corruption,
    /// How often damage was met.
    pub met: u64,
}

/// The condition of the derived look-up index.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub enum IndexCondition {
    /// Every look-up is answered.
    #[default]
    Whole,
    /// It cannot be written, and the memory for its keys is full: appends fail until it can be.
    WriteFailed {
        /// Why it cannot be written.
        why: String,
    },
    /// It is damaged and is being rebuilt; look-ups that need the damaged part fail until then.
    Rebuilding {
        /// What is wrong with it.
        why: String,
    },
    /// It is damaged, and the last attempt to rebuild it failed. It is tried again.
    RebuildFailed {
        /// Why the attempt failed.
        why: String,
    },
}

impl StoreHealth {
    /// Why appends fail at present; `None` while the last append or probe succeeded.
    pub fn blocked(&self) -> Option<Blocked> {
        self.condition().blocked.clone()
    }

    /// An append or a probe failed. A file that was replaced stays replaced.
    pub fn block(&self, by: BlockedBy, detail: impl Into<String>) {
        let mut condition = self.condition();
        if condition.blocked.as_ref().is_none_or(|blocked| blocked.by != BlockedBy::JournalReplaced) {
            condition.blocked = Some(Blocked { by, detail: detail.into() });
        }
    }

    /// An append or a probe succeeded. A file that was replaced stays replaced.
    pub fn unblock(&self) {
        let mut condition = self.condition();
        if condition.blocked.as_ref().is_some_and(|blocked| blocked.by != BlockedBy::JournalReplaced) {
            condition.blocked = None;
        }
    }

    /// Damage that was met in the journal since it was opened.
    pub fn damage(&self) -> Option<Damage> {
        self.condition().damage.clone()
    }

    /// Notes damage that was met in the journal. The first is logged, and then whatever lies before all that was known.
    pub fn note_damage(&self, corruption: &Corruption) {
        let mut condition = self.condition();
        let is_first = match &mut condition.damage {
            None => {
                condition.damage = Some(Damage { first: corruption.clone(), met: 1 });
                true
            }
            Some(damage) => {
                damage.met += 1;
                let is_lower = corruption.position < damage.first.position;
                if is_lower {
                    damage.first = corruption.clone();
                }
                is_lower
            }
        };
        drop(condition);
        if is_first {
            tracing::error!(position = %corruption.position, what = corruption.what, "the journal is damaged; run `cauri-replay verify`");
        }
    }

    /// The condition of the derived index.
    pub fn index(&self) -> IndexCondition {
        self.condition().index.clone()
    }

    /// How often the index was rebuilt since the journal was opened.
    pub fn index_rebuilds(&self) -> u64 {
        self.condition().index_rebuilds
    }

    /// Why writes of the derived index are paused, if they are: the free space is below the reserve.
    pub fn paused(&self) -> Option<String> {
        self.condition().paused.clone()
    }

    pub(crate) fn set_index(&self, index: IndexCondition) {
        self.condition().index = index;
    }

    /// An append failed because the index cannot be written. One that is being rebuilt has a condition already.
    pub(crate) fn index_write_failed(&self, why: impl Into<String>) {
        let mut condition = self.condition();
        if matches!(condition.index, IndexCondition::Whole | IndexCondition::WriteFailed { .. }) {
            condition.index = IndexCondition::WriteFailed { why: why.into() };
        }
    }

    /// The index was written again.
    pub(crate) fn index_was_written(&self) {
        let mut condition = self.condition();
        if matches!(condition.index, IndexCondition::WriteFailed { .. }) {
            condition.index = IndexCondition::Whole;
        }
    }

    pub(crate) fn index_was_rebuilt(&self) {
        let mut condition = self.condition();
        condition.index = IndexCondition::Whole;
        // The one that was paused has ended; the new one says so itself if it is.
        condition.paused = None;
        condition.index_rebuilds += 1;
    }

    pub(crate) fn set_paused(&self, why: Option<String>) {
        self.condition().paused = why;
    }

    fn condition(&self) -> MutexGuard<'_, Condition> {
        self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

#[cfg(test)]
mod tests {
    use cauri_event_schemas::Position;

    use super::*;

    #[test]
    fn a_replaced_journal_stays_replaced_and_other_failures_end() {
        let health = StoreHealth::default();
        health.block(BlockedBy::DiskFull, "full");
        health.unblock();
        assert_eq!(health.blocked(), None);
        health.block(BlockedBy::JournalReplaced, "gone");
        health.block(BlockedBy::WriteFailed, "later");
        health.unblock();
        assert_eq!(health.blocked().map(|blocked| blocked.by), Some(BlockedBy::JournalReplaced));
    }

    #[test]
    fn the_lowest_damaged_position_is_kept_and_every_meeting_is_counted() {
        let health = StoreHealth::default();
        for position in [7, 3, 9] {
            health.note_damage(&Corruption::new(Position::new(position), "a flipped bit"));
        }
        let damage = health.damage().map(|damage| (damage.first.position.get(), damage.met));
        assert_eq!(damage, Some((3, 3)));
    }
}
