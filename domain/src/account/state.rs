//! What an account can be, and which event leads from where to where.

use std::fmt;
use std::str::FromStr;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

use super::AccountEvent;
use crate::IllegalTransition;
use crate::event::EventSet;
use crate::limits::Limits;
use crate::money::{Currency, Money};

/// An account, as far as decisions look at it. Totals stand in [`crate::fold::Balances`].
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub enum Account {
    /// Nothing was ever written at this address.
    #[default]
    Unopened,
    /// It takes entries.
    Open(Terms),
    /// Holds may be voided or expire, nothing else moves.
    Frozen(Terms),
    /// Holds may be voided or expire; it can be reopened.
    Closed(Terms),
}

/// What stays the same while an account is opened, frozen and closed.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize)]
#[serde(from = "TermsShape", into = "TermsShape")]
pub struct Terms {
    /// The only currency it holds.
    pub currency: Currency,
    /// Kind, and so normal side.
    pub kind: AccountKind,
    /// Limits seen from the normal side.
    pub limits: Limits,
}

/// Terms in a snapshot: bounds in minor units, every field always there, so that any format can hold them.
#[derive(Serialize, Deserialize)]
struct TermsShape {
    currency: Currency,
    kind: AccountKind,
    ceiling: Option<i64>,
    floor: Option<i64>,
}

impl From<TermsShape> for Terms {
    fn from(shape: TermsShape) -> Self {
        let money = |minor| Money::from_minor(minor, shape.currency);
        let limits = Limits { ceiling: shape.ceiling.map(money), floor: shape.floor.map(money) };
        Self { currency: shape.currency, kind: shape.kind, limits }
    }
}

impl From<Terms> for TermsShape {
    fn from(terms: Terms) -> Self {
        let minor = |money: Money| money.minor();
        Self { currency: terms.currency, kind: terms.kind, ceiling: terms.limits.ceiling.map(minor), floor: terms.limits.floor.map(minor) }
    }
}

/// The five kinds of account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum AccountKind {
    /// What we own or are owed: normal side debit.
    Asset,
    /// What we spend: normal side debit.
    Expense,
    /// What belongs to the owners: normal side credit.
    Equity,
    /// What we earn: normal side credit.
    Income,
    /// What we owe, such as customers' money: normal side credit.
    Liability,
}

/// The two sides of an account.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Side {
    /// Left.
    Debit,
    /// Right.
    Credit,
}

impl AccountKind {
    /// All kinds.
    pub const ALL: [AccountKind; 5] =
        [AccountKind::Asset, AccountKind::Expense, AccountKind::Equity, AccountKind::Income, AccountKind::Liability];

    /// The side on which the kind's balance is positive.
    pub fn normal_side(self) -> Side {
        match self {
            AccountKind::Asset | AccountKind::Expense => Side::Debit,
            AccountKind::Equity | AccountKind::Income | AccountKind::Liability => Side::Credit,
        }
    }

    /// The kind as it is written.
    pub fn as_str(self) -> &'static str {
        match self {
            AccountKind::Asset => "asset",
            AccountKind::Expense => "expense",
            AccountKind::Equity => "equity",
            AccountKind::Income => "income",
            AccountKind::Liability => "liability",
        }
    }
}

impl fmt::Display for AccountKind {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str(self.as_str())
    }
}

/// A text that is no kind of account.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error("`{0}` is not a kind of account: asset, expense, equity, income or liability")]
pub struct UnknownKind(String);

impl FromStr for AccountKind {
    type Err = UnknownKind;

    fn from_str(text: &str) -> Result<Self, UnknownKind> {
        Self::ALL.into_iter().find(|kind| kind.as_str() == text).ok_or_else(|| UnknownKind(text.chars().take(40).collect()))
    }
}

impl Account {
    /// Kind, currency and limits, unless it was never opened.
    pub fn terms(&self) -> Option<&Terms> {
        match self {
            Account::Unopened => None,
            Account::Open(terms) | Account::Frozen(terms) | Account::Closed(terms) => Some(terms),
        }
    }

    /// The state in one word.
    pub fn status(&self) -> &'static str {
        match self {
            Account::Unopened => "unopened",
            Account::Open(_) => "open",
            Account::Frozen(_) => "frozen",
            Account::Closed(_) => "closed",
        }
    }
}

/// One match of legal pairs; anything else is a corrupt journal, never a refusal.
pub fn evolve(account: Account, event: &AccountEvent) -> Result<Account, IllegalTransition> {
    match (account, event) {
        (Account::Unopened, AccountEvent::Opened(opened)) => {
            Ok(Account::Open(Terms { currency: opened.currency, kind: opened.kind, limits: opened.limits }))
        }
        (Account::Open(terms), AccountEvent::Frozen(_)) => Ok(Account::Frozen(terms)),
        (Account::Frozen(terms), AccountEvent::Unfrozen(_)) => Ok(Account::Open(terms)),
        (Account::Open(terms), AccountEvent::Closed(_)) => Ok(Account::Closed(terms)),
        (Account::Closed(terms), AccountEvent::Reopened(_)) => Ok(Account::Open(terms)),
        (Account::Open(terms), AccountEvent::LimitsChanged(changed)) => Ok(Account::Open(Terms { limits: changed.limits, ..terms })),
        (Account::Frozen(terms), AccountEvent::LimitsChanged(changed)) => Ok(Account::Frozen(Terms { limits: changed.limits, ..terms })),
        (account, event) => Err(IllegalTransition::new("an account", account.status(), event.name())),
    }
}
