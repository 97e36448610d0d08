//! `Statement`: what moved on an account in a time.

use std::sync::Arc;

use async_graphql::Object;
use async_graphql::connection::Connection;
use cauri_projections::read::{ReadSnapshot, StatementPage};
use cauri_projections::{ACCOUNTS, ENTRIES};

use super::{Account, AccountKind, AsOf, Money, StatementLine};
use crate::cursor::{List, ListDigest};
use crate::error::QueryError;
use crate::page::{self, PageArguments};
use crate::scalars::{AccountAddress, Currency, Position, Timestamp};
use crate::scope::Scope;

/// A statement.
pub struct Statement {
    page: StatementPage,
    list: ListDigest,
    more_behind: bool,
    scope: Arc<Scope>,
}

/// What a statement is asked for with.
pub(crate) struct StatementArguments {
    pub(crate) account: AccountAddress,
    pub(crate) from: Timestamp,
    pub(crate) to: Timestamp,
    pub(crate) known_at: Option<Position>,
    pub(crate) first: Option<i32>,
    pub(crate) after: Option<String>,
}

impl Statement {
    /// The page of a statement; `None` if the account was not open by `known_at`.
    ///
    /// Later pages stay with what the first one knew: an entry dated back in between would shift every balance.
    pub(crate) async fn load(arguments: StatementArguments, scope: &Arc<Scope>) -> Result<Option<Self>, QueryError> {
        let StatementArguments { account, from, to, known_at, first, after } = arguments;
        if from.0 > to.0 {
            return Err(QueryError::bad_input(format_args!("the statement begins at {} and ends before, at {}", from.0, to.0)));
        }
        let list = List::named("statement").with("account", Some(&account.0)).with("from", Some(from.0)).with("to", Some(to.0)).digest();
        let wanted = PageArguments { first, after, last: None, before: None }.either_way(&list)?;
        let (limit, cursor) = (wanted.limit, wanted.cursor);
        let more_behind = cursor.is_some();
        if let (Some(known_at), Some(cursor)) = (known_at, &cursor) {
            cursor.must_be_known_at(known_at.0)?;
        }
        let known_at = known_at.map(|known_at| known_at.0).or(cursor.as_ref().map(|cursor| cursor.read_at));
        let key = cursor.map(|cursor| cursor.key);
        let ask = move |snapshot: &ReadSnapshot, known_at| snapshot.statement(&account.0, from.0, to.0, known_at, key.as_ref(), limit);
        // A line says what its entry says.
        let (page, scope) = scope.read_known(&[ACCOUNTS, ENTRIES], known_at, ask).await?;
        Ok(page.map(|page| Self { page, list, more_behind, scope }))
    }

    fn money(&self, minor: i128) -> Result<Money, QueryError> {
        Money::from_minor(minor, self.page.currency)
    }
}

/// What moved on one account in a time, from an opening balance over lines to a closing balance.
#[Object]
impl Statement {
    /// The account.
    #[graphql(complexity = "5 + child_complexity")]
    async fn account(&self) -> Result<Option<Account>, QueryError> {
        Account::load(self.page.address.clone(), &self.scope).await
    }

    /// Where the account stands.
    async fn address(&self) -> AccountAddress {
        self.page.address.clone().into()
    }

    /// Kind of the account, and so its normal side.
    async fn kind(&self) -> AccountKind {
        self.page.kind.into()
    }

    /// Its currency.
    async fn currency(&self) -> Currency {
        self.page.currency.into()
    }

    /// First instant of the statement.
    async fn from(&self) -> Timestamp {
        self.page.from.into()
    }

    /// First instant after the statement.
    async fn to(&self) -> Timestamp {
        self.page.to.into()
    }

    /// As known at this position.
    async fn known_at(&self) -> Position {
        self.page.known_at.into()
    }

    /// The balance of everything effective before `from`.
    async fn opening(&self) -> Result<Money, QueryError> {
        self.money(self.page.opening.balance(self.page.kind))
    }

    /// The balance of everything effective before `to`.
    async fn closing(&self) -> Result<Money, QueryError> {
        self.money(self.page.closing.balance(self.page.kind))
    }

    /// What was debited in this time.
    async fn debits(&self) -> Result<Money, QueryError> {
        self.money(i128::from(self.page.closing.debits_posted) - i128::from(self.page.opening.debits_posted))
    }

    /// What was credited in this time.
    async fn credits(&self) -> Result<Money, QueryError> {
        self.money(i128::from(self.page.closing.credits_posted) - i128::from(self.page.opening.credits_posted))
    }

    /// The movements, by effective time: the page that `first` and `after` of the statement ask for.
    async fn lines(&self) -> Connection<String, StatementLine, AsOf> {
        let (kind_of, scope) = (self.page.currency, &self.scope);
        let lines = self.page.lines.clone();
        // The cursors carry what the statement knew, not what the snapshot knows.
        page::connection_known_at(lines, &self.list, self.page.known_at, self.more_behind, false, scope, |row| {
            StatementLine::new(row, kind_of, scope.clone())
        })
    }

    /// The position that this answer is as of.
    async fn as_of_position(&self) -> Position {
        self.scope.position().into()
    }
}
