//! Which accounts a caller is limited to.

use crate::account_set::SetName;
use crate::ids::AccountAddress;

/// The accounts that a caller may see and use: those at and below some prefixes, and those in some account sets. A caller
/// without a reach is limited to none.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Reach {
    prefixes: Vec<AccountAddress>,
    sets: Vec<SetName>,
}

impl Reach {
    /// The accounts at and below these prefixes, by whole segments, and those in these sets. With neither there are none.
    pub fn new(prefixes: impl IntoIterator<Item = AccountAddress>, sets: impl IntoIterator<Item = SetName>) -> Self {
        let (mut prefixes, mut sets): (Vec<_>, Vec<_>) = (prefixes.into_iter().collect(), sets.into_iter().collect());
        prefixes.sort_unstable();
        sets.sort_unstable();
        sets.dedup();
        // Below one that is there already nothing is new.
        let mut kept: Vec<AccountAddress> = Vec::with_capacity(prefixes.len());
        for prefix in prefixes {
            if !kept.iter().any(|above| is_at_or_below(&prefix, above)) {
                kept.push(prefix);
            }
        }
        Self { prefixes: kept, sets }
    }

    /// The prefixes, by address, none of them below another.
    pub fn prefixes(&self) -> &[AccountAddress] {
        &self.prefixes
    }

    /// The sets, by name.
    pub fn sets(&self) -> &[SetName] {
        &self.sets
    }

    /// Whether an account, or everything below it, is reached by its address alone.
    pub fn covers(&self, address: &AccountAddress) -> bool {
        self.prefixes.iter().any(|prefix| is_at_or_below(address, prefix))
    }

    /// Whether a set, and so who is in it, is reached.
    pub fn has_set(&self, name: &SetName) -> bool {
        self.sets.binary_search(name).is_ok()
    }
}

/// Whether an address is a prefix or stands below it, by whole segments.
pub fn is_at_or_below(address: &AccountAddress, prefix: &AccountAddress) -> bool {
    address.as_str().strip_prefix(prefix.as_str()).is_some_and(|rest| rest.is_empty() || rest.starts_with(':'))
}

#[cfg(test)]
mod tests {
    use super::*;

    fn address(text: &str) -> AccountAddress {
        text.parse().expect("an address")
    }

    #[test]
    fn prefixes_reach_by_whole_segments() {
        let reach = Reach::new(["merchants:awa", "merchants:awa:held", "income"].map(address), []);
        assert_eq!(reach.prefixes(), ["income", "merchants:awa"].map(address));
        for within in ["merchants:awa", "merchants:awa:available", "income:fees:x"] {
            assert!(reach.covers(&address(within)), "{within}");
        }
        for without in ["merchants", "merchants:awatou", "merchants:ben", "incomes", "world"] {
            assert!(!reach.covers(&address(without)), "{without}");
        }
        assert!(!Reach::new([], []).covers(&address("world")));
    }
}
