//! The import rule: how the rows of a file become commands that are done once, however often the file is sent.
//!
//! Every import follows it, whatever its format. Start with [`key`]: a command's idempotency key comes from the content of
//! its row and from which of the equal rows it is, or it is the row's own. [`check`] reads a whole file before anything
//! is sent, [`finding`] holds what is wrong with it, and [`refused`] is the file of what a server refused, from which it can
//! be sent anew.
//!
//! A format adds one function: bytes to [`row::Row`]s. `cauri load` has two of them.
//!
//! **Invariant:** nothing here knows a format, a network or a ledger rule. A key never depends on a file's name, on a line's
//! number, or on what else the file holds, except for equal rows before it.

pub mod check;
pub mod finding;
pub mod key;
pub mod line;
pub mod refused;
pub mod row;
pub mod source;
