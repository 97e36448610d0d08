//! Accounts by number: 1, 2, 3 … in the order of opening, the same in every read model and in every rebuild.

use cauri_domain::account::AccountOpened;
use cauri_domain::ids::AccountAddress;
use cauri_domain::money::{Currency, Money};
use cauri_event_schemas::Position;
use hashbrown::HashMap;

use crate::projector::Unprojectable;

/// The number and currency of every account opened so far.
#[derive(Debug, Default)]
pub(crate) struct AccountNumbers {
    numbers: HashMap<AccountAddress, u32>,
    currencies: Vec<Currency>,
}

impl AccountNumbers {
    /// How many accounts there are, and so the last number.
    pub(crate) fn len(&self) -> usize {
        self.currencies.len()
    }

    /// Numbers the next account.
    pub(crate) fn open(&mut self, position: Position, address: &AccountAddress, opened: &AccountOpened) -> Result<u32, Unprojectable> {
        if self.numbers.contains_key(address) {
            return Err(Unprojectable::new(position, format!("account {address} was opened before")));
        }
        self.add(address.clone(), opened.currency)
            .ok_or_else(|| Unprojectable::new(position, "the read models number at most 4 billion accounts"))
    }

    /// Adds the next account as it was stored.
    pub(crate) fn add(&mut self, address: AccountAddress, currency: Currency) -> Option<u32> {
        let number = u32::try_from(self.currencies.len() + 1).ok()?;
        self.numbers.insert(address, number);
        self.currencies.push(currency);
        Some(number)
    }

    /// The number of an account.
    pub(crate) fn of(&self, position: Position, address: &AccountAddress) -> Result<u32, Unprojectable> {
        self.numbers.get(address).copied().ok_or_else(|| Unprojectable::new(position, format!("account {address} was never opened")))
    }

    /// The number of an account that an amount moves on.
    pub(crate) fn moving(&self, position: Position, address: &AccountAddress, amount: Money) -> Result<u32, Unprojectable> {
        let number = self.of(position, address)?;
        let currency = self.currencies[number as usize - 1];
        if currency == amount.currency() {
            Ok(number)
        } else {
            Err(Unprojectable::new(position, format!("account {address} is in {currency}, the amount in {}", amount.currency())))
        }
    }
}
