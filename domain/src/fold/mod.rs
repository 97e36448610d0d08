//! Folds: decision state over a whole journal, rebuilt from its events, so that a replay decides the same.

mod balances;
mod chunks;
mod totals;
mod undo;

pub use balances::{AccountNo, AccountRow, Balances, FrozenBalances};
pub use chunks::Chunks;
pub use totals::Totals;
pub use undo::Mark;
pub(crate) use undo::UndoLog;
