//! The read store, asked: every question of one snapshot is answered as of one position.
//!
//! All calls block for as long as SQLite reads; callers in tasks use `spawn_blocking`.

mod error;
mod page;
mod rows;
mod status;

use std::path::Path;
use std::time::Duration;

use cauri_domain::ids::{AccountAddress, EntryId};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;

pub use error::{OpenError, ReadError};
pub use page::{Cursor, Item, MAX_PAGE, Page};
pub use rows::{
    AccountFilter, AccountRow, AccountStatus, BalanceRow, EntryFilter, EntryRow, EntryState, EntryStep, JournalEventFilter,
    JournalEventRow, RollupRow, StatementLine, StatementPage, SummedTotals, TransferRow, TrialBalance, TrialBalanceRow, TrialBalanceSum,
    UnknownState,
};
pub use status::{ProjectionState, ProjectionStatus};

/// A read store to ask. Cheap to clone: clones share a pool of read-only connections.
#[derive(Clone, Debug)]
pub struct ReadStore {}

impl ReadStore {
    /// Opens the read store that a runner made, of this process or of another.
    ///
    /// In the runner's own process [`crate::runner::Runner::read_store`] gives one that is woken instead of polling.
    pub fn open(path: &Path) -> Result<Self, OpenError> {
        Err(OpenError::NotFound { path: path.to_owned() })
    }

    /// One read transaction: everything asked through it is as of one position.
    pub fn snapshot(&self) -> Result<ReadSnapshot, ReadError> {
        Err(ReadError::InvalidCursor)
    }

    /// Waits until every read model shows `position`; false if that takes longer than `timeout`, or will not
    /// happen because one of them is stopped.
    pub async fn wait_for(&self, position: Position, timeout: Duration) -> bool {
        let _ = (position, timeout);
        false
    }
}

/// One moment of the read store. `Send`, not `Sync`; keep it as short as the query, because it holds a connection.
#[derive(Debug)]
pub struct ReadSnapshot {}

impl ReadSnapshot {
    /// The position that all read models share: the least of theirs.
    pub fn position(&self) -> Position {
        Position::ZERO
    }

    /// The account at an address.
    pub fn account(&self, address: &AccountAddress) -> Result<Option<AccountRow>, ReadError> {
        let _ = address;
        Ok(None)
    }

    /// Accounts by address.
    pub fn accounts(&self, filter: &AccountFilter, after: Option<&Cursor>, limit: usize) -> Result<Page<AccountRow>, ReadError> {
        let _ = (filter, after);
        Ok(Page::cut(Vec::new(), limit))
    }

    /// The account's totals over what is effective at or before `as_of` and was recorded at or before `known_at`;
    /// `None` if the account was not open by then. Exact, whatever was dated back later.
    pub fn balance(
        &self,
        address: &AccountAddress,
        as_of: Option<Timestamp>,
        known_at: Option<Position>,
    ) -> Result<Option<BalanceRow>, ReadError> {
        let _ = (address, as_of, known_at);
        Ok(None)
    }

    /// Sums over the account at `prefix` and all below it, by whole segments: one row per currency and kind.
    pub fn rollup(
        &self,
        prefix: &AccountAddress,
        as_of: Option<Timestamp>,
        known_at: Option<Position>,
    ) -> Result<Vec<RollupRow>, ReadError> {
        let _ = (prefix, as_of, known_at);
        Ok(Vec::new())
    }

    /// The entry with an id.
    pub fn entry(&self, id: EntryId) -> Result<Option<EntryRow>, ReadError> {
        let _ = id;
        Ok(None)
    }

    /// Entries in the order in which they were recorded, or the other way round.
    pub fn entries(
        &self,
        filter: &EntryFilter,
        after: Option<&Cursor>,
        limit: usize,
        descending: bool,
    ) -> Result<Page<EntryRow>, ReadError> {
        let _ = (filter, after, descending);
        Ok(Page::cut(Vec::new(), limit))
    }

    /// What moved on an account from `from` on and before `to`, by effective time; `None` if it was not open by `known_at`.
    pub fn statement(
        &self,
        address: &AccountAddress,
        from: Timestamp,
        to: Timestamp,
        known_at: Option<Position>,
        after: Option<&Cursor>,
        limit: usize,
    ) -> Result<Option<StatementPage>, ReadError> {
        let _ = (address, from, to, known_at, after, limit);
        Ok(None)
    }

    /// Every account that was open by `known_at`, with its posted totals, and the sums per currency.
    pub fn trial_balance(&self, as_of: Option<Timestamp>, known_at: Option<Position>) -> Result<TrialBalance, ReadError> {
        let _ = (as_of, known_at);
        Err(ReadError::InvalidCursor)
    }

    /// Events by position, or the other way round.
    pub fn journal_events(
        &self,
        filter: &JournalEventFilter,
        after: Option<&Cursor>,
        limit: usize,
        descending: bool,
    ) -> Result<Page<JournalEventRow>, ReadError> {
        let _ = (filter, after, descending);
        Ok(Page::cut(Vec::new(), limit))
    }

    /// How far each read model is, by name.
    pub fn projections(&self) -> Result<Vec<ProjectionStatus>, ReadError> {
        Ok(Vec::new())
    }
}
