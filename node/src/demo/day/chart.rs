//! The accounts of the day, and how they are opened and funded.

use std::collections::VecDeque;

use cauri_domain::LedgerCommand;
use cauri_domain::account::AccountKind;
use cauri_domain::entry::{EntryAction, PostEntry};
use cauri_domain::ids::{AccountAddress, EntryId};
use cauri_domain::limits::{LimitAmount, UncheckedLimits};

use super::commands::{address, instant, open, text, transfer};
use super::kind::Kind;
use super::{OPENING, SplitMix};

pub(super) const PROVIDERS: [&str; 4] = ["wave", "mtn", "orange", "moov"];
const COUNTRIES: [&str; 4] = ["CI", "SN", "BJ", "TG"];
const SHOPS: [&str; 16] = [
    "awa", "ben", "cisse", "dossou", "efua", "fanta", "gbaka", "hadja", "issa", "jomo", "kone", "lamine", "mariam", "ndeye", "oumou",
    "papis",
];
pub(super) const CEILING: i64 = 2_000_000;
const CEILING_UNIDENTIFIED: i64 = 200_000;
const FLOAT: i64 = 2_000_000_000;

/// The accounts, and what the day knows of them: enough to ask for what mostly is possible.
pub(super) struct Chart {
    pub(super) customers: Vec<Wallet>,
    pub(super) merchants: Vec<Wallet>,
    pub(super) receivable: Vec<AccountAddress>,
    pub(super) float: Vec<AccountAddress>,
    pub(super) cost: Vec<AccountAddress>,
    pub(super) bank: AccountAddress,
    pub(super) capital: AccountAddress,
    pub(super) collection_fees: AccountAddress,
    pub(super) payout_fees: AccountAddress,
    pub(super) wallet_fees: AccountAddress,
    pub(super) tax: AccountAddress,
}

pub(super) struct Wallet {
    pub(super) address: AccountAddress,
    pub(super) ceiling: Option<i64>,
    pub(super) available: i64,
    pub(super) frozen_until: usize,
    pub(super) country: &'static str,
}

impl Wallet {
    pub(super) fn is_frozen(&self, slice: usize) -> bool {
        self.frozen_until > slice
    }
}

impl Chart {
    pub(super) fn of_size(length: usize, random: &mut SplitMix) -> Self {
        let customers = (0..(length / 40).clamp(20, 20_000)).map(|number| {
            let identified = !random.per_mille(200);
            Wallet {
                address: address(&format!("customers:c{number:05}:wallet")),
                ceiling: Some(if identified { CEILING } else { CEILING_UNIDENTIFIED }),
                available: 0,
                frozen_until: 0,
                country: random.pick(&COUNTRIES),
            }
        });
        let customers = customers.collect();
        let merchants = (0..(length / 2_000).clamp(6, 400)).map(|number| Wallet {
            address: address(&match number / SHOPS.len() {
                0 => format!("merchants:{}:available", SHOPS[number % SHOPS.len()]),
                round => format!("merchants:{}-{round}:available", SHOPS[number % SHOPS.len()]),
            }),
            ceiling: None,
            available: 0,
            frozen_until: 0,
            country: random.pick(&COUNTRIES),
        });
        Self {
            customers,
            merchants: merchants.collect(),
            receivable: PROVIDERS.iter().map(|provider| address(&format!("providers:{provider}:receivable"))).collect(),
            float: PROVIDERS.iter().map(|provider| address(&format!("providers:{provider}:float"))).collect(),
            cost: PROVIDERS.iter().map(|provider| address(&format!("expenses:providers:{provider}"))).collect(),
            bank: address("banks:ecobank:ringfenced"),
            capital: address("equity:capital"),
            collection_fees: address("income:fees:collection"),
            payout_fees: address("income:fees:payout"),
            wallet_fees: address("income:fees:wallet"),
            tax: address("liabilities:taxes:taf"),
        }
    }

    pub(super) fn opening_len(&self) -> usize {
        // Six accounts of the house, three of each provider; one entry of capital, one of each float.
        self.customers.len() + self.merchants.len() + 6 + 3 * PROVIDERS.len() + 1 + PROVIDERS.len()
    }

    pub(super) fn opening(&self) -> VecDeque<(Kind, LedgerCommand)> {
        let none = UncheckedLimits::none;
        let mut accounts = vec![
            open(&self.bank, AccountKind::Asset, "5211", none()),
            open(&self.capital, AccountKind::Equity, "1011", none()),
            open(&self.collection_fees, AccountKind::Income, "7061", none()),
            open(&self.payout_fees, AccountKind::Income, "7062", none()),
            open(&self.wallet_fees, AccountKind::Income, "7063", none()),
            open(&self.tax, AccountKind::Liability, "4421", none()),
        ];
        for index in 0..PROVIDERS.len() {
            accounts.push(open(&self.receivable[index], AccountKind::Asset, "4711", UncheckedLimits::floor_zero()));
            accounts.push(open(&self.float[index], AccountKind::Asset, "5221", UncheckedLimits::floor_zero()));
            accounts.push(open(&self.cost[index], AccountKind::Expense, "6318", none()));
        }
        accounts.extend(
            self.merchants.iter().map(|wallet| open(&wallet.address, AccountKind::Liability, "4671", UncheckedLimits::floor_zero())),
        );
        for wallet in &self.customers {
            let ceiling = wallet.ceiling.map(|ceiling| LimitAmount::InAccountCurrency(ceiling.into()));
            let limits = UncheckedLimits { ceiling, ..UncheckedLimits::floor_zero() };
            accounts.push(open(&wallet.address, AccountKind::Liability, "4191", limits));
        }
        let mut opening: VecDeque<(Kind, LedgerCommand)> =
            accounts.into_iter().map(|open| (Kind::Opening, LedgerCommand::open_account(open))).collect();
        let mut fund = |debit: &AccountAddress, credit: &AccountAddress, amount: i64, reference: &str| {
            let post = PostEntry {
                effective_at: Some(instant(OPENING)),
                reference: Some(text(reference)),
                transfers: vec![transfer(debit, credit, amount)],
                ..PostEntry::default()
            };
            // The id is made when the command has one.
            opening.push_back((Kind::Funding, LedgerCommand::entry(EntryId::from_u128(0), EntryAction::Post(post))));
        };
        fund(&self.bank, &self.capital, FLOAT * 5, "capital");
        for (index, provider) in PROVIDERS.into_iter().enumerate() {
            fund(&self.float[index], &self.bank, FLOAT, &format!("float of {provider}"));
        }
        debug_assert_eq!(opening.len(), self.opening_len());
        opening
    }
}
