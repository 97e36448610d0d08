//! Commands as lines of text, so that a test reads as a transcript.
//!
//! ```text
//! open <account> [asset|expense|equity|income|liability] [<currency>] [floor <amount>] [ceiling <amount>]
//! freeze <account>            unfreeze <account>            reopen <account>
//! close <account> [into <account>] [by <entry>]
//! limits <account> [floor <amount>] [ceiling <amount>]
//! post <entry> <debit>-><credit> <amount>, … [at <time>]
//! hold <entry> <debit>-><credit> <amount>, … [until <time>] [at <time>]
//! post_hold <entry> [amounts <amount> …] [at <time>]
//! void <entry>                expire <entry>
//! reverse <entry> by <entry> [dated]
//! annotate <entry> [<key>=<value> …] [<key> …]
//! create_set <set>
//! add <set> account|set <name> [at <time>]
//! remove <set> account|set <name> [at <time>]
//! close_journal               rules <days>
//! ```
//!
//! An account is a liability in XOF unless it says otherwise. An amount is `10`, `10.5EUR` or, in a transfer,
//! `<=10` for "up to". A time is an offset from now: `+8d`, `-1s`.

use std::collections::BTreeMap;
use std::iter::Peekable;
use std::str::{FromStr, SplitWhitespace};
use std::sync::Arc;

use cauri_domain::LedgerCommand;
use cauri_domain::account::{AccountAction, AccountKind, ChangeLimits, CloseAccount, FreezeAccount, OpenAccount};
use cauri_domain::account_set::{AccountSetAction, AccountSetCommand, ChangeMembers, CreateAccountSet, Member, SetName};
use cauri_domain::entry::{
    AnnotateEntry, EntryAction, HoldTerms, PostEntry, PostHold, ReverseEntry, TransferAmount, TransferRequest, VoidHold,
};
use cauri_domain::ids::CommandKey;
use cauri_domain::journal::{ChangeRules, CloseJournal, JournalCommand};
use cauri_domain::limits::{LimitAmount, UncheckedLimits};
use cauri_domain::money::{Currency, UncheckedMoney, decimal_string};
use cauri_domain::time::Timestamp;

use super::values::{address, entry_id};

/// What a line asks.
pub fn command(line: &str, now: Timestamp, id: &CommandKey) -> LedgerCommand {
    let mut words = Words { line, words: line.split_whitespace().peekable(), now };
    let verb = words.word();
    let command = match verb {
        "open" => LedgerCommand::open_account(words.open()),
        "freeze" => LedgerCommand::account(address(words.word()), AccountAction::Freeze(FreezeAccount::default())),
        "unfreeze" => LedgerCommand::account(address(words.word()), AccountAction::Unfreeze),
        "reopen" => LedgerCommand::account(address(words.word()), AccountAction::Reopen),
        "close" => {
            let account = address(words.word());
            let sweep_to = words.after("into").map(address);
            let entry_id = words.after("by").map(entry_id);
            LedgerCommand::account(account, AccountAction::Close(CloseAccount { reason: None, sweep_to, entry_id }))
        }
        "limits" => {
            let account = address(words.word());
            LedgerCommand::account(account, AccountAction::ChangeLimits(ChangeLimits { limits: words.limits() }))
        }
        "post" | "hold" => LedgerCommand::post_entry(words.post(verb == "hold"), id),
        "post_hold" => {
            let entry = entry_id(words.word());
            let amounts = words.after("amounts").map(|first| {
                let rest = std::iter::from_fn(|| words.words.next_if(|word| *word != "at"));
                std::iter::once(first).chain(rest).map(money).collect()
            });
            LedgerCommand::entry(entry, EntryAction::PostHold(PostHold { amounts, effective_at: words.time_after("at") }))
        }
        "void" => LedgerCommand::entry(entry_id(words.word()), EntryAction::VoidHold(VoidHold::default())),
        "expire" => LedgerCommand::entry(entry_id(words.word()), EntryAction::ExpireHold),
        "reverse" => {
            let entry = entry_id(words.word());
            let by = words.after("by").map(entry_id);
            let reverse = ReverseEntry { at_original_date: words.flag("dated"), entry_id: by, reason: None };
            LedgerCommand::entry(entry, EntryAction::Reverse(reverse))
        }
        "annotate" => {
            let entry = entry_id(words.word());
            let (mut set, mut remove) = (BTreeMap::new(), Vec::new());
            for word in words.words.by_ref() {
                match word.split_once('=') {
                    Some((key, value)) => drop(set.insert(key.parse().expect("a key"), value.parse().expect("a text"))),
                    None => remove.push(word.parse().expect("a key")),
                }
            }
            LedgerCommand::entry(entry, EntryAction::Annotate(AnnotateEntry::new(set, remove, None).expect("a pair")))
        }
        "create_set" => {
            let name: SetName = words.word().parse().expect("a name");
            let create = CreateAccountSet { description: None, metadata: BTreeMap::new(), name: name.clone() };
            LedgerCommand::AccountSet(AccountSetCommand { name, action: Arc::new(AccountSetAction::Create(create)) })
        }
        "add" | "remove" => {
            let name = words.word().parse().expect("a name");
            let member = match words.word() {
                "account" => Member::Account(address(words.word())),
                "set" => Member::Set(words.word().parse().expect("a name")),
                other => panic!("`{other}` is no member"),
            };
            let change = ChangeMembers { effective_at: words.time_after("at"), member, reason: None };
            let action = if verb == "add" { AccountSetAction::Add(change) } else { AccountSetAction::Remove(change) };
            LedgerCommand::AccountSet(AccountSetCommand { name, action: Arc::new(action) })
        }
        "rules" => {
            let max_future_days = Some(words.word().parse().expect("days"));
            LedgerCommand::Journal(JournalCommand::ChangeRules(ChangeRules { max_future_days, ..ChangeRules::default() }))
        }
        "close_journal" => LedgerCommand::Journal(JournalCommand::Close(CloseJournal::default())),
        _ => panic!("`{verb}` is no command of the script: `{line}`"),
    };
    assert_eq!(words.words.next(), None, "left over in `{line}`");
    command
}

/// `+2d`, `-1s`, `+3h` from now.
pub fn offset(text: &str, now: Timestamp) -> Timestamp {
    let (number, unit) = text.split_at(text.len() - 1);
    let secs = match unit {
        "s" => 1,
        "h" => 3_600,
        "d" => 86_400,
        _ => panic!("`{text}` is no time: +8d, -1s, +2h"),
    };
    now.saturating_add_secs(secs * number.parse::<i64>().expect("a whole number"))
}

/// `10`, or `10.5EUR`.
fn money(text: &str) -> UncheckedMoney {
    let digits = text.find(|letter: char| letter.is_ascii_alphabetic()).unwrap_or(text.len());
    let (amount, currency) = text.split_at(digits);
    let currency = if currency.is_empty() { Currency::XOF } else { currency.parse().expect("a currency") };
    UncheckedMoney { amount: decimal_string::parse(amount).expect("a decimal"), currency }
}

/// A limit in the account's currency, or with its own: `-10`, `5EUR`.
fn limit(text: &str) -> LimitAmount {
    let plain = !text.contains(|letter: char| letter.is_ascii_alphabetic());
    if plain { LimitAmount::InAccountCurrency(money(text).amount) } else { LimitAmount::Money(money(text)) }
}

struct Words<'a> {
    line: &'a str,
    words: Peekable<SplitWhitespace<'a>>,
    now: Timestamp,
}

impl<'a> Words<'a> {
    fn word(&mut self) -> &'a str {
        self.words.next().unwrap_or_else(|| panic!("`{}` ends too early", self.line))
    }

    fn flag(&mut self, word: &str) -> bool {
        self.words.next_if_eq(&word).is_some()
    }

    fn after(&mut self, word: &str) -> Option<&'a str> {
        self.words.next_if(|next| *next == word)?;
        Some(self.word())
    }

    fn time_after(&mut self, word: &str) -> Option<Timestamp> {
        self.after(word).map(|text| offset(text, self.now))
    }

    fn parsed<T: FromStr>(&mut self) -> Option<T> {
        let value = self.words.peek()?.parse().ok()?;
        self.words.next();
        Some(value)
    }

    fn limits(&mut self) -> UncheckedLimits {
        let floor = self.after("floor").map(limit);
        UncheckedLimits { ceiling: self.after("ceiling").map(limit), floor }
    }

    fn open(&mut self) -> OpenAccount {
        let address = address(self.word());
        let kind = self.parsed().unwrap_or(AccountKind::Liability);
        let currency = self.parsed().unwrap_or(Currency::XOF);
        let limits = Some(self.limits()).filter(|limits| *limits != UncheckedLimits::none());
        OpenAccount { address, chart_code: None, currency, kind, limits, metadata: Default::default(), owner: None }
    }

    fn post(&mut self, hold: bool) -> PostEntry {
        let id = Some(entry_id(self.word()));
        let mut transfers = Vec::new();
        while let Some((debit, credit)) = self.words.peek().and_then(|word| word.split_once("->")) {
            self.words.next();
            let asked = self.word().trim_end_matches(',');
            let amount = match asked.strip_prefix("<=") {
                Some(bound) => TransferAmount::UpTo(money(bound)),
                None => TransferAmount::Exactly(money(asked)),
            };
            transfers.push(TransferRequest { debit: address(debit), credit: address(credit), amount, reason: None });
        }
        let expires_at = self.time_after("until");
        let effective_at = self.time_after("at");
        let hold = hold.then_some(HoldTerms { expires_at });
        PostEntry { id, transfers, hold, effective_at, ..PostEntry::default() }
    }
}
