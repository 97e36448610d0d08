//! Makes commands at random: mostly sensible ones, and every way of being refused now and then.

use cauri_domain::account::AccountKind;
use cauri_domain::ledger::LedgerStream;
use cauri_engine::{Outcome, Refused};

use crate::ask::{Amount, Ask, Asked, Coin, Hold, Move};

/// Chances that repeat: a failure names their seed.
#[derive(Clone, Debug)]
pub struct Random(fastrand::Rng);

impl Random {
    /// The chances of a seed.
    pub fn of_seed(seed: u64) -> Self {
        Self(fastrand::Rng::with_seed(seed))
    }

    /// The next 64 bits.
    pub fn bits(&mut self) -> u64 {
        self.0.u64(..)
    }

    /// A number below `bound`.
    pub fn below(&mut self, bound: u64) -> u64 {
        self.0.u64(..bound)
    }

    /// True once in `times`.
    pub fn once_in(&mut self, times: u64) -> bool {
        self.below(times) == 0
    }

    /// One of the choices.
    pub fn of<T: Clone>(&mut self, choices: &[T]) -> T {
        choices[self.below(choices.len() as u64) as usize].clone()
    }
}

/// The most that a transfer may move, in minor units.
const MOST: i64 = 1_000_000_000_000_000_000;

/// Accounts that every run opens first: address, kind, currency, floor, ceiling.
const ACCOUNTS: [(&str, AccountKind, Coin, Option<i64>, Option<i64>); 12] = [
    ("world", AccountKind::Equity, Coin::Franc, None, None),
    ("wallets:awa", AccountKind::Liability, Coin::Franc, Some(0), None),
    ("wallets:binta", AccountKind::Liability, Coin::Franc, Some(0), Some(400)),
    ("wallets:coumba", AccountKind::Liability, Coin::Franc, Some(-100), None),
    ("wallets:djibril", AccountKind::Liability, Coin::Franc, Some(0), Some(0)),
    ("banks:ecobank", AccountKind::Asset, Coin::Franc, Some(0), None),
    ("banks:boa", AccountKind::Asset, Coin::Franc, None, Some(1_000)),
    ("fees", AccountKind::Income, Coin::Franc, None, None),
    ("costs", AccountKind::Expense, Coin::Franc, Some(0), Some(5_000)),
    ("world:eur", AccountKind::Equity, Coin::Euro, None, None),
    ("wallets:eva", AccountKind::Liability, Coin::Euro, Some(0), None),
    ("banks:eur", AccountKind::Asset, Coin::Euro, None, Some(90_000)),
];

/// Makes the commands of one caller.
#[derive(Clone, Debug)]
pub struct Maker {
    /// Where the choices come from.
    pub random: Random,
    caller: String,
    made: u64,
    /// Entries that were written, by whoever.
    pub entries: Vec<u128>,
    /// Those of them that held.
    pub holds: Vec<u128>,
    /// The commands of this caller that were decided.
    answered: Vec<Asked>,
}

/// The commands that open the accounts of every run and put money on some.
pub fn opening() -> Vec<Asked> {
    let asked = |key: String, ask: Ask| Asked { key, ask, expected_version: None };
    let mut commands: Vec<Asked> = ACCOUNTS
        .iter()
        .map(|(address, kind, coin, floor, ceiling)| {
            let bound = |minor: Option<i64>| minor.map(|minor| Amount::minor(minor, *coin));
            let ask =
                Ask::Open { address: (*address).to_owned(), kind: *kind, coin: *coin, floor: bound(*floor), ceiling: bound(*ceiling) };
            asked(format!("open-{address}"), ask)
        })
        .collect();
    for (debit, credit, minor, coin) in [
        ("world", "wallets:awa", 500, Coin::Franc),
        ("world", "wallets:binta", 200, Coin::Franc),
        ("banks:ecobank", "world", 2_000, Coin::Franc),
        ("world:eur", "wallets:eva", 50_000, Coin::Euro),
    ] {
        let moves = vec![Move { debit: debit.into(), credit: credit.into(), amount: Amount::minor(minor, coin), up_to: false }];
        commands.push(asked(format!("fund-{credit}-{debit}"), Ask::Post { entry: None, moves, hold: None, effective_at: None }));
    }
    commands
}

impl Maker {
    /// A caller with a name and a seed.
    pub fn new(caller: &str, seed: u64) -> Self {
        let (entries, holds, answered) = (Vec::new(), Vec::new(), Vec::new());
        Self { random: Random::of_seed(seed), caller: caller.to_owned(), made: 0, entries, holds, answered }
    }

    /// A command that was never asked before, at a time in microseconds.
    pub fn fresh(&mut self, now: i64) -> Asked {
        self.made += 1;
        let key = format!("{}-{}", self.caller, self.made);
        let ask = self.ask(now);
        let mut asked = Asked { key, ask, expected_version: None };
        if self.random.once_in(25) {
            asked.expected_version = Some(self.random.below(4));
        }
        asked
    }

    /// A command that was answered before: the same again, or another body under its key.
    pub fn again(&mut self, now: i64) -> Option<Asked> {
        if self.answered.is_empty() {
            return None;
        }
        let answered = self.answered.clone();
        let asked = self.random.of(&answered);
        if self.random.once_in(3) {
            let other = Asked { ask: self.ask(now), ..asked.clone() };
            return (other.ask != asked.ask).then_some(other);
        }
        Some(asked)
    }

    /// Learns what became of a command.
    pub fn learn(&mut self, asked: &Asked, outcome: &Outcome<LedgerStream>) {
        match outcome {
            Outcome::Accepted(accepted) => {
                let entry = accepted.begun.as_ref().and_then(|stream| stream.as_entry()).map(|entry| entry.as_u128());
                self.entries.extend(entry);
                if matches!(asked.ask, Ask::Post { hold: Some(_), .. }) {
                    self.holds.extend(entry);
                }
                self.answered.push(asked.clone());
            }
            Outcome::Refused(Refused { position: Some(_), .. }) => self.answered.push(asked.clone()),
            Outcome::Refused(_) | Outcome::VersionMismatch { .. } | Outcome::NotApplied { .. } | Outcome::Failed { .. } => {}
        }
    }

    /// What a command that several callers ask under one key is about: the body depends on the caller.
    pub fn contested(&mut self, key: String, now: i64) -> Asked {
        Asked { key, ask: self.ask(now), expected_version: None }
    }

    fn ask(&mut self, now: i64) -> Ask {
        match self.random.below(100) {
            0..39 => self.post(now, false),
            39..44 => self.set(now),
            44..60 => self.post(now, true),
            60..70 => {
                let entry = self.hold();
                let amounts = (!self.random.once_in(3)).then(|| {
                    let count = if self.random.once_in(8) { 2 } else { 1 };
                    (0..count).map(|_| self.amount(Coin::Franc, 0)).collect()
                });
                let effective_at = self.effective_at(now);
                Ask::PostHold { entry, amounts, effective_at }
            }
            70..74 => Ask::VoidHold { entry: self.hold() },
            // A hold as often as any entry: what is noted of one that is open is kept in memory.
            74..77 => Ask::Annotate { entry: if self.random.once_in(2) { self.hold() } else { self.entry() } },
            77..83 => {
                let by = self.random.once_in(10).then(|| self.entry());
                Ask::Reverse { entry: self.entry(), by, at_original_date: self.random.once_in(2) }
            }
            83 => Ask::Freeze { address: self.address(Coin::Franc) },
            84..90 => Ask::Unfreeze { address: self.address(Coin::Franc) },
            90 => {
                let sweep_to = (!self.random.once_in(4)).then(|| self.address(Coin::Franc));
                Ask::Close { address: self.address(Coin::Franc), sweep_to }
            }
            91..95 => Ask::Reopen { address: self.address(Coin::Franc) },
            95..98 => {
                let (floor, ceiling) = self.limits(Coin::Franc);
                Ask::Limits { address: self.address(Coin::Franc), floor, ceiling }
            }
            _ => {
                let address = if self.random.once_in(4) { self.address(Coin::Franc) } else { format!("new:{}", self.random.below(6)) };
                let kind = self.random.of(&AccountKind::ALL);
                let coin = if self.random.once_in(5) { Coin::Euro } else { Coin::Franc };
                let (floor, ceiling) = self.limits(coin);
                Ask::Open { address, kind, coin, floor, ceiling }
            }
        }
    }

    fn post(&mut self, now: i64, hold: bool) -> Ask {
        let coin = if self.random.once_in(6) { Coin::Euro } else { Coin::Franc };
        let count = if self.random.once_in(4) { 2 + self.random.below(3) } else { 1 };
        let mut moves: Vec<Move> = (0..count)
            .map(|_| Move {
                debit: self.address(coin),
                credit: self.address(coin),
                amount: self.amount(coin, 1),
                up_to: self.random.once_in(7),
            })
            .collect();
        if self.random.once_in(50) {
            // More than an account can count.
            moves = vec![Move { amount: Amount::minor(MOST, coin), ..moves[0].clone() }; 3];
        }
        let hold =
            hold.then(|| Hold { expires_at: (!self.random.once_in(3)).then(|| now + self.random.below(8_000_000) as i64 - 500_000) });
        // An id of the caller's own, and sometimes one that is there already.
        let entry = match self.random.below(20) {
            0 if !self.entries.is_empty() => Some(self.entry()),
            1..6 => Some(u128::from(self.random.bits()) << 64 | u128::from(self.random.bits())),
            _ => None,
        };
        Ask::Post { entry, moves, hold, effective_at: self.effective_at(now) }
    }

    fn set(&mut self, now: i64) -> Ask {
        let set = format!("set.{}", self.random.below(4));
        if self.random.once_in(6) {
            return Ask::CreateSet { set };
        }
        let member = if self.random.once_in(2) { format!("set.{}", self.random.below(5)) } else { self.address(Coin::Franc) };
        Ask::ChangeSet { set, add: !self.random.once_in(3), member, effective_at: self.effective_at(now) }
    }

    fn effective_at(&mut self, now: i64) -> Option<i64> {
        match self.random.below(12) {
            0 => Some(now - self.random.below(10_000_000_000) as i64),
            1 => Some(now + self.random.below(600_000_000) as i64),
            2 if self.random.once_in(3) => Some(now + 30 * 86_400 * 1_000_000),
            _ => None,
        }
    }

    fn address(&mut self, coin: Coin) -> String {
        match self.random.below(60) {
            0 => "nobody".to_owned(),
            // Of another currency.
            1 => self.random.of(&ACCOUNTS).0.to_owned(),
            2..6 => format!("new:{}", self.random.below(6)),
            _ => loop {
                let (address, _, of, ..) = self.random.of(&ACCOUNTS);
                if of == coin {
                    break address.to_owned();
                }
            },
        }
    }

    fn amount(&mut self, coin: Coin, least: i64) -> Amount {
        let minor = least + self.random.below(if coin == Coin::Euro { 9_000 } else { 120 }) as i64;
        match self.random.below(60) {
            0 => Amount::minor(0, coin),
            1 => Amount::minor(-minor, coin),
            2 => Amount { units: 10 * minor + 5, decimals: coin.digits() + 1, coin },
            // Digits after the point that are all zero change nothing.
            3 => Amount { units: 100 * minor, decimals: coin.digits() + 2, coin },
            4 if coin == Coin::Euro => Amount { units: minor, decimals: 0, coin },
            5 => Amount { coin: if coin == Coin::Euro { Coin::Franc } else { Coin::Euro }, ..Amount::minor(minor, coin) },
            6 => Amount::minor(2_000_000_000_000_000_000, coin),
            // The most that a transfer may move.
            7 if self.random.once_in(4) => Amount::minor(MOST, coin),
            _ => Amount::minor(minor, coin),
        }
    }

    fn limits(&mut self, coin: Coin) -> (Option<Amount>, Option<Amount>) {
        let floor = match self.random.below(8) {
            0..2 => None,
            2 => Some(self.amount(coin, 0)),
            3 => Some(Amount::minor(-(self.random.below(500) as i64), coin)),
            _ => Some(Amount::minor(0, coin)),
        };
        let ceiling = match self.random.below(8) {
            0..5 => None,
            5 => Some(self.amount(coin, 0)),
            6 => Some(Amount::minor(-(self.random.below(50) as i64), coin)),
            _ => Some(Amount::minor(self.random.below(3_000) as i64, coin)),
        };
        (floor, ceiling)
    }

    fn entry(&mut self) -> u128 {
        Self::one_of(&mut self.random, &self.entries)
    }

    fn hold(&mut self) -> u128 {
        if self.random.once_in(10) { self.entry() } else { Self::one_of(&mut self.random, &self.holds) }
    }

    /// One of the last that were made, or one that never was.
    fn one_of(random: &mut Random, made: &[u128]) -> u128 {
        if made.is_empty() || random.once_in(30) {
            return u128::from(random.bits());
        }
        random.of(&made[made.len().saturating_sub(30)..])
    }
}
