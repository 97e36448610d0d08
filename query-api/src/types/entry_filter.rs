//! `EntryFilter`: which entries to list.

use async_graphql::InputObject;
use cauri_domain::text::{Key, ShortText};
use cauri_projections::read;

use super::EntryState;
use crate::error::QueryError;
use crate::scalars::{AccountAddress, Timestamp};

/// Which entries to list. What is absent does not filter; what is given must all hold.
#[derive(Clone, Debug, Default, InputObject)]
#[graphql(name = "EntryFilter")]
pub struct EntryFilterInput {
    /// With a transfer that debits or credits this account.
    pub(crate) account: Option<AccountAddress>,
    /// With exactly this reference.
    pub(crate) reference: Option<String>,
    /// With exactly this pair among its dimensions.
    pub(crate) dimension: Option<DimensionInput>,
    /// Effective at or after this instant.
    pub(crate) effective_from: Option<Timestamp>,
    /// Effective before this instant.
    pub(crate) effective_to: Option<Timestamp>,
    /// Recorded at or after this instant.
    pub(crate) recorded_from: Option<Timestamp>,
    /// Recorded before this instant.
    pub(crate) recorded_to: Option<Timestamp>,
    /// In this state now.
    pub(crate) state: Option<EntryState>,
}

/// A dimension to look for.
#[derive(Clone, Debug, InputObject)]
pub struct DimensionInput {
    /// The key, such as `merchant`.
    pub(crate) key: String,
    /// The value, such as `awa`.
    pub(crate) value: String,
}

impl EntryFilterInput {
    /// The filter of the read store; refuses texts that no entry can have.
    pub(crate) fn into_filter(self) -> Result<read::EntryFilter, QueryError> {
        let dimension = self.dimension.map(|pair| {
            let key: Key = pair.key.parse().map_err(QueryError::bad_input)?;
            let value: ShortText = pair.value.parse().map_err(QueryError::bad_input)?;
            Ok::<_, QueryError>((key, value))
        });
        Ok(read::EntryFilter {
            account: self.account.map(|account| account.0),
            reference: self.reference.map(|reference| reference.parse().map_err(QueryError::bad_input)).transpose()?,
            dimension: dimension.transpose()?,
            effective_from: self.effective_from.map(|at| at.0),
            effective_to: self.effective_to.map(|at| at.0),
            recorded_from: self.recorded_from.map(|at| at.0),
            recorded_to: self.recorded_to.map(|at| at.0),
            state: self.state.map(Into::into),
        })
    }
}
