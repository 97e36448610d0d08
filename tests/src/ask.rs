//! What a command asks, in plain words and numbers: the naive model understands it as it is, the engine gets it translated.

use std::sync::Arc;

use cauri_domain::LedgerCommand;
use cauri_domain::account::{AccountAction, AccountKind, ChangeLimits, CloseAccount, FreezeAccount, OpenAccount};
use cauri_domain::account_set::{AccountSetAction, AccountSetCommand, ChangeMembers, CreateAccountSet, Member, SetName};
use cauri_domain::entry::{
    AnnotateEntry, EntryAction, HoldTerms, PostEntry, PostHold, ReverseEntry, TransferAmount, TransferRequest, VoidHold,
};
use cauri_domain::ids::{AccountAddress, CommandKey, EntryId};
use cauri_domain::journal::{CloseJournal, JournalCommand};
use cauri_domain::limits::{LimitAmount, UncheckedLimits};
use cauri_domain::money::{Currency, UncheckedMoney};
use cauri_domain::time::Timestamp;
use cauri_engine::CommandEnvelope;
use cauri_event_schemas::StreamVersion;
use rust_decimal::Decimal;
use serde::{Deserialize, Serialize};

/// The two currencies of the simulation, as the model knows them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize)]
pub enum Coin {
    /// XOF: no digits after the point.
    Franc,
    /// EUR: two digits after the point.
    Euro,
}

/// `units` divided by 10 to the power of `decimals`.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Amount {
    /// The digits, with their sign.
    pub units: i64,
    /// How many of them stand after the point.
    pub decimals: u32,
    /// Of which currency.
    pub coin: Coin,
}

/// One transfer as asked for.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Move {
    /// The account on the left.
    pub debit: String,
    /// The account on the right.
    pub credit: String,
    /// How much, or how much at most.
    pub amount: Amount,
    /// At most that much.
    pub up_to: bool,
}

/// Hold instead of posting at once.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Hold {
    /// Until this time, if it ends by itself.
    pub expires_at: Option<i64>,
}

/// What a command asks. Times are microseconds since 1970, entries are numbers.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[expect(missing_docs, reason = "the names are those of the domain's commands")]
pub enum Ask {
    Open { address: String, kind: AccountKind, coin: Coin, floor: Option<Amount>, ceiling: Option<Amount> },
    Freeze { address: String },
    Unfreeze { address: String },
    Close { address: String, sweep_to: Option<String> },
    Reopen { address: String },
    Limits { address: String, floor: Option<Amount>, ceiling: Option<Amount> },
    Post { entry: Option<u128>, moves: Vec<Move>, hold: Option<Hold>, effective_at: Option<i64> },
    PostHold { entry: u128, amounts: Option<Vec<Amount>>, effective_at: Option<i64> },
    VoidHold { entry: u128 },
    Reverse { entry: u128, by: Option<u128>, at_original_date: bool },
    Annotate { entry: u128 },
    CreateSet { set: String },
    ChangeSet { set: String, add: bool, member: String, effective_at: Option<i64> },
    CloseJournal,
}

/// A command of the simulation.
#[derive(Clone, Debug, PartialEq, Eq, Serialize, Deserialize)]
pub struct Asked {
    /// Its idempotency key.
    pub key: String,
    /// What it asks.
    pub ask: Ask,
    /// Decide it only at this version.
    pub expected_version: Option<u64>,
}

impl Asked {
    /// The command as the engine takes it.
    pub fn envelope(&self) -> CommandEnvelope<LedgerCommand> {
        let key = command_key(&self.key);
        let command = match &self.ask {
            Ask::Open { address: at, kind, coin, floor, ceiling } => LedgerCommand::open_account(OpenAccount {
                address: address(at),
                chart_code: None,
                currency: coin.currency(),
                kind: *kind,
                limits: Some(limits(*floor, *ceiling)),
                metadata: Default::default(),
                owner: None,
            }),
            Ask::Freeze { address: at } => LedgerCommand::account(address(at), AccountAction::Freeze(FreezeAccount::default())),
            Ask::Unfreeze { address: at } => LedgerCommand::account(address(at), AccountAction::Unfreeze),
            Ask::Close { address: at, sweep_to } => {
                let close = CloseAccount { sweep_to: sweep_to.as_deref().map(address), ..CloseAccount::default() };
                LedgerCommand::account(address(at), AccountAction::Close(close))
            }
            Ask::Reopen { address: at } => LedgerCommand::account(address(at), AccountAction::Reopen),
            Ask::Limits { address: at, floor, ceiling } => {
                LedgerCommand::account(address(at), AccountAction::ChangeLimits(ChangeLimits { limits: limits(*floor, *ceiling) }))
            }
            Ask::Post { entry, moves, hold, effective_at } => {
                let post = PostEntry {
                    id: entry.map(EntryId::from_u128),
                    transfers: moves.iter().map(Move::request).collect(),
                    hold: hold.map(|hold| HoldTerms { expires_at: hold.expires_at.map(instant) }),
                    effective_at: effective_at.map(instant),
                    ..PostEntry::default()
                };
                LedgerCommand::post_entry(post, &key)
            }
            Ask::PostHold { entry, amounts, effective_at } => {
                let amounts = amounts.as_ref().map(|amounts| amounts.iter().map(|amount| amount.money()).collect());
                let post = PostHold { amounts, effective_at: effective_at.map(instant) };
                LedgerCommand::entry(EntryId::from_u128(*entry), EntryAction::PostHold(post))
            }
            Ask::VoidHold { entry } => LedgerCommand::entry(EntryId::from_u128(*entry), EntryAction::VoidHold(VoidHold::default())),
            Ask::Reverse { entry, by, at_original_date } => {
                let reverse =
                    ReverseEntry { at_original_date: *at_original_date, entry_id: by.map(EntryId::from_u128), ..ReverseEntry::default() };
                LedgerCommand::entry(EntryId::from_u128(*entry), EntryAction::Reverse(reverse))
            }
            Ask::Annotate { entry } => {
                let pair = ("case".parse().expect("a key"), self.key.parse().expect("a short text"));
                let annotate = AnnotateEntry::new([pair].into(), Vec::new(), None).expect("a pair");
                LedgerCommand::entry(EntryId::from_u128(*entry), EntryAction::Annotate(annotate))
            }
            Ask::CreateSet { set } => {
                let name: SetName = set.parse().expect("a name");
                let create = CreateAccountSet { description: None, metadata: Default::default(), name: name.clone() };
                LedgerCommand::AccountSet(AccountSetCommand { name, action: Arc::new(AccountSetAction::Create(create)) })
            }
            Ask::ChangeSet { set, add, member, effective_at } => {
                let member = match member.strip_prefix("set.") {
                    Some(_) => Member::Set(member.parse().expect("a name")),
                    None => Member::Account(address(member)),
                };
                let change = ChangeMembers { effective_at: effective_at.map(instant), member, reason: None };
                let action = if *add { AccountSetAction::Add(change) } else { AccountSetAction::Remove(change) };
                let name = set.parse().expect("a name");
                LedgerCommand::AccountSet(AccountSetCommand { name, action: Arc::new(action) })
            }
            Ask::CloseJournal => LedgerCommand::Journal(JournalCommand::Close(CloseJournal::default())),
        };
        let mut envelope = CommandEnvelope::new(command, key, "operator:simulation".parse().expect("a short text"));
        envelope.expected_version = self.expected_version.map(StreamVersion::new);
        envelope
    }

    /// The number of the entry that this command makes where it names none.
    pub fn derived_entry(&self) -> u128 {
        EntryId::derived_from(&command_key(&self.key)).as_u128()
    }
}

/// The key of a command of the one caller that a simulation has.
fn command_key(id: &str) -> CommandKey {
    format!("simulation caller {id}").parse().expect("a command key")
}

impl Coin {
    /// How many digits after the point.
    pub fn digits(self) -> u32 {
        match self {
            Coin::Franc => 0,
            Coin::Euro => 2,
        }
    }

    /// The currency.
    pub fn currency(self) -> Currency {
        match self {
            Coin::Franc => Currency::XOF,
            Coin::Euro => Currency::EUR,
        }
    }
}

impl Amount {
    /// A whole number of minor units.
    pub fn minor(units: i64, coin: Coin) -> Self {
        Self { units, decimals: coin.digits(), coin }
    }

    fn decimal(&self) -> Decimal {
        Decimal::new(self.units, self.decimals)
    }

    fn money(&self) -> UncheckedMoney {
        UncheckedMoney { amount: self.decimal(), currency: self.coin.currency() }
    }
}

impl Move {
    fn request(&self) -> TransferRequest {
        let amount = if self.up_to { TransferAmount::UpTo(self.amount.money()) } else { TransferAmount::Exactly(self.amount.money()) };
        TransferRequest { debit: address(&self.debit), credit: address(&self.credit), amount, reason: None }
    }
}

fn limits(floor: Option<Amount>, ceiling: Option<Amount>) -> UncheckedLimits {
    let bound = |amount: Amount| LimitAmount::Money(amount.money());
    UncheckedLimits { ceiling: ceiling.map(bound), floor: floor.map(bound) }
}

fn address(text: &str) -> AccountAddress {
    text.parse().expect("an address")
}

fn instant(micros: i64) -> Timestamp {
    Timestamp::from_micros(micros).expect("an instant")
}

#[cfg(test)]
mod tests {
    use crate::maker::Maker;

    #[test]
    fn what_was_asked_is_the_same_command_after_a_round_trip() {
        let mut maker = Maker::new("c", 7);
        for _ in 0..20_000 {
            let asked = maker.fresh(1_773_648_000_000_000);
            let again: super::Asked = serde_json::from_str(&serde_json::to_string(&asked).expect("text")).expect("a command");
            assert_eq!(again, asked);
            assert_eq!(again.envelope().fingerprint, asked.envelope().fingerprint, "{asked:?}");
        }
    }
}
