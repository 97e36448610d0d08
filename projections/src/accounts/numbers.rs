//! Accounts by number: 1, 2, 3 … in the order of opening, the same in every rebuild.

use cauri_domain::ids::AccountAddress;
use cauri_event_schemas::Position;
use hashbrown::HashMap;

use crate::projector::Unprojectable;

/// The number of every account opened so far.
#[derive(Debug, Default)]
pub(crate) struct AccountNumbers(HashMap<AccountAddress, u32>);

impl AccountNumbers {
    /// Numbers the next account.
    pub(crate) fn open(&mut self, position: Position, address: &AccountAddress) -> Result<u32, Unprojectable> {
        if self.0.contains_key(address) {
            return Err(Unprojectable::new(position, format!("account {address} was opened before")));
        }
        self.add(address.clone()).ok_or_else(|| Unprojectable::new(position, "the read models number at most 4 billion accounts"))
    }

    /// Adds the next account as it was stored.
    pub(crate) fn add(&mut self, address: AccountAddress) -> Option<u32> {
        let number = u32::try_from(self.0.len() + 1).ok()?;
        self.0.insert(address, number);
        Some(number)
    }

    /// The number of an account.
    pub(crate) fn of(&self, position: Position, address: &AccountAddress) -> Result<u32, Unprojectable> {
        self.find(address).ok_or_else(|| Unprojectable::new(position, format!("account {address} was never opened")))
    }

    /// The number of an account, if it was opened.
    pub(crate) fn find(&self, address: &AccountAddress) -> Option<u32> {
        self.0.get(address).copied()
    }
}
