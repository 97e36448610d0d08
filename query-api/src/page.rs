//! Pages after the Relay specification: `first`/`after` forward, `last`/`before` backward.

use std::sync::Arc;

use async_graphql::OutputType;
use async_graphql::connection::{Connection, Edge};
use cauri_event_schemas::Position;
use cauri_projections::read::Page;

use crate::cursor::{Cursor, ListDigest};
use crate::error::QueryError;
use crate::limits::{DEFAULT_PAGE, MAX_PAGE};
use crate::scope::Scope;
use crate::types::AsOf;

/// The arguments as somebody gave them.
#[derive(Debug, Default)]
pub(crate) struct PageArguments {
    pub(crate) first: Option<i32>,
    pub(crate) after: Option<String>,
    pub(crate) last: Option<i32>,
    pub(crate) before: Option<String>,
}

/// What they come to.
#[derive(Debug, PartialEq)]
pub(crate) struct Wanted {
    pub(crate) limit: usize,
    pub(crate) cursor: Option<Cursor>,
    /// From the end, or from the cursor back.
    pub(crate) backward: bool,
}

impl PageArguments {
    /// One direction or the other: mixing them has a meaning in the specification that nobody expects. The cursor must be
    /// one of `list`.
    pub(crate) fn either_way(self, list: &ListDigest) -> Result<Wanted, QueryError> {
        let Self { first, after, last, before } = self;
        let backward = last.is_some() || before.is_some();
        if backward && (first.is_some() || after.is_some()) {
            return Err(QueryError::bad_input("`first` and `after` go forward, `last` and `before` go backward: use one pair"));
        }
        let (name, asked) = if backward { ("last", last) } else { ("first", first) };
        let limit = match asked {
            None => DEFAULT_PAGE,
            Some(asked) => usize::try_from(asked)
                .ok()
                .filter(|asked| (1..=MAX_PAGE).contains(asked))
                .ok_or_else(|| QueryError::bad_input(format_args!("`{name}` is {asked}, it must be 1 to {MAX_PAGE}")))?,
        };
        let cursor = after.or(before).map(|text| Cursor::decode(&text, list)).transpose()?;
        Ok(Wanted { limit, cursor, backward })
    }
}

/// A page of the schema out of a page of the read store, its cursors marked with the position of the snapshot.
pub(crate) fn connection<Row, Node: OutputType>(
    page: Page<Row>,
    list: &ListDigest,
    more_behind: bool,
    backward: bool,
    scope: &Arc<Scope>,
    node: impl FnMut(Row) -> Node,
) -> Connection<String, Node, AsOf> {
    connection_known_at(page, list, scope.position(), more_behind, backward, scope, node)
}

/// The same, its cursors marked with another position: what comes behind them stays with what was known there.
///
/// A page that was read backward comes in descending order and leaves in ascending order. `more_behind`: the page
/// began at a cursor, so there is something on its other side.
pub(crate) fn connection_known_at<Row, Node: OutputType>(
    page: Page<Row>,
    list: &ListDigest,
    known_at: Position,
    more_behind: bool,
    backward: bool,
    scope: &Arc<Scope>,
    mut node: impl FnMut(Row) -> Node,
) -> Connection<String, Node, AsOf> {
    let (previous, next) = if backward { (page.has_next, more_behind) } else { (more_behind, page.has_next) };
    let as_of_position = scope.position().into();
    let mut connection = Connection::with_additional_fields(previous, next, AsOf { as_of_position });
    connection.edges = page.items.into_iter().map(|item| Edge::new(Cursor::encode(known_at, list, &item.cursor), node(item.row))).collect();
    if backward {
        connection.edges.reverse();
    }
    connection
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::cursor::List;

    #[test]
    fn a_page_goes_one_way() {
        let wanted = |first, last| PageArguments { first, last, ..PageArguments::default() }.either_way(&List::named("a").digest());
        assert_eq!(wanted(None, None), Ok(Wanted { limit: DEFAULT_PAGE, cursor: None, backward: false }));
        assert_eq!(wanted(None, Some(3)), Ok(Wanted { limit: 3, cursor: None, backward: true }));
        assert!(wanted(Some(1), Some(1)).is_err());
        for asked in [0, -1, 501] {
            assert!(wanted(Some(asked), None).is_err(), "{asked}");
        }
    }
}
