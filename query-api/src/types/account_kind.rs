//! `AccountKind`: the five kinds of account.

use async_graphql::Enum;

/// The kind of an account, and so its normal side: the side on which its balance is positive.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Enum)]
#[graphql(remote = "cauri_domain::account::AccountKind")]
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
