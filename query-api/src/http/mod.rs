//! GraphQL over HTTP and over WebSocket: media types, status codes, and who is let in.
//!
//! HTTP follows the GraphQL-over-HTTP specification, WebSocket the protocol `graphql-transport-ws`.

pub(crate) mod graphiql;
pub(crate) mod handler;
pub(crate) mod media;
pub(crate) mod request;
pub(crate) mod response;
pub(crate) mod websocket;
