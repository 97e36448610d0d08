//! `AccountSet`: accounts and other sets under one name, and its fields of the root.

use std::sync::Arc;

use async_graphql::connection::Connection;
use async_graphql::{Context, Object};
use cauri_domain::account_set::{Member, SetName as Name};
use cauri_projections::ACCOUNTS;
use cauri_projections::read::{AccountSetRow, MembershipRow, ReadSnapshot};

use super::{Account, AsOf, Pair, Rollup, pair};
use crate::cursor::List;
use crate::error::QueryError;
use crate::limits::{list_cost, page_cost};
use crate::page::{self, PageArguments};
use crate::query::scope;
use crate::scalars::{AccountAddress, Position, Timestamp, text_scalar};
use crate::scope::Scope;

text_scalar!(SetName(Name), "SetName", "The name of an account set: 1 to 64 of `a-z`, `0-9`, `_`, `.`, `-`, beginning with a letter.");

/// An account set.
pub struct AccountSet {
    row: AccountSetRow,
    scope: Arc<Scope>,
}

/// An account or a set in an account set.
pub struct AccountSetMember {
    row: MembershipRow,
    scope: Arc<Scope>,
}

async fn find(name: Name, scope: &Arc<Scope>) -> Result<Option<AccountSet>, QueryError> {
    let (row, scope) = scope.read(&[ACCOUNTS], move |snapshot| snapshot.account_set(&name)).await?;
    Ok(row.map(|row| AccountSet { row, scope }))
}

/// Accounts and other sets under one name, each from a date and until a date. A set moves no money and is never in itself; an account that is in it by several ways counts once.
#[Object]
impl AccountSet {
    /// Its name.
    async fn name(&self) -> SetName {
        self.row.name.clone().into()
    }

    /// What it is, for people.
    async fn description(&self) -> Option<&str> {
        self.row.description.as_ref().map(|description| description.as_str())
    }

    /// Free pairs, by key.
    async fn metadata(&self) -> Vec<Pair> {
        pair::pairs(&self.row.metadata)
    }

    /// When it was created.
    async fn created_at(&self) -> Timestamp {
        self.row.created_at.into()
    }

    /// Position of the event that created it.
    async fn created_position(&self) -> Position {
        self.row.created_position.into()
    }

    /// How many events its stream has: what `If-Match` of a command is compared with.
    async fn version(&self) -> i32 {
        super::int(self.row.version.get())
    }

    /// What is in it, not through other sets: accounts before sets, each by name and time.
    #[graphql(complexity = "10 + page_cost(first, None, child_complexity)")]
    async fn members(
        &self,
        #[graphql(desc = "Only what is in it at this instant; everything that ever was if absent.")] as_of: Option<Timestamp>,
        #[graphql(desc = "How many, 50 unless said otherwise, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Goes on behind this cursor.")] after: Option<String>,
    ) -> Result<Option<Connection<String, AccountSetMember, AsOf>>, QueryError> {
        let (name, at) = (self.row.name.clone(), as_of.map(|as_of| as_of.0));
        let list = List::named("account_set.members").with("set", Some(&name)).with("asOf", at).digest();
        let wanted = PageArguments { first, after, ..PageArguments::default() }.either_way(&list)?;
        let (limit, key) = (wanted.limit, wanted.cursor.map(|cursor| cursor.key));
        let more_behind = key.is_some();
        let ask = move |snapshot: &ReadSnapshot| snapshot.account_set_members(&name, at, key.as_ref(), limit);
        let (found, scope) = self.scope.read(&[ACCOUNTS], ask).await?;
        let member = |row| AccountSetMember { row, scope: scope.clone() };
        Ok(Some(page::connection(found, &list, more_behind, false, &scope, member)))
    }

    /// The accounts that are in it, directly or through other sets, each once, by address.
    #[graphql(complexity = "20 + page_cost(first, None, child_complexity)")]
    async fn accounts(
        &self,
        #[graphql(desc = "At this instant; if absent whoever was added and not removed, whatever the dates.")] as_of: Option<Timestamp>,
        #[graphql(desc = "How many, 50 unless said otherwise, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Goes on behind this cursor.")] after: Option<String>,
    ) -> Result<Option<Connection<String, Account, AsOf>>, QueryError> {
        let (name, as_of) = (self.row.name.clone(), as_of.map(|as_of| as_of.0));
        let list = List::named("account_set.accounts").with("set", Some(&name)).with("asOf", as_of).digest();
        let wanted = PageArguments { first, after, ..PageArguments::default() }.either_way(&list)?;
        let (limit, key) = (wanted.limit, wanted.cursor.map(|cursor| cursor.key));
        let more_behind = key.is_some();
        let ask = move |snapshot: &ReadSnapshot| snapshot.accounts_in_set(&name, as_of, key.as_ref(), limit);
        let (found, scope) = self.scope.read(&[ACCOUNTS], ask).await?;
        Ok(Some(page::connection(found, &list, more_behind, false, &scope, |row| Account::new(row, scope.clone()))))
    }

    /// Sums over the accounts that are in it, directly or through other sets, each once: one row per currency and kind. As of now the sums are kept; with `asOf` or `knownAt` the members are those of that time, and every one of them is read.
    #[graphql(complexity = "50 + list_cost(10, child_complexity)")]
    async fn balances(
        &self,
        #[graphql(desc = "Only members at this instant, and only what is effective at or before it; every date if absent.")] as_of: Option<
            Timestamp,
        >,
        #[graphql(desc = "Only what was recorded at or before this position; everything if absent.")] known_at: Option<Position>,
    ) -> Result<Option<Vec<Rollup>>, QueryError> {
        let (name, as_of, known_at) = (self.row.name.clone(), as_of.map(|as_of| as_of.0), known_at.map(|known_at| known_at.0));
        let ask = move |snapshot: &ReadSnapshot, known_at| snapshot.account_set_balances(&name, as_of, known_at);
        let (rows, _) = self.scope.read_known(&[ACCOUNTS], known_at, ask).await?;
        Ok(Some(rows.unwrap_or_default().into_iter().map(Rollup).collect()))
    }

    /// The position that this answer is as of.
    async fn as_of_position(&self) -> Position {
        self.scope.position().into()
    }
}

/// An account or a set in an account set, from an instant on: one of `account` and `set` is there.
#[Object]
impl AccountSetMember {
    /// The account.
    #[graphql(complexity = "5 + child_complexity")]
    async fn account(&self) -> Result<Option<Account>, QueryError> {
        match &self.row.member {
            Member::Account(address) => Account::load(address.clone(), &self.scope).await,
            Member::Set(_) => Ok(None),
        }
    }

    /// The set.
    #[graphql(complexity = "5 + child_complexity")]
    async fn set(&self) -> Result<Option<AccountSet>, QueryError> {
        match &self.row.member {
            Member::Account(_) => Ok(None),
            Member::Set(name) => find(name.clone(), &self.scope).await,
        }
    }

    /// From when on it is in the set, by the business.
    async fn since(&self) -> Timestamp {
        self.row.since.into()
    }

    /// From when on it is in the set no more; null while nobody said so.
    async fn until(&self) -> Option<Timestamp> {
        self.row.until.map(Into::into)
    }

    /// Position of the event that added it.
    async fn added_position(&self) -> Position {
        self.row.added_position.into()
    }

    /// Position of the event that removed it.
    async fn removed_position(&self) -> Option<Position> {
        self.row.removed_position.map(Into::into)
    }
}

/// Fields of the root.
#[derive(Debug, Default)]
pub struct AccountSetFields;

#[Object]
#[allow(clippy::too_many_arguments, reason = "arguments of the schema")]
impl AccountSetFields {
    /// The account set of a name.
    #[graphql(complexity = "5 + child_complexity")]
    async fn account_set(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Its name.")] name: SetName,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Option<AccountSet>, QueryError> {
        find(name.0, scope(ctx)?).await
    }

    /// Account sets, by name.
    #[graphql(complexity = "10 + page_cost(first, None, child_complexity)")]
    async fn account_sets(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only those that this account is in, not through another set.")] account: Option<AccountAddress>,
        #[graphql(
            desc = "At this instant; if absent what it was added to and not removed from, whatever the dates. It goes with `account`."
        )]
        as_of: Option<Timestamp>,
        #[graphql(desc = "How many, 50 unless said otherwise, at most 500.")] first: Option<i32>,
        #[graphql(desc = "Goes on behind this cursor.")] after: Option<String>,
        #[graphql(name = "minPosition", desc = "Wait until this position is visible.")] _min_position: Option<String>,
        #[graphql(name = "consistent", desc = "All of the answer is as of one position, or there is none.")] _consistent: Option<bool>,
    ) -> Result<Option<Connection<String, AccountSet, AsOf>>, QueryError> {
        let scope = scope(ctx)?;
        let (account, as_of) = (account.map(|account| account.0), as_of.map(|as_of| as_of.0));
        if as_of.is_some() && account.is_none() {
            return Err(QueryError::bad_input("`asOf` goes with `account`: a set itself has no dates"));
        }
        let list = List::named("account_sets").with("account", account.as_ref()).with("asOf", as_of).digest();
        let wanted = PageArguments { first, after, ..PageArguments::default() }.either_way(&list)?;
        let (limit, key) = (wanted.limit, wanted.cursor.map(|cursor| cursor.key));
        let more_behind = key.is_some();
        let of = account.map(Member::Account);
        let ask = move |snapshot: &ReadSnapshot| snapshot.account_sets(of.as_ref().map(|member| (member, as_of)), key.as_ref(), limit);
        let (found, scope) = scope.read(&[ACCOUNTS], ask).await?;
        Ok(Some(page::connection(found, &list, more_behind, false, &scope, |row| AccountSet { row, scope: scope.clone() })))
    }
}
