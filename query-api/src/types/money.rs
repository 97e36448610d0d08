//! `Money`: an amount in a currency.

use async_graphql::SimpleObject;
use cauri_domain::money;

use crate::error::QueryError;
use crate::scalars::{Currency, Decimal};

/// An exact amount in one currency.
#[derive(Clone, Debug, PartialEq, Eq, SimpleObject)]
pub struct Money {
    /// Major units, with as many digits after the point as the currency has.
    amount: Decimal,
    /// The currency.
    currency: Currency,
}

impl Money {
    /// An amount counted in minor units. A sum over many accounts may be beyond what a decimal holds.
    pub(crate) fn from_minor(minor: impl Into<i128>, currency: money::Currency) -> Result<Self, QueryError> {
        let minor = minor.into();
        let amount = Decimal::from_minor(minor, currency);
        let amount = amount.ok_or_else(|| QueryError::internal(format_args!("{minor} minor units of {currency} are beyond a decimal")))?;
        Ok(Self { amount, currency: currency.into() })
    }
}
