//! The auditor's own fold: accounts and their four totals, rebuilt from the journal and nothing else.
//!
//! It shares with the engine the reading of values and the states of an account, not the arithmetic of
//! entries: what the engine's fold and this one both say was computed twice. Totals have 128 bits, so that
//! no forged amount can overflow them.

use cauri_domain::account::{Account as State, AccountKind, Side};
use cauri_domain::money::Currency;
use hashbrown::HashTable;

use crate::reading::{Motion, Movement, ReadBatch, Span};

/// An account's number in the order of opening.
pub type Number = u32;

/// What was ever debited and credited, and what open holds claim, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Totals {
    /// Σ of posted debits.
    pub debits_posted: i128,
    /// Σ of posted credits.
    pub credits_posted: i128,
    /// Σ of debits that open holds claim.
    pub debits_pending: i128,
    /// Σ of credits that open holds claim.
    pub credits_pending: i128,
}

impl Totals {
    /// Posted debits minus posted credits.
    pub fn net_debit(&self) -> i128 {
        self.debits_posted - self.credits_posted
    }

    /// Posted on the normal side minus posted on the other.
    pub fn balance(&self, kind: AccountKind) -> i128 {
        match kind.normal_side() {
            Side::Debit => self.net_debit(),
            Side::Credit => -self.net_debit(),
        }
    }

    /// The balance minus what open holds may take.
    pub fn available(&self, kind: AccountKind) -> i128 {
        self.balance(kind) - self.outgoing(kind)
    }

    /// The balance plus what open holds may bring.
    pub fn expected(&self, kind: AccountKind) -> i128 {
        self.balance(kind) + self.incoming(kind)
    }

    /// What open holds may take.
    pub fn outgoing(&self, kind: AccountKind) -> i128 {
        match kind.normal_side() {
            Side::Debit => self.credits_pending,
            Side::Credit => self.debits_pending,
        }
    }

    /// What open holds may bring.
    pub fn incoming(&self, kind: AccountKind) -> i128 {
        match kind.normal_side() {
            Side::Debit => self.debits_pending,
            Side::Credit => self.credits_pending,
        }
    }
}

/// One account.
#[derive(Clone, Debug)]
pub struct Account {
    /// Where it stands.
    pub address: Box<str>,
    /// Open, frozen or closed, with its terms.
    pub state: State,
    /// How many records its stream has.
    pub version: u64,
    /// What it moved and what is held.
    pub totals: Totals,
    /// It was told that this account is beyond its limits; told again only after it came back.
    pub(crate) beyond: bool,
    /// The only currency it holds.
    pub currency: Currency,
    /// Kind, and so normal side.
    pub kind: AccountKind,
    hash: u64,
}

/// Every account that was ever opened.
#[derive(Debug, Default)]
pub struct Ledger {
    accounts: Vec<Account>,
    numbers: HashTable<Number>,
}

impl Ledger {
    /// The accounts in the order of opening.
    pub fn accounts(&self) -> &[Account] {
        &self.accounts
    }

    /// The account with a number.
    pub fn account(&self, number: Number) -> &Account {
        &self.accounts[number as usize]
    }

    /// The same, to change it.
    pub(crate) fn account_mut(&mut self, number: Number) -> &mut Account {
        &mut self.accounts[number as usize]
    }

    /// The number of the account at an address whose hash is `hash`.
    pub(crate) fn number(&self, address: &[u8], hash: u64) -> Option<Number> {
        self.numbers.find(hash, |number| self.account(*number).address.as_bytes() == address).copied()
    }

    /// The number of an account by its span in a batch.
    pub(crate) fn find(&self, batch: &ReadBatch, (span, hash): (Span, u64)) -> Option<Number> {
        self.number(batch.text(span), hash)
    }

    /// Adds an account; `None` beyond four thousand million of them.
    pub(crate) fn open(&mut self, address: &str, hash: u64, state: State) -> Option<Number> {
        let terms = state.terms()?;
        let number = Number::try_from(self.accounts.len()).ok()?;
        let (currency, kind) = (terms.currency, terms.kind);
        let address = address.into();
        self.accounts.push(Account { address, state, version: 1, totals: Totals::default(), beyond: false, currency, kind, hash });
        let accounts = &self.accounts;
        self.numbers.insert_unique(hash, number, |number| accounts[*number as usize].hash);
        Some(number)
    }

    /// Moves money for good. A side whose account does not exist moves nothing.
    pub(crate) fn post(&mut self, minor: i128, debit: Option<Number>, credit: Option<Number>) {
        if let Some(number) = debit {
            self.accounts[number as usize].totals.debits_posted += minor;
        }
        if let Some(number) = credit {
            self.accounts[number as usize].totals.credits_posted += minor;
        }
    }

    /// Claims money for a hold, or gives it back where `minor` is negative.
    pub(crate) fn pend(&mut self, minor: i128, debit: Option<Number>, credit: Option<Number>) {
        if let Some(number) = debit {
            self.accounts[number as usize].totals.debits_pending += minor;
        }
        if let Some(number) = credit {
            self.accounts[number as usize].totals.credits_pending += minor;
        }
    }

    /// Does what one transfer of an event does, taking the event at its word.
    pub(crate) fn apply(&mut self, motion: Motion, movement: &Movement, debit: Option<Number>, credit: Option<Number>) {
        let (minor, held) = (i128::from(movement.minor), i128::from(movement.held));
        match motion {
            Motion::Posted => self.post(minor, debit, credit),
            Motion::Held => self.pend(minor, debit, credit),
            Motion::HoldPosted => {
                self.pend(-held, debit, credit);
                self.post(minor, debit, credit);
            }
            Motion::HoldVoided | Motion::HoldExpired => self.pend(-minor, debit, credit),
        }
    }
}
