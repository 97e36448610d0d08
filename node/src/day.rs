//! A realistic day of a payment platform as commands: the same seed, the same day.
//!
//! Collections with fee, tax and provider's cost; splits; transfers between wallets; reloads; payouts that are
//! held and then posted, voided or left to expire; reversals; and what goes wrong every day: overdrafts,
//! ceilings, a frozen account, keys sent twice, keys used twice.

use std::collections::VecDeque;

use cauri_domain::LedgerCommand;
use cauri_domain::account::{AccountAction, AccountKind, FreezeAccount, OpenAccount};
use cauri_domain::entry::{EntryAction, HoldTerms, PostEntry, PostHold, ReverseEntry, TransferAmount, TransferRequest, VoidHold};
use cauri_domain::ids::{AccountAddress, CommandId, EntryId};
use cauri_domain::limits::{LimitAmount, UncheckedLimits};
use cauri_domain::money::{Currency, Money};
use cauri_domain::text::{Key, ShortText};
use cauri_domain::time::Timestamp;
use cauri_engine::CommandEnvelope;
use rust_decimal::Decimal;

/// The providers of the day and their share of the business, in percent.
const PROVIDERS: [(&str, u64); 4] = [("wave", 45), ("mtn", 25), ("orange", 20), ("moov", 10)];
/// How long a payout is held before the engine releases it.
const HOLD_SECS: i64 = 2 * 3_600;
/// The most that an identified wallet may hold (Instruction 008-05-2015, art. 31).
const WALLET_CEILING: i64 = 2_000_000;
/// Commands submitted together.
const BATCH: usize = 4_000;

/// What a command of the day is, for the summary.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord, Hash)]
pub enum Kind {
    /// An account opened, frozen or funded before business begins.
    Preparation,
    /// A customer pays a merchant through a provider.
    Collection,
    /// The same, shared among three parties.
    Split,
    /// Wallet to wallet.
    Transfer,
    /// Cash becomes a wallet's balance.
    Reload,
    /// A merchant is paid out: held.
    Payout,
    /// A held payout is posted, whole or in part.
    PayoutPosted,
    /// A held payout is given back.
    PayoutVoided,
    /// A collection is undone.
    Reversal,
    /// A key sent twice with the same body.
    Retry,
    /// A key used twice with different bodies.
    KeyReuse,
    /// Something that the rules should refuse.
    Mistake,
}

impl Kind {
    /// For people.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Preparation => "preparation",
            Kind::Collection => "collections",
            Kind::Split => "split collections",
            Kind::Transfer => "transfers",
            Kind::Reload => "reloads",
            Kind::Payout => "payouts held",
            Kind::PayoutPosted => "payouts posted",
            Kind::PayoutVoided => "payouts voided",
            Kind::Reversal => "reversals",
            Kind::Retry => "retries",
            Kind::KeyReuse => "keys used twice",
            Kind::Mistake => "mistakes",
        }
    }
}

/// Commands that reach the platform together.
#[derive(Debug)]
pub struct DayBatch {
    /// The time of day.
    pub at: Timestamp,
    /// The commands.
    pub commands: Vec<CommandEnvelope>,
    /// What each is.
    pub kinds: Vec<Kind>,
}

/// The day, as an iterator over its batches.
#[derive(Debug)]
pub struct Day {
    random: Random,
    seed: u64,
    start: Timestamp,
    total: usize,
    made: usize,
    customers: u64,
    merchants: u64,
    prepared: VecDeque<(CommandEnvelope, Kind)>,
    open_payouts: VecDeque<(usize, EntryId, i64)>,
    reversible: VecDeque<EntryId>,
    last: Option<CommandEnvelope>,
}

impl Day {
    /// A day of about `commands` commands that begins at `start`.
    pub fn new(seed: u64, commands: usize, start: Timestamp) -> Self {
        let customers = (commands as u64 / 60).clamp(50, 20_000);
        let mut day = Self {
            random: Random(seed),
            seed,
            start,
            total: commands,
            made: 0,
            customers,
            merchants: (customers / 20).max(5),
            prepared: VecDeque::new(),
            open_payouts: VecDeque::new(),
            reversible: VecDeque::new(),
            last: None,
        };
        day.prepare();
        day.total = day.total.max(day.prepared.len() + 100);
        day
    }

    /// How many commands the day has.
    pub fn commands(&self) -> usize {
        self.total
    }

    /// The key of the first command: used, it says that the day is in the journal already.
    pub fn first_key(seed: u64) -> CommandId {
        command_id(seed, 0)
    }

    fn prepare(&mut self) {
        let none = UncheckedLimits::none;
        let mut accounts: Vec<(AccountAddress, AccountKind, UncheckedLimits, &str)> = vec![
            (address("equity:capital"), AccountKind::Equity, none(), "1011"),
            (address("banks:ecobank:ringfenced"), AccountKind::Asset, none(), "5211"),
            (address("income:fees:collection"), AccountKind::Income, none(), "7061"),
            (address("income:fees:payout"), AccountKind::Income, none(), "7062"),
            (address("liabilities:taxes:taf"), AccountKind::Liability, none(), "4478"),
        ];
        for (provider, _) in PROVIDERS {
            accounts.push((address(&format!("providers:{provider}:receivable")), AccountKind::Asset, none(), "4712"));
            accounts.push((address(&format!("providers:{provider}:float")), AccountKind::Asset, UncheckedLimits::floor_zero(), "5212"));
            accounts.push((address(&format!("expenses:providers:{provider}")), AccountKind::Expense, none(), "6318"));
        }
        let ceiling = Some(LimitAmount::InAccountCurrency(Decimal::from(WALLET_CEILING)));
        for number in 0..self.customers {
            let limits = UncheckedLimits { ceiling: ceiling.clone(), ..UncheckedLimits::floor_zero() };
            accounts.push((wallet(number), AccountKind::Liability, limits, "4191"));
        }
        for number in 0..self.merchants {
            accounts.push((merchant(number), AccountKind::Liability, UncheckedLimits::floor_zero(), "4011"));
        }
        for (address, kind, limits, chart_code) in accounts {
            let open = OpenAccount {
                owner: address.as_str().rsplit_once(':').and_then(|(owner, _)| owner.parse().ok()),
                address,
                chart_code: chart_code.parse().ok(),
                currency: Currency::XOF,
                kind,
                limits: Some(limits),
                metadata: Default::default(),
            };
            self.plan(LedgerCommand::open_account(open));
        }
        let capital = |to: &str, amount| vec![transfer(address(to), address("equity:capital"), amount, "capital")];
        self.plan_entry(capital("banks:ecobank:ringfenced", 50_000_000_000));
        for (provider, share) in PROVIDERS {
            let float = address(&format!("providers:{provider}:float"));
            let amount = 100_000_000 * share as i64;
            self.plan_entry(vec![transfer(float, address("banks:ecobank:ringfenced"), amount, "prefunding")]);
        }
        for number in 0..self.customers {
            let amount = 5_000 + 500 * self.random.below(400) as i64;
            let provider = self.provider();
            let receivable = address(&format!("providers:{provider}:receivable"));
            self.plan_entry(vec![transfer(receivable, wallet(number), amount, "balance of yesterday")]);
        }
        let frozen = LedgerCommand::account(wallet(13), AccountAction::Freeze(FreezeAccount { reason: "court order".parse().ok() }));
        self.plan(frozen);
    }

    fn plan(&mut self, command: LedgerCommand) {
        let id = command_id(self.seed, self.prepared.len());
        self.prepared.push_back((envelope(command, id), Kind::Preparation));
    }

    fn plan_entry(&mut self, transfers: Vec<TransferRequest>) {
        let id = command_id(self.seed, self.prepared.len());
        let command = LedgerCommand::post_entry(PostEntry { transfers, ..PostEntry::default() }, &id);
        self.prepared.push_back((envelope(command, id), Kind::Preparation));
    }

    /// The time of day at which command number `made` arrives: business from 6 to 22 hours.
    fn time(&self, made: usize) -> Timestamp {
        self.start.saturating_add_secs((16 * 3_600 * made as i64) / self.total.max(1) as i64)
    }

    fn next_command(&mut self) -> (CommandEnvelope, Kind) {
        let number = self.made;
        self.made += 1;
        if let Some(prepared) = self.prepared.pop_front() {
            return prepared;
        }
        if self.open_payouts.front().is_some_and(|(due, ..)| *due <= number)
            && let Some((_, id, held)) = self.open_payouts.pop_front()
        {
            return self.resolve_payout(number, id, held);
        }
        let (command, kind) = match self.random.below(1_000) {
            0..430 => self.collection(number),
            430..530 => self.split(number),
            530..700 => self.between_wallets(number),
            700..810 => self.reload(number),
            810..930 => self.payout(number),
            930..945 => self.reversal(number),
            945..957 => return self.retry(number),
            957..960 => return self.key_reuse(number),
            _ => self.mistake(number),
        };
        let envelope = envelope(command, command_id(self.seed, number));
        if kind == Kind::Transfer {
            self.last = Some(envelope.clone());
        }
        (envelope, kind)
    }

    fn collection(&mut self, number: usize) -> (LedgerCommand, Kind) {
        let (provider, shop, amount) = (self.provider(), self.shop(), self.amount());
        let (fee, tax, cost) = (amount / 100, amount / 1_000, amount / 200);
        let receivable = address(&format!("providers:{provider}:receivable"));
        let mut transfers = vec![transfer(receivable.clone(), merchant(shop), amount - fee - tax, "net")];
        self.charges(&mut transfers, &receivable, provider, [fee, tax, cost]);
        let id = self.entry_id(number);
        self.reversible.push_back(id);
        self.reversible.truncate(500);
        (self.entry(number, id, provider, shop, transfers, None), Kind::Collection)
    }

    fn split(&mut self, number: usize) -> (LedgerCommand, Kind) {
        let (provider, shop, amount) = (self.provider(), self.shop(), self.amount());
        let (fee, tax, cost) = (amount / 100, amount / 1_000, amount / 200);
        let receivable = address(&format!("providers:{provider}:receivable"));
        let net = Money::from_minor(amount - fee - tax, Currency::XOF);
        let parts = net.split(&[70, 25, 5].map(Decimal::from)).unwrap_or_default();
        let shops = [shop, (shop + 1) % self.merchants, (shop + 2) % self.merchants];
        let mut transfers: Vec<TransferRequest> = parts
            .iter()
            .zip(shops)
            .filter(|(part, _)| part.is_positive())
            .map(|(part, shop)| transfer(receivable.clone(), merchant(shop), part.minor(), "share"))
            .collect();
        self.charges(&mut transfers, &receivable, provider, [fee, tax, cost]);
        let id = self.entry_id(number);
        (self.entry(number, id, provider, shop, transfers, None), Kind::Split)
    }

    fn charges(&self, transfers: &mut Vec<TransferRequest>, receivable: &AccountAddress, provider: &str, [fee, tax, cost]: [i64; 3]) {
        let charges = [
            (receivable.clone(), address("income:fees:collection"), fee, "fee"),
            (receivable.clone(), address("liabilities:taxes:taf"), tax, "tax on the fee"),
            (address(&format!("expenses:providers:{provider}")), receivable.clone(), cost, "provider's cost"),
        ];
        transfers.extend(
            charges
                .into_iter()
                .filter(|(.., amount, _)| *amount > 0)
                .map(|(debit, credit, amount, reason)| transfer(debit, credit, amount, reason)),
        );
    }

    fn between_wallets(&mut self, number: usize) -> (LedgerCommand, Kind) {
        let (from, to) = self.two_customers();
        let amount = 100 + 100 * self.random.below(50) as i64;
        let id = self.entry_id(number);
        (self.entry(number, id, "wallet", 0, vec![transfer(wallet(from), wallet(to), amount, "transfer")], None), Kind::Transfer)
    }

    fn reload(&mut self, number: usize) -> (LedgerCommand, Kind) {
        let (provider, customer) = (self.provider(), self.random.below(self.customers));
        let amount = 1_000 + 1_000 * self.random.below(30) as i64;
        let receivable = address(&format!("providers:{provider}:receivable"));
        let id = self.entry_id(number);
        (self.entry(number, id, provider, 0, vec![transfer(receivable, wallet(customer), amount, "reload")], None), Kind::Reload)
    }

    fn payout(&mut self, number: usize) -> (LedgerCommand, Kind) {
        let (provider, shop) = (self.provider(), self.shop());
        let amount = 500 + 500 * self.random.below(40) as i64;
        let transfers = vec![
            transfer(merchant(shop), address(&format!("providers:{provider}:float")), amount, "payout"),
            transfer(merchant(shop), address("income:fees:payout"), 50, "fee"),
        ];
        let id = self.entry_id(number);
        let hold = HoldTerms { expires_at: Some(self.time(number).saturating_add_secs(HOLD_SECS)) };
        let due = number + 200 + self.random.below(2_000) as usize;
        // One payout in ten hears nothing more and expires.
        if !self.random.below(10).is_multiple_of(10) {
            self.open_payouts.push_back((due, id, amount));
        }
        (self.entry(number, id, provider, shop, transfers, Some(hold)), Kind::Payout)
    }

    fn resolve_payout(&mut self, number: usize, id: EntryId, held: i64) -> (CommandEnvelope, Kind) {
        let (action, kind) = match self.random.below(10) {
            0 => (EntryAction::VoidHold(VoidHold { reason: "the provider refused".parse().ok() }), Kind::PayoutVoided),
            1 => {
                let part = |minor| Money::from_minor(minor, Currency::XOF).into();
                let amounts = Some(vec![part(held / 2), part(50)]);
                (EntryAction::PostHold(PostHold { amounts, effective_at: None }), Kind::PayoutPosted)
            }
            _ => (EntryAction::PostHold(PostHold::default()), Kind::PayoutPosted),
        };
        (envelope(LedgerCommand::entry(id, action), command_id(self.seed, number)), kind)
    }

    fn reversal(&mut self, number: usize) -> (LedgerCommand, Kind) {
        let Some(id) = self.reversible.pop_front() else { return self.reload(number) };
        let reverse = ReverseEntry { at_original_date: false, entry_id: Some(self.entry_id(number)), reason: "wrong amount".parse().ok() };
        (LedgerCommand::entry(id, EntryAction::Reverse(reverse)), Kind::Reversal)
    }

    fn retry(&mut self, number: usize) -> (CommandEnvelope, Kind) {
        match self.last.clone() {
            Some(last) => (last, Kind::Retry),
            None => self.instead(number),
        }
    }

    fn key_reuse(&mut self, number: usize) -> (CommandEnvelope, Kind) {
        let Some(last) = self.last.clone() else { return self.instead(number) };
        let (command, _) = self.reload(number);
        (envelope(command, last.id), Kind::KeyReuse)
    }

    fn instead(&mut self, number: usize) -> (CommandEnvelope, Kind) {
        let (command, kind) = self.reload(number);
        (envelope(command, command_id(self.seed, number)), kind)
    }

    fn mistake(&mut self, number: usize) -> (LedgerCommand, Kind) {
        let (from, to) = self.two_customers();
        let receivable = || address("providers:wave:receivable");
        let wrong = match self.random.below(5) {
            0 => transfer(wallet(from), wallet(to), 5_000_000, "more than there is"),
            1 => transfer(receivable(), wallet(to), WALLET_CEILING, "above the ceiling"),
            2 => transfer(wallet(13), wallet(to), 100, "from a frozen wallet"),
            3 => transfer(receivable(), address("customers:nobody:wallet"), 100, "to nobody"),
            _ => transfer(wallet(from), wallet(from), 100, "to oneself"),
        };
        let id = self.entry_id(number);
        (self.entry(number, id, "wave", 0, vec![wrong], None), Kind::Mistake)
    }

    fn entry(
        &self,
        number: usize,
        id: EntryId,
        provider: &str,
        shop: u64,
        transfers: Vec<TransferRequest>,
        hold: Option<HoldTerms>,
    ) -> LedgerCommand {
        let pair = |key: &str, value: &str| Some((key.parse::<Key>().ok()?, value.parse::<ShortText>().ok()?));
        let dimensions =
            [pair("provider", provider), pair("country", if shop.is_multiple_of(3) { "SN" } else { "CI" })].into_iter().flatten().collect();
        let reference = format!("D{number:07}").parse().ok();
        let post = PostEntry { dimensions, effective_at: None, hold, id: Some(id), reference, reverses: None, transfers };
        LedgerCommand::post_entry(post, &command_id(self.seed, number))
    }

    /// A UUID of version 7 in the day's own time.
    fn entry_id(&mut self, number: usize) -> EntryId {
        let millis = (self.time(number).as_micros() / 1_000) as u128;
        let (high, low) = (u128::from(self.random.below(1 << 12)), u128::from(self.random.next() >> 2));
        EntryId::from_u128(millis << 80 | 7 << 76 | high << 64 | 0b10 << 62 | low)
    }

    fn provider(&mut self) -> &'static str {
        let mut at = self.random.below(100);
        for (provider, share) in PROVIDERS {
            if at < share {
                return provider;
            }
            at -= share;
        }
        PROVIDERS[0].0
    }

    fn shop(&mut self) -> u64 {
        // A few merchants make most of the business.
        let most = self.random.below(self.merchants);
        most.min(self.random.below(self.merchants)).min(self.random.below(self.merchants))
    }

    fn amount(&mut self) -> i64 {
        500 + 500 * self.random.below(100) as i64
    }

    fn two_customers(&mut self) -> (u64, u64) {
        let from = self.random.below(self.customers);
        (from, (from + 1 + self.random.below(self.customers - 1)) % self.customers)
    }
}

impl Iterator for Day {
    type Item = DayBatch;

    fn next(&mut self) -> Option<DayBatch> {
        if self.made >= self.total {
            return None;
        }
        let at = self.time(self.made);
        let count = BATCH.min(self.total - self.made);
        let (commands, kinds) = (0..count).map(|_| self.next_command()).unzip();
        Some(DayBatch { at, commands, kinds })
    }
}

fn envelope(command: LedgerCommand, id: CommandId) -> CommandEnvelope {
    CommandEnvelope::new(command, id, "operator:demo".parse().expect("a short text"))
}

fn command_id(seed: u64, number: usize) -> CommandId {
    format!("day-{seed}-{number}").parse().expect("a command id")
}

fn address(text: &str) -> AccountAddress {
    text.parse().expect("an address")
}

fn wallet(number: u64) -> AccountAddress {
    address(&format!("customers:{number:05}:wallet"))
}

fn merchant(number: u64) -> AccountAddress {
    address(&format!("merchants:m{number:04}:available"))
}

fn transfer(debit: AccountAddress, credit: AccountAddress, francs: i64, reason: &str) -> TransferRequest {
    let amount = TransferAmount::Exactly(Money::from_minor(francs, Currency::XOF).into());
    TransferRequest { debit, credit, amount, reason: reason.parse().ok() }
}

/// A small deterministic generator (SplitMix64, S. Vigna): the day must repeat on every machine.
#[derive(Debug)]
struct Random(u64);

impl Random {
    fn next(&mut self) -> u64 {
        self.0 = self.0.wrapping_add(0x9e37_79b9_7f4a_7c15);
        let mut mixed = self.0;
        mixed = (mixed ^ (mixed >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
        mixed = (mixed ^ (mixed >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
        mixed ^ (mixed >> 31)
    }

    fn below(&mut self, bound: u64) -> u64 {
        self.next() % bound
    }
}
