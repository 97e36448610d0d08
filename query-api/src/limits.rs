//! What one request, one connection and all of them together may cost.

use std::time::Duration;

/// The bounds of the query API. Every one of them is refused with a figure, never with a crash.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
pub struct Limits {
    /// Bytes of a request's body: document and variables.
    pub body_bytes: usize,
    /// How long the body may take to arrive.
    pub body_time: Duration,
    /// Bytes of bodies of more than 64 KiB in memory at once, half of them of one subject.
    pub body_memory: usize,
    /// Queries that have arrived and are being answered at once; further ones are turned away.
    pub in_flight: usize,
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
    /// How long a query waits until the read models have reached the position that it asks for, and how long for the journal to
    /// show whether its consistency tokens belong to it.
    pub position_wait: Duration,
    /// Queries that read at once; others wait for their turn within their own `query_time`.
    pub queries: usize,
    /// Events of subscriptions that are read at once. They have turns of their own, so that no number of subscriptions keeps
    /// a query waiting.
    pub live: usize,
    /// Subscriptions that look into the journal at once; others wait for their turn.
    pub looks: usize,
    /// WebSocket connections at once, of clients whose tokens were seen.
    pub connections: usize,
    /// The same of one subject.
    pub connections_per_subject: usize,
    /// WebSocket connections at once of clients whose tokens have not been seen yet.
    pub introductions: usize,
    /// How long a client may take to introduce itself.
    pub introduction: Duration,
    /// Bytes of messages that may wait on one WebSocket connection for its client to take them. A single answer may have
    /// half as many. While more wait, nothing is read from the client, and a client that takes nothing for a second is
    /// disconnected.
    pub connection_bytes: usize,
    /// Operations at once on one WebSocket connection.
    pub operations: usize,
    /// How long a client may take nothing of what is sent to it.
    pub patience: Duration,
    /// How often a WebSocket client is asked whether it is there, and its token looked at again.
    pub heartbeat: Duration,
}

impl Default for Limits {
    fn default() -> Self {
        Self {
            body_bytes: 256 * 1024,
            body_time: Duration::from_secs(30),
            body_memory: 64 * 1024 * 1024,
            in_flight: 1_024,
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
            live: 16,
            looks: 8,
            connections: 1_024,
            connections_per_subject: 128,
            introductions: 256,
            introduction: Duration::from_secs(5),
            connection_bytes: 2 * 1024 * 1024,
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
