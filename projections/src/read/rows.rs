//! The rows that leave the read store. Amounts are integers in minor units beside their currency: `Money::from_minor` makes money.

use std::collections::BTreeMap;
use std::fmt;
use std::str::FromStr;

use cauri_domain::account::{AccountKind, Side};
use cauri_domain::fold::Totals;
use cauri_domain::ids::{AccountAddress, CommandId, EntryId};
use cauri_domain::money::Currency;
use cauri_domain::text::{Key, ShortText};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::ledger::StreamId;
use cauri_event_schemas::{Position, StreamVersion};

use super::Page;

/// An account with its totals as the read model has them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct AccountRow {
    /// Where it stands.
    pub address: AccountAddress,
    /// Kind, and so normal side.
    pub kind: AccountKind,
    /// The only currency it holds.
    pub currency: Currency,
    /// The least that balance minus outgoing holds may be, in minor units; none if absent.
    pub floor_minor: Option<i64>,
    /// The most that balance plus incoming holds may be, in minor units; none if absent.
    pub ceiling_minor: Option<i64>,
    /// Open, frozen or closed.
    pub status: AccountStatus,
    /// Account number in the chart (SYSCOHADA).
    pub chart_code: Option<ShortText>,
    /// Who it belongs to.
    pub owner: Option<ShortText>,
    /// Free pairs.
    pub metadata: BTreeMap<Key, ShortText>,
    /// When it was opened.
    pub opened_at: Timestamp,
    /// Position of its opening.
    pub opened_position: Position,
    /// How many events its stream has (what `If-Match` is compared with).
    pub version: StreamVersion,
    /// All it ever moved and what open holds claim, in minor units, whatever the effective dates.
    /// `totals.balance(kind)` and `totals.available(kind)` read them on the normal side.
    pub totals: Totals,
    /// Position of the last event that changed anything in this row.
    pub last_position: Position,
}

/// Whether an account takes entries.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum AccountStatus {
    /// It takes entries.
    Open,
    /// Nothing moves until it is unfrozen.
    Frozen,
    /// It takes no more entries.
    Closed,
}

impl AccountStatus {
    /// The status in one word, as the domain writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            AccountStatus::Open => "open",
            AccountStatus::Frozen => "frozen",
            AccountStatus::Closed => "closed",
        }
    }
}

/// A text that is no status or state of the read store.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is neither a status of an account nor a state of an entry")]
pub struct UnknownState(String);

impl FromStr for AccountStatus {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        let known = [AccountStatus::Open, AccountStatus::Frozen, AccountStatus::Closed];
        known.into_iter().find(|status| status.as_str() == text).ok_or_else(|| UnknownState(text.chars().take(40).collect()))
    }
}

impl fmt::Display for AccountStatus {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// Which accounts to list; what is absent does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct AccountFilter {
    /// The account here and all below it, by whole segments: `merchants:awa` finds `merchants:awa:available`,
    /// not `merchants:awatou`.
    pub prefix: Option<AccountAddress>,
    /// Of this kind.
    pub kind: Option<AccountKind>,
    /// In this currency.
    pub currency: Option<Currency>,
    /// With this status.
    pub status: Option<AccountStatus>,
    /// Belonging to this owner.
    pub owner: Option<ShortText>,
}

/// An account's totals as of an effective time, as known at a position.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct BalanceRow {
    /// Where the account stands.
    pub address: AccountAddress,
    /// Kind, and so normal side.
    pub kind: AccountKind,
    /// Its currency.
    pub currency: Currency,
    /// The four totals, in minor units.
    pub totals: Totals,
    /// Only what is effective at or before this instant; every effective date if absent.
    pub as_of: Option<Timestamp>,
    /// Only what was recorded at or before this position.
    pub known_at: Position,
}

/// Four totals over many accounts, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct SummedTotals {
    /// Σ of posted debits.
    pub debits_posted: i128,
    /// Σ of posted credits.
    pub credits_posted: i128,
    /// Σ of debits that open holds claim.
    pub debits_pending: i128,
    /// Σ of credits that open holds claim.
    pub credits_pending: i128,
}

impl SummedTotals {
    /// Posted on the side where `kind` is positive, minus posted on the other.
    pub fn balance(&self, kind: AccountKind) -> i128 {
        match kind.normal_side() {
            Side::Debit => self.debits_posted - self.credits_posted,
            Side::Credit => self.credits_posted - self.debits_posted,
        }
    }

    /// The balance minus what open holds may take.
    pub fn available(&self, kind: AccountKind) -> i128 {
        match kind.normal_side() {
            Side::Debit => self.balance(kind) - self.credits_pending,
            Side::Credit => self.balance(kind) - self.debits_pending,
        }
    }

    pub(crate) fn add(&mut self, totals: &Totals) {
        self.debits_posted += i128::from(totals.debits_posted);
        self.credits_posted += i128::from(totals.credits_posted);
        self.debits_pending += i128::from(totals.debits_pending);
        self.credits_pending += i128::from(totals.credits_pending);
    }
}

/// What stands below a prefix, in one currency and of one kind.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct RollupRow {
    /// The currency.
    pub currency: Currency,
    /// The kind of the accounts that are summed here.
    pub kind: AccountKind,
    /// How many accounts.
    pub accounts: u64,
    /// Their totals.
    pub totals: SummedTotals,
}

/// What an entry is.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub enum EntryState {
    /// Posted at once.
    Posted,
    /// Held: open.
    Held,
    /// Was held, then posted, whole or in part.
    HoldPosted,
    /// Was held, then given back.
    HoldVoided,
    /// Was held until its time had passed.
    HoldExpired,
    /// Was posted, then undone by the opposite entry.
    Reversed,
}

impl EntryState {
    /// All states.
    pub const ALL: [EntryState; 6] = [
        EntryState::Posted,
        EntryState::Held,
        EntryState::HoldPosted,
        EntryState::HoldVoided,
        EntryState::HoldExpired,
        EntryState::Reversed,
    ];

    /// The state in a word or two, as the domain writes it.
    pub fn as_str(self) -> &'static str {
        match self {
            EntryState::Posted => "posted",
            EntryState::Held => "held",
            EntryState::HoldPosted => "hold_posted",
            EntryState::HoldVoided => "hold_voided",
            EntryState::HoldExpired => "hold_expired",
            EntryState::Reversed => "reversed",
        }
    }
}

impl FromStr for EntryState {
    type Err = UnknownState;

    fn from_str(text: &str) -> Result<Self, UnknownState> {
        Self::ALL.into_iter().find(|state| state.as_str() == text).ok_or_else(|| UnknownState(text.chars().take(40).collect()))
    }
}

impl fmt::Display for EntryState {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// An entry with what became of it.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryRow {
    /// Its id.
    pub id: EntryId,
    /// What it is now.
    pub state: EntryState,
    /// The business time of its first event: of the posting, or from which it is held.
    pub effective_at: Timestamp,
    /// The business time at which the posted balances moved; absent while it is held and where a hold was given back.
    pub posted_effective_at: Option<Timestamp>,
    /// When the hold expires or would have expired.
    pub expires_at: Option<Timestamp>,
    /// The caller's own reference.
    pub reference: Option<ShortText>,
    /// Pairs to group by.
    pub dimensions: BTreeMap<Key, ShortText>,
    /// What moved or is held, in order.
    pub transfers: Vec<TransferRow>,
    /// The entry that this one undoes.
    pub reverses: Option<EntryId>,
    /// The entry that undid this one.
    pub reversed_by: Option<EntryId>,
    /// When it was first written.
    pub recorded_at: Timestamp,
    /// Position of its first event.
    pub first_position: Position,
    /// Position of its last event.
    pub last_position: Position,
    /// How many events its stream has (what `If-Match` is compared with).
    pub version: StreamVersion,
    /// What happened to it after its first event, in order.
    pub steps: Vec<EntryStep>,
}

/// One transfer of an entry.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TransferRow {
    /// The account on the left.
    pub debit: AccountAddress,
    /// The account on the right.
    pub credit: AccountAddress,
    /// The currency of both.
    pub currency: Currency,
    /// What was posted at once, or held, in minor units.
    pub amount_minor: i64,
    /// What moved the posted balances, in minor units: less than held where a hold was posted in part, 0 where it was not.
    pub posted_minor: i64,
    /// Why, for a statement.
    pub reason: Option<ShortText>,
}

/// Something that happened to an entry after its first event.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct EntryStep {
    /// Where it stands in the journal.
    pub position: Position,
    /// What the entry became.
    pub state: EntryState,
    /// The business time; absent for `reversed`, whose opposite entry has one.
    pub effective_at: Option<Timestamp>,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// Why.
    pub reason: Option<ShortText>,
}

/// Which entries to list; what is absent does not filter, what is given must all hold.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct EntryFilter {
    /// With a transfer that debits or credits this account.
    pub account: Option<AccountAddress>,
    /// With exactly this reference.
    pub reference: Option<ShortText>,
    /// With exactly this pair.
    pub dimension: Option<(Key, ShortText)>,
    /// Effective (first event) at or after this instant.
    pub effective_from: Option<Timestamp>,
    /// Effective (first event) before this instant.
    pub effective_to: Option<Timestamp>,
    /// First recorded at or after this instant.
    pub recorded_from: Option<Timestamp>,
    /// First recorded before this instant.
    pub recorded_to: Option<Timestamp>,
    /// In this state now.
    pub state: Option<EntryState>,
}

/// What moved on one account in a time: from an opening balance over lines to a closing balance.
#[derive(Clone, Debug, PartialEq)]
pub struct StatementPage {
    /// Where the account stands.
    pub address: AccountAddress,
    /// Kind, and so normal side.
    pub kind: AccountKind,
    /// Its currency.
    pub currency: Currency,
    /// First instant of the statement.
    pub from: Timestamp,
    /// First instant after the statement.
    pub to: Timestamp,
    /// As known at this position; later pages of the same statement stay with it.
    pub known_at: Position,
    /// Totals of everything effective before `from`, in minor units.
    pub opening: Totals,
    /// Totals of everything effective before `to`, in minor units.
    pub closing: Totals,
    /// Lines that moved the posted balance, by (effective time, position, line).
    pub lines: Page<StatementLine>,
}

/// One line of a statement.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct StatementLine {
    /// The business time.
    pub effective_at: Timestamp,
    /// Position of the event that moved it.
    pub position: Position,
    /// Index of the transfer in the entry, from 0.
    pub line: u32,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The entry.
    pub entry: EntryId,
    /// The entry's reference.
    pub reference: Option<ShortText>,
    /// On which side of this account.
    pub side: Side,
    /// How much, in minor units, more than zero.
    pub amount_minor: i64,
    /// The account's balance after this line, on its normal side, in minor units.
    pub balance_minor: i64,
    /// The other account of the transfer.
    pub counterparty: AccountAddress,
    /// Why.
    pub reason: Option<ShortText>,
}

/// Every account's posted totals at one effective time and position, and their sums.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialBalance {
    /// Only what is effective at or before this instant; every effective date if absent.
    pub as_of: Option<Timestamp>,
    /// As known at this position.
    pub known_at: Position,
    /// One row an account, by address.
    pub rows: Vec<TrialBalanceRow>,
    /// One row a currency, by code. Debits equal credits, always.
    pub sums: Vec<TrialBalanceSum>,
}

/// An account in a trial balance.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct TrialBalanceRow {
    /// Where the account stands.
    pub address: AccountAddress,
    /// Kind, and so normal side.
    pub kind: AccountKind,
    /// Its currency.
    pub currency: Currency,
    /// Account number in the chart.
    pub chart_code: Option<ShortText>,
    /// Σ of posted debits, in minor units.
    pub debits_minor: i64,
    /// Σ of posted credits, in minor units.
    pub credits_minor: i64,
    /// The balance on the normal side, in minor units.
    pub balance_minor: i64,
}

/// What a trial balance sums up to in one currency.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct TrialBalanceSum {
    /// The currency.
    pub currency: Currency,
    /// Σ of debits, in minor units.
    pub debits_minor: i128,
    /// Σ of credits, in minor units.
    pub credits_minor: i128,
}

/// An event as the journal lists it; its payload is read from the journal itself.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct JournalEventRow {
    /// Its place in the journal.
    pub position: Position,
    /// The event's type.
    pub event_type: String,
    /// The stream it belongs to.
    pub stream: StreamId,
    /// Its place in the stream.
    pub version: StreamVersion,
    /// The version of the shape that it was read as, after any upcast.
    pub schema: u32,
    /// When it was recorded.
    pub recorded_at: Timestamp,
    /// The command that caused it.
    pub command: CommandId,
    /// Who asked, as `role:subject`.
    pub actor: ShortText,
}

/// Which events to list; what is absent does not filter.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct JournalEventFilter {
    /// At or after this position.
    pub from: Option<Position>,
    /// At or before this position.
    pub to: Option<Position>,
    /// Of this stream.
    pub stream: Option<StreamId>,
    /// Of this type, such as `entry.posted`.
    pub event_type: Option<String>,
}
