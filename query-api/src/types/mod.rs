//! The types of the schema, one a file, with the input that says which of it to list and its fields of the root. Their
//! documentation is the schema's text.

pub mod account;
pub mod account_kind;
pub mod account_set;
pub mod account_status;
pub mod as_of;
pub mod balance;
pub mod entry;
pub mod entry_state;
pub mod entry_step;
pub mod event_metadata;
pub mod group_position;
pub mod head;
pub mod journal_event;
pub mod money;
pub mod pair;
pub mod projection;
pub mod rollup;
pub mod side;
pub mod statement;
pub mod statement_line;
pub mod transfer;
pub mod trial_balance;
pub mod trial_balance_row;
pub mod trial_balance_sum;

pub use account::Account;
pub use account_kind::AccountKind;
pub use account_status::AccountStatus;
pub use as_of::AsOf;
pub use balance::Balance;
pub use entry::{DimensionInput, Entry, EntryConnection, EntryFilterInput};
pub use entry_state::EntryState;
pub use entry_step::EntryStep;
pub use event_metadata::EventMetadata;
pub use group_position::GroupPosition;
pub use head::Head;
pub use journal_event::{JournalEvent, JournalEventConnection};
pub use money::Money;
pub use pair::Pair;
pub use projection::{Projection, ProjectionState};
pub use rollup::Rollup;
pub use side::Side;
pub use statement::Statement;
pub use statement_line::StatementLine;
pub use transfer::Transfer;
pub use trial_balance::TrialBalance;
pub use trial_balance_row::TrialBalanceRow;
pub use trial_balance_sum::TrialBalanceSum;

use cauri_projections::{ACCOUNTS, ENTRIES, GroupId, JOURNAL};

/// Fields of the root that stand beside their type.
#[derive(Debug, Default, async_graphql::MergedObject)]
#[graphql(name = "TypeFields")]
pub struct Fields(entry::EntryFields, account_set::AccountSetFields);

/// The groups that an object of this type is read from; `None` if nobody says.
pub(crate) fn groups(object: &str) -> Option<&'static [GroupId]> {
    Some(match object {
        "Account" | "AccountConnection" | "AccountEdge" => &[ACCOUNTS],
        "AccountSet" | "AccountSetConnection" | "AccountSetEdge" => &[ACCOUNTS],
        "AccountSetMember" | "AccountSetMemberConnection" | "AccountSetMemberEdge" => &[ACCOUNTS],
        "Balance" | "Rollup" => &[ACCOUNTS],
        "TrialBalance" | "TrialBalanceRow" | "TrialBalanceRowConnection" | "TrialBalanceRowEdge" | "TrialBalanceSum" => &[ACCOUNTS],
        "Statement" | "StatementLine" | "StatementLineConnection" | "StatementLineEdge" => &[ACCOUNTS, ENTRIES],
        "Entry" | "EntryConnection" | "EntryEdge" | "EntryStep" | "Transfer" => &[ENTRIES],
        "JournalEvent" | "JournalEventConnection" | "JournalEventEdge" | "EventMetadata" => &[JOURNAL],
        // Parts of others, and what no read model knows.
        "Query" | "Subscription" | "Money" | "Pair" | "PageInfo" | "Head" | "GroupPosition" | "Projection" => &[],
        _ => return None,
    })
}

/// GraphQL's `Int` has 32 bits: what is beyond is shown as the largest.
pub(crate) fn int(number: u64) -> i32 {
    i32::try_from(number).unwrap_or(i32::MAX)
}

#[cfg(test)]
mod tests {
    #[test]
    fn every_type_says_which_groups_it_is_read_from() {
        let sdl = crate::schema::sdl();
        let types = sdl.lines().filter_map(|line| line.strip_prefix("type ")?.split([' ', '{']).next());
        let unsaid: Vec<&str> = types.filter(|name| super::groups(name).is_none()).collect();
        assert!(unsaid.is_empty(), "{unsaid:?}");
    }
}
