//! What is asked of both, and how it is drawn: mostly sensible, now and then wrong in several ways.

use std::fmt;

use proptest::prelude::*;

pub const ACCOUNTS: [&str; 6] = ["a", "b", "c", "d", "e", "f"];
pub const ENTRIES: [&str; 12] = ["e1", "e2", "e3", "e4", "e5", "e6", "e7", "e8", "e9", "e10", "e11", "e12"];

// Amounts are tenths of a unit, so that 5 is half a franc (refused) and half a euro.

/// An amount and its currency.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct Sum {
    pub tenths: i128,
    pub euro: bool,
}

impl fmt::Display for Sum {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let sign = if self.tenths < 0 { "-" } else { "" };
        let (units, tenth) = (self.tenths.abs() / 10, self.tenths.abs() % 10);
        write!(f, "{sign}{units}")?;
        if tenth > 0 {
            write!(f, ".{tenth}")?;
        }
        f.write_str(if self.euro { "EUR" } else { "XOF" })
    }
}

#[derive(Clone, Debug)]
pub struct Move {
    pub debit: &'static str,
    pub credit: &'static str,
    pub sum: Sum,
    pub up_to: bool,
}

#[derive(Clone, Copy, Debug, Default)]
pub struct Bounds {
    pub floor: Option<Sum>,
    pub ceiling: Option<Sum>,
}

/// What is asked; its text is a line of the script.
#[derive(Clone, Debug)]
pub enum Ask {
    Open { account: &'static str, kind: &'static str, euro: bool, bounds: Bounds },
    Freeze { account: &'static str },
    Unfreeze { account: &'static str },
    Close { account: &'static str, into: Option<&'static str>, by: &'static str },
    Reopen { account: &'static str },
    Limits { account: &'static str, bounds: Bounds },
    Post { entry: &'static str, moves: Vec<Move>, at: Option<i64> },
    Hold { entry: &'static str, moves: Vec<Move>, until: Option<i64>, at: Option<i64> },
    PostHold { entry: &'static str, amounts: Option<Vec<Sum>>, at: Option<i64> },
    Void { entry: &'static str },
    Reverse { entry: &'static str, by: &'static str, dated: bool },
    Annotate { entry: &'static str },
    Wait { secs: i64 },
}

impl fmt::Display for Ask {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let bounds = |f: &mut fmt::Formatter<'_>, bounds: &Bounds| {
            bounds.floor.iter().try_for_each(|floor| write!(f, " floor {floor}"))?;
            bounds.ceiling.iter().try_for_each(|ceiling| write!(f, " ceiling {ceiling}"))
        };
        let moves = |f: &mut fmt::Formatter<'_>, moves: &[Move]| {
            moves.iter().enumerate().try_for_each(|(index, Move { debit, credit, sum, up_to })| {
                let (comma, bound) = (if index > 0 { "," } else { "" }, if *up_to { "<=" } else { "" });
                write!(f, "{comma} {debit}->{credit} {bound}{sum}")
            })
        };
        let time =
            |f: &mut fmt::Formatter<'_>, word: &str, secs: &Option<i64>| secs.iter().try_for_each(|secs| write!(f, " {word} {secs:+}s"));
        match self {
            Ask::Open { account, kind, euro, bounds: of } => {
                write!(f, "open {account} {kind} {}", if *euro { "EUR" } else { "XOF" })?;
                bounds(f, of)
            }
            Ask::Freeze { account } => write!(f, "freeze {account}"),
            Ask::Unfreeze { account } => write!(f, "unfreeze {account}"),
            Ask::Close { account, into: None, by } => write!(f, "close {account} by {by}"),
            Ask::Close { account, into: Some(into), by } => write!(f, "close {account} into {into} by {by}"),
            Ask::Reopen { account } => write!(f, "reopen {account}"),
            Ask::Limits { account, bounds: of } => {
                write!(f, "limits {account}")?;
                bounds(f, of)
            }
            Ask::Post { entry, moves: of, at } => {
                write!(f, "post {entry}")?;
                moves(f, of)?;
                time(f, "at", at)
            }
            Ask::Hold { entry, moves: of, until, at } => {
                write!(f, "hold {entry}")?;
                moves(f, of)?;
                time(f, "until", until)?;
                time(f, "at", at)
            }
            Ask::PostHold { entry, amounts, at } => {
                write!(f, "post_hold {entry}")?;
                if let Some(amounts) = amounts {
                    f.write_str(" amounts")?;
                    amounts.iter().try_for_each(|amount| write!(f, " {amount}"))?;
                }
                time(f, "at", at)
            }
            Ask::Void { entry } => write!(f, "void {entry}"),
            Ask::Reverse { entry, by, dated } => write!(f, "reverse {entry} by {by}{}", if *dated { " dated" } else { "" }),
            Ask::Annotate { entry } => write!(f, "annotate {entry} case=17 ticket"),
            Ask::Wait { secs } => write!(f, "wait {secs:+}s"),
        }
    }
}

pub fn any_account() -> impl Strategy<Value = &'static str> {
    prop_oneof![15 => prop::sample::select(ACCOUNTS[..4].to_vec()), 1 => prop::sample::select(ACCOUNTS[4..].to_vec())]
}

pub fn any_entry() -> impl Strategy<Value = &'static str> {
    prop::sample::select(ENTRIES.to_vec())
}

pub fn any_sum() -> impl Strategy<Value = Sum> {
    let tenths = prop_oneof![
        30 => (1_i128..=20).prop_map(|units| units * 10),
        2 => -1_i128..=25,
        1 => Just(20_000_000_000_000_000_005),
        1 => Just(20_000_000_000_000_000_000),
        // The most that a transfer may move: three of them are more than an account can count.
        2 => Just(10_000_000_000_000_000_000),
    ];
    (tenths, prop::bool::weighted(0.04)).prop_map(|(tenths, euro)| Sum { tenths, euro })
}

pub fn any_bounds() -> impl Strategy<Value = Bounds> {
    let bound = |sign: i128| {
        let tenths = prop_oneof![12 => (0_i128..=60).prop_map(|units| units * 10), 1 => -12_i128..=12];
        let sum = (tenths, prop::bool::weighted(0.08)).prop_map(move |(tenths, euro)| Sum { tenths: sign * tenths, euro });
        prop::option::weighted(0.5, sum)
    };
    (bound(-1), bound(1)).prop_map(|(floor, ceiling)| Bounds { floor, ceiling })
}

pub fn any_moves() -> impl Strategy<Value = Vec<Move>> {
    let one = (any_account(), any_account(), any_sum(), prop::bool::weighted(0.2), prop::bool::weighted(0.05));
    let one = one.prop_map(|(debit, credit, sum, up_to, same)| {
        let other = ACCOUNTS.into_iter().find(|name| *name != debit).unwrap_or(debit);
        let credit = if credit == debit && !same { other } else { credit };
        // "Up to" the largest amount would keep the model counting for years.
        Move { debit, credit, sum, up_to: up_to && sum.tenths < 1_000 }
    });
    let one = one.boxed();
    prop_oneof![3 => prop::collection::vec(one.clone(), 1..=1), 2 => prop::collection::vec(one, 2..=3)]
}

pub fn any_date() -> impl Strategy<Value = Option<i64>> {
    prop_oneof![24 => Just(None), 2 => (-9_i64..=7).prop_map(|days| Some(days * 86_400)), 1 => Just(Some(604_801))]
}

pub fn any_amounts() -> impl Strategy<Value = Option<Vec<Sum>>> {
    let few = (0_i128..=10).prop_map(|units| Sum { tenths: units * 10, euro: false });
    let amount = prop_oneof![8 => few, 2 => any_sum()].boxed();
    let amounts = prop_oneof![3 => prop::collection::vec(amount.clone(), 1..=1), 2 => prop::collection::vec(amount, 2..=3)];
    prop::option::of(amounts)
}

pub fn any_opening() -> impl Strategy<Value = Ask> {
    let kinds = prop::sample::select(vec!["asset", "expense", "equity", "income", "liability"]);
    (any_account(), kinds, prop::bool::weighted(0.1), any_bounds()).prop_map(|(account, kind, euro, bounds)| Ask::Open {
        account,
        kind,
        euro,
        bounds,
    })
}

pub fn any_ask() -> impl Strategy<Value = Ask> {
    let close = (any_account(), prop::option::weighted(0.8, any_account()), any_entry());
    let hold = (any_entry(), any_moves(), prop::option::of(-1_i64..=40), any_date());
    prop_oneof![
        2 => any_opening(),
        1 => any_account().prop_map(|account| Ask::Freeze { account }),
        2 => any_account().prop_map(|account| Ask::Unfreeze { account }),
        2 => close.prop_map(|(account, into, by)| Ask::Close { account, into, by }),
        3 => any_account().prop_map(|account| Ask::Reopen { account }),
        4 => (any_account(), any_bounds()).prop_map(|(account, bounds)| Ask::Limits { account, bounds }),
        24 => (any_entry(), any_moves(), any_date()).prop_map(|(entry, moves, at)| Ask::Post { entry, moves, at }),
        16 => hold.prop_map(|(entry, moves, until, at)| Ask::Hold { entry, moves, until, at }),
        10 => (any_entry(), any_amounts(), any_date()).prop_map(|(entry, amounts, at)| Ask::PostHold { entry, amounts, at }),
        4 => any_entry().prop_map(|entry| Ask::Void { entry }),
        6 => (any_entry(), any_entry(), any::<bool>()).prop_map(|(entry, by, dated)| Ask::Reverse { entry, by, dated }),
        3 => any_entry().prop_map(|entry| Ask::Annotate { entry }),
        3 => (0_i64..=6).prop_map(|secs| Ask::Wait { secs }),
    ]
}

/// Most begin with four accounts of any kind, so that there is something to move between.
pub fn any_asks(most: usize) -> impl Strategy<Value = Vec<Ask>> {
    let kinds = prop::collection::vec(prop::sample::select(vec!["asset", "expense", "equity", "income", "liability"]), 4);
    let bounds = prop::collection::vec(prop_oneof![2 => Just(Bounds::default()), 1 => any_bounds()], 4);
    (prop::bool::weighted(0.9), kinds, bounds, prop::collection::vec(any_ask(), 0..most)).prop_map(|(opened, kinds, bounds, asks)| {
        let openings = ACCOUNTS.into_iter().zip(kinds.into_iter().zip(bounds));
        let openings = openings.map(|(account, (kind, bounds))| Ask::Open { account, kind, euro: false, bounds });
        openings.filter(|_| opened).chain(asks).collect()
    })
}
