//! The auditor's bench: verify, show, balances, export and import of a journal, as a library under a thin CLI.
//!
//! Start with [`verify`] and [`checks`]. **Invariant:** nothing here writes to a journal that exists, and
//! balances come from the journal alone, never from a read model: they are a second opinion.

mod audit;
mod balance;
pub mod checks;
pub mod commands;
pub mod finding;
pub mod frames;
pub mod ledger;
mod origin;
pub mod pipeline;
mod progress;
pub mod reading;
mod remembered;
pub mod report;
mod shown;
pub mod source;
pub mod verify;

pub use audit::Figures;
pub use checks::Check;
pub use checks::expected_heads::{ExpectedHead, InvalidHead};
pub use remembered::{InvalidRemembered, Remembered};
