//! What one request, one connection and all of them together may cost.

use std::time::Duration;

/// The bounds of the query API. Every one of them is refused with a figure, never with a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body: document and variables.
    pub body_bytes: usize,
    /// How long the body may take to arrive.
    pub body_time: Duration,
    /// Bytes of a document.
    pub document_bytes: usize,
    /// Brackets open at once in a document. It protects the parser, which calls itself for each.
    pub nesting: usize,
    /// Fragments that a document may define.
    pub fragments: usize,
    /// Fields that a document asks for once its fragments are written out.
    pub selections: usize,
    /// Fields under another name than their own, fragments written out.
    pub aliases: usize,
    /// Fields inside fields; the fields of `query` stand at 1.
    pub depth: usize,
    /// The same below `__schema` and `__type`, which the usual introspection query needs deeper.
    pub introspection_depth: usize,
    /// Fields that an answer may hold in the worst case: a page multiplies what it holds.
    pub complexity: usize,
    /// How long a query may take, waiting for a position not counted.
    pub query_time: Duration,
    /// How long a query waits until the read models have reached the position that it asks for.
    pub position_wait: Duration,
    /// Queries that read at once; others wait for their turn within their own `query_time`.
    pub queries: usize,
    /// Subscriptions that look into the journal at once; others wait for their turn.
    pub looks: usize,
    /// WebSocket connections at once.
    pub connections: usize,
    /// Operations at once on one WebSocket connection.
    pub operations: usize,
    /// How long a client may take to introduce itself, and how long it may not take what is sent to it.
    pub patience: Duration,
    /// How often a WebSocket client is asked whether it is there, and its token looked at again.
    pub heartbeat: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 256 * 1024,
            body_time: Duration::from_secs(30),
            document_bytes: 64 * 1024,
            nesting: 64,
            fragments: 100,
            selections: 2_000,
            aliases: 50,
            depth: 12,
            introspection_depth: 20,
            complexity: 50_000,
            query_time: Duration::from_secs(10),
            position_wait: Duration::from_secs(5),
            queries: 64,
            looks: 8,
            connections: 1_024,
            operations: 16,
            patience: Duration::from_secs(10),
            heartbeat: Duration::from_secs(30),
        }
    }
}

/// Entries of a page unless the query says otherwise.
pub const DEFAULT_PAGE: usize = 50;
/// Entries that a page may have.
pub const MAX_PAGE: usize = 500;

/// What a page costs: what one of its entries costs, as often as there may be entries.
///
/// Held far below overflow: the costs of several such fields are added up.
pub(crate) fn page_cost(first: Option<i32>, last: Option<i32>, one: usize) -> usize {
    let asked = first.or(last).map_or(DEFAULT_PAGE, |asked| usize::try_from(asked).unwrap_or(1).clamp(1, MAX_PAGE));
    asked.saturating_mul(one.saturating_add(1)).min(1 << 40)
}

/// What a list costs that cannot be paged.
pub(crate) fn list_cost(most: usize, one: usize) -> usize {
    most.saturating_mul(one.saturating_add(1)).min(1 << 40)
}
