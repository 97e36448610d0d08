//! A day of business, made up: who is there, what they do, and when. The same seed and length give the same commands.
//!
//! The day is 2026-03-16. Accounts are opened and the floats funded at 05:00, business runs from 06:00 to 21:30, at 23:15
//! every hold has been posted, voided or has expired, and the providers settle. Fees are 1 %, the tax on them 10 %, a
//! provider costs 0.5 %, all rounded down to the franc.

mod chart;
mod commands;
mod kind;

use std::collections::VecDeque;

use cauri_domain::LedgerCommand;
use cauri_domain::account::{AccountAction, FreezeAccount};
use cauri_domain::entry::{EntryAction, HoldTerms, PostEntry, PostHold, ReverseEntry, TransferAmount, TransferRequest, VoidHold};
use cauri_domain::ids::{AccountAddress, CommandKey, EntryId};
use cauri_domain::money::{Currency, Money};
use cauri_domain::text::ShortText;
use cauri_domain::time::Timestamp;
use cauri_engine::CommandEnvelope;
use rust_decimal::Decimal;

pub use kind::Kind;

use self::chart::{CEILING, Chart, PROVIDERS};
use self::commands::{charge, command_key, dimensions, francs, instant, shop_of, text, transfer};
use super::random::SplitMix;

/// A shorter day has no room for all that happens in one.
pub const SHORTEST: usize = 400;
/// 2026-03-16T00:00:00Z, a Monday.
const MIDNIGHT: i64 = 1_773_619_200;
const OPENING: i64 = MIDNIGHT + 5 * 3_600;
const BUSINESS: i64 = MIDNIGHT + 6 * 3_600;
const BUSINESS_SECS: i64 = 15 * 3_600 + 1_800;
const SETTLEMENT: i64 = MIDNIGHT + 23 * 3_600 + 900;
/// A day has this many moments at which the engine is given what has come in: about twenty minutes apart.
const SLICES: usize = 45;
/// The most commands of one submission.
const MOST: usize = 8_189;

const AMOUNTS: [i64; 14] = [500, 1_000, 1_000, 1_500, 2_000, 2_000, 2_500, 5_000, 5_000, 7_500, 10_000, 15_000, 25_000, 50_000];

/// What is given to the engine at one moment.
pub struct Slice {
    /// The engine's clock then.
    pub at: Timestamp,
    /// The commands, and what each is.
    pub commands: Vec<CommandEnvelope<LedgerCommand>>,
    /// The kinds, one for each command.
    pub kinds: Vec<Kind>,
}

/// A day of business; an iterator over its moments.
pub struct Day {
    random: SplitMix,
    seed: u64,
    /// Commands that the whole day has.
    length: usize,
    made: usize,
    actor: ShortText,
    chart: Chart,
    /// What remains to be given before business begins: openings, then funding.
    opening: VecDeque<(Kind, LedgerCommand)>,
    per_slice: usize,
    slice: usize,
    holds: VecDeque<Hold>,
    /// What merchants get back when a forgotten hold expires: the slice, the merchant, the amount.
    expiring: VecDeque<(usize, usize, i64)>,
    collections: VecDeque<Collected>,
    recent: VecDeque<CommandEnvelope<LedgerCommand>>,
    settled: bool,
}

/// A payout that waits for its provider.
struct Hold {
    id: EntryId,
    due: usize,
    ends: Ending,
    merchant: usize,
    amounts: [i64; 2],
}

/// A collection that may be reversed.
#[derive(Clone, Copy)]
struct Collected {
    id: EntryId,
    merchant: usize,
    net: i64,
}

#[derive(Clone, Copy)]
enum Ending {
    Posted,
    PostedInPart,
    Voided,
    Forgotten,
}

impl Day {
    /// The day of a seed with this many commands, at least [`SHORTEST`].
    pub fn new(seed: u64, length: usize) -> Self {
        let length = length.max(SHORTEST);
        let mut random = SplitMix::of(seed);
        let chart = Chart::of_size(length, &mut random);
        let opening = chart.opening();
        let business = length.saturating_sub(opening.len() + PROVIDERS.len());
        Self {
            random,
            seed,
            length,
            made: 0,
            actor: text("operator:demo"),
            per_slice: business.div_ceil(SLICES).clamp(1, MOST),
            chart,
            opening,
            slice: 0,
            holds: VecDeque::new(),
            expiring: VecDeque::new(),
            collections: VecDeque::new(),
            recent: VecDeque::new(),
            settled: false,
        }
    }

    /// Commands that the whole day has.
    pub fn length(&self) -> usize {
        self.length
    }

    fn slices(&self) -> usize {
        let business = self.length.saturating_sub(self.chart.opening_len() + PROVIDERS.len());
        business.div_ceil(self.per_slice).max(1)
    }

    /// When a slice ends: what came in during it is given to the engine then.
    fn end_of(&self, slice: usize) -> i64 {
        BUSINESS + BUSINESS_SECS * slice as i64 / self.slices() as i64
    }

    fn push(&mut self, slice: &mut Slice, kind: Kind, command: impl FnOnce(&CommandKey) -> LedgerCommand) -> EntryId {
        let key = command_key(&format!("cauri-dev demo demo-{}-{}", self.seed, self.made));
        self.made += 1;
        let envelope = CommandEnvelope::new(command(&key), key.clone(), self.actor.clone());
        slice.commands.push(envelope);
        slice.kinds.push(kind);
        EntryId::derived_from(&key)
    }

    fn business(&mut self) -> Option<Slice> {
        let room = self.length - PROVIDERS.len();
        if self.made >= room {
            return None;
        }
        while let Some((due, merchant, amount)) = self.expiring.front().copied()
            && due <= self.slice
        {
            self.expiring.pop_front();
            self.chart.merchants[merchant].available += amount;
        }
        let (begin, end) = (self.end_of(self.slice), self.end_of(self.slice + 1));
        let mut slice = Slice::at(end);
        let count = self.per_slice.min(room - self.made);
        self.investigate(&mut slice, count);
        while slice.commands.len() < count {
            let moment = begin + (end - begin) * slice.commands.len() as i64 / count as i64;
            let due = self.holds.front().is_some_and(|hold| hold.due <= self.slice);
            if due && self.random.per_mille(200) {
                self.resolve(&mut slice);
            } else {
                self.something(&mut slice, instant(moment));
            }
        }
        self.slice += 1;
        Some(slice)
    }

    /// Once in a while somebody looks into a customer or a merchant for a slice or two.
    fn investigate(&mut self, slice: &mut Slice, count: usize) {
        if count < 8 {
            return;
        }
        let now = self.slice;
        for of_merchants in [true, false] {
            let wallets = if of_merchants { &mut self.chart.merchants } else { &mut self.chart.customers };
            let over: Vec<AccountAddress> =
                wallets.iter().filter(|wallet| wallet.frozen_until == now && now > 0).map(|wallet| wallet.address.clone()).collect();
            for address in over {
                self.push(slice, Kind::Investigation, |_| LedgerCommand::account(address, AccountAction::Unfreeze));
            }
        }
        if now % 9 == 4 {
            let index = 2 + self.random.below(3);
            let wallet = &mut self.chart.merchants[index];
            if wallet.frozen_until < now {
                wallet.frozen_until = now + 1;
                let address = wallet.address.clone();
                let reason = text(&format!("case 2026-{now:03}"));
                self.push(slice, Kind::Investigation, |_| {
                    LedgerCommand::account(address, AccountAction::Freeze(FreezeAccount { reason: Some(reason) }))
                });
            }
        }
    }

    /// The provider of the hold that waits longest has answered, or never will.
    fn resolve(&mut self, slice: &mut Slice) {
        let Some(hold) = self.holds.pop_front() else { return };
        let [amount, fee] = hold.amounts;
        let given_back = match hold.ends {
            Ending::Posted => {
                let post = PostHold::default();
                self.push(slice, Kind::PayoutPosted, |_| LedgerCommand::entry(hold.id, EntryAction::PostHold(post)));
                0
            }
            Ending::PostedInPart => {
                let post = PostHold { amounts: Some(vec![francs(amount / 2), francs(fee)]), effective_at: None };
                self.push(slice, Kind::PayoutPosted, |_| LedgerCommand::entry(hold.id, EntryAction::PostHold(post)));
                amount - amount / 2
            }
            Ending::Voided => {
                let void = VoidHold { reason: Some(text("PAYEE_NOT_FOUND")) };
                self.push(slice, Kind::PayoutVoided, |_| LedgerCommand::entry(hold.id, EntryAction::VoidHold(void)));
                amount + fee
            }
            // The engine releases it when its time has passed.
            Ending::Forgotten => {
                self.expiring.push_back((self.slice + 5, hold.merchant, amount + fee));
                0
            }
        };
        self.chart.merchants[hold.merchant].available += given_back;
    }

    fn something(&mut self, slice: &mut Slice, at: Timestamp) {
        match self.random.below(1_000) {
            0..330 => self.collection(slice, at),
            330..400 => self.split_collection(slice, at),
            400..570 => self.cash_in(slice, at),
            570..780 => self.wallet_payment(slice, at),
            780..880 => self.wallet_transfer(slice, at),
            880..950 => self.payout(slice, at),
            950..970 => self.refund(slice, at),
            970..980 => self.reversal(slice),
            980..992 => self.retry(slice),
            992..994 => self.reuse_key(slice),
            _ => self.cash_in(slice, at),
        }
    }

    fn amount(&mut self) -> i64 {
        let amount = self.random.pick(&AMOUNTS);
        amount + 25 * self.random.below((amount / 100) as usize) as i64
    }

    fn collection(&mut self, slice: &mut Slice, at: Timestamp) {
        let (provider, gross) = (self.random.skewed(PROVIDERS.len()), self.amount());
        let merchant = self.random.skewed(self.chart.merchants.len());
        let (fee, tax, cost) = Self::charges(gross);
        let chart = &mut self.chart;
        let frozen = chart.merchants[merchant].is_frozen(self.slice);
        if !frozen {
            chart.merchants[merchant].available += gross - fee - tax;
        }
        let wallet = &chart.merchants[merchant];
        let receivable = &chart.receivable[provider];
        let mut transfers = vec![transfer(receivable, &wallet.address, gross - fee - tax)];
        charge(&mut transfers, receivable, &chart.collection_fees, fee);
        charge(&mut transfers, receivable, &chart.tax, tax);
        charge(&mut transfers, &chart.cost[provider], receivable, cost);
        let shop = shop_of(&wallet.address);
        let dimensions = dimensions(&[("country", wallet.country), ("merchant", &shop), ("provider", PROVIDERS[provider])]);
        let post = PostEntry { dimensions, effective_at: Some(at), reference: Some(self.reference()), transfers, ..PostEntry::default() };
        let id = self.push(slice, Kind::Collection, |id| LedgerCommand::post_entry(post, id));
        if !frozen {
            self.collections.push_back(Collected { id, merchant, net: gross - fee - tax });
            if self.collections.len() > 64 {
                self.collections.pop_front();
            }
        }
        self.remember(slice);
    }

    fn split_collection(&mut self, slice: &mut Slice, at: Timestamp) {
        let (provider, gross) = (self.random.skewed(PROVIDERS.len()), self.amount());
        let (fee, tax, cost) = Self::charges(gross);
        let net = Money::from_minor(gross - fee - tax, Currency::XOF);
        let Some(parts) = net.split(&[70, 25, 5].map(Decimal::from)) else { return };
        let count = self.chart.merchants.len();
        let first = self.random.skewed(count);
        let members = [first, (first + 1) % count, (first + 2) % count];
        let chart = &mut self.chart;
        let frozen = members.iter().any(|index| chart.merchants[*index].is_frozen(self.slice));
        let receivable = &chart.receivable[provider];
        let mut transfers = Vec::with_capacity(6);
        for (index, part) in members.into_iter().zip(&parts) {
            if !frozen {
                chart.merchants[index].available += part.minor();
            }
            charge(&mut transfers, receivable, &chart.merchants[index].address, part.minor());
        }
        charge(&mut transfers, receivable, &chart.collection_fees, fee);
        charge(&mut transfers, receivable, &chart.tax, tax);
        charge(&mut transfers, &chart.cost[provider], receivable, cost);
        let shop = shop_of(&chart.merchants[first].address);
        let dimensions = dimensions(&[("merchant", &shop), ("provider", PROVIDERS[provider]), ("split", "70-25-5")]);
        let post = PostEntry { dimensions, effective_at: Some(at), reference: Some(self.reference()), transfers, ..PostEntry::default() };
        self.push(slice, Kind::SplitCollection, |id| LedgerCommand::post_entry(post, id));
    }

    fn cash_in(&mut self, slice: &mut Slice, at: Timestamp) {
        let provider = self.random.skewed(PROVIDERS.len());
        let customer = self.random.below(self.chart.customers.len());
        let mut amount = 2 * self.amount();
        if self.random.per_mille(12) {
            // More than the ceiling leaves: the engine has to say no.
            amount = self.chart.customers[customer].ceiling.unwrap_or(CEILING) + 1_000;
        }
        let chart = &mut self.chart;
        let wallet = &mut chart.customers[customer];
        if wallet.ceiling.is_none_or(|ceiling| wallet.available + amount <= ceiling) {
            wallet.available += amount;
        }
        let transfers = vec![transfer(&chart.receivable[provider], &wallet.address, amount)];
        let dimensions = dimensions(&[("country", wallet.country), ("provider", PROVIDERS[provider])]);
        let post = PostEntry { dimensions, effective_at: Some(at), reference: Some(self.reference()), transfers, ..PostEntry::default() };
        self.push(slice, Kind::CashIn, |id| LedgerCommand::post_entry(post, id));
        self.remember(slice);
    }

    fn wallet_payment(&mut self, slice: &mut Slice, at: Timestamp) {
        let Some(customer) = self.payer(700) else { return self.cash_in(slice, at) };
        let merchant = self.random.skewed(self.chart.merchants.len());
        let wanted = self.amount();
        let gross = self.affordable(customer, wanted);
        let (fee, tax, _) = Self::charges(gross);
        let now = self.slice;
        let chart = &mut self.chart;
        if gross <= chart.customers[customer].available && !chart.merchants[merchant].is_frozen(now) {
            chart.customers[customer].available -= gross;
            chart.merchants[merchant].available += gross - fee - tax;
        }
        let (payer, payee) = (&chart.customers[customer], &chart.merchants[merchant]);
        let mut transfers = vec![transfer(&payer.address, &payee.address, gross - fee - tax)];
        charge(&mut transfers, &payer.address, &chart.wallet_fees, fee);
        charge(&mut transfers, &payer.address, &chart.tax, tax);
        let shop = shop_of(&payee.address);
        let dimensions = dimensions(&[("country", payer.country), ("merchant", &shop)]);
        let post = PostEntry { dimensions, effective_at: Some(at), reference: Some(self.reference()), transfers, ..PostEntry::default() };
        self.push(slice, Kind::WalletPayment, |id| LedgerCommand::post_entry(post, id));
        self.remember(slice);
    }

    fn wallet_transfer(&mut self, slice: &mut Slice, at: Timestamp) {
        let Some(from) = self.payer(700) else { return self.cash_in(slice, at) };
        let count = self.chart.customers.len();
        let to = (from + 1 + self.random.below(count - 1)) % count;
        let wanted = self.amount();
        let amount = self.affordable(from, wanted);
        let fee = amount / 100;
        let chart = &mut self.chart;
        let fits = chart.customers[to].ceiling.is_none_or(|ceiling| chart.customers[to].available + amount - fee <= ceiling);
        if amount <= chart.customers[from].available && fits {
            chart.customers[from].available -= amount;
            chart.customers[to].available += amount - fee;
        }
        let mut transfers = vec![transfer(&chart.customers[from].address, &chart.customers[to].address, amount - fee)];
        charge(&mut transfers, &chart.customers[from].address, &chart.wallet_fees, fee);
        let dimensions = dimensions(&[("country", chart.customers[from].country)]);
        let post = PostEntry { dimensions, effective_at: Some(at), reference: Some(self.reference()), transfers, ..PostEntry::default() };
        self.push(slice, Kind::WalletTransfer, |id| LedgerCommand::post_entry(post, id));
    }

    fn payout(&mut self, slice: &mut Slice, at: Timestamp) {
        let provider = self.random.skewed(PROVIDERS.len());
        let merchant = self.random.skewed(self.chart.merchants.len());
        let wallet = &self.chart.merchants[merchant];
        let available = wallet.available;
        let mut amount = available * (10 + self.random.below(50) as i64) / 100 / 25 * 25;
        if self.random.per_mille(25) {
            amount = available + 1_000;
        }
        if amount < 500 {
            return self.collection(slice, at);
        }
        let fee = amount / 100;
        let ends = match self.random.below(100) {
            0..76 => Ending::Posted,
            76..82 => Ending::PostedInPart,
            82..93 => Ending::Voided,
            _ => Ending::Forgotten,
        };
        let chart = &mut self.chart;
        let now = self.slice;
        let possible = amount + fee <= available && !chart.merchants[merchant].is_frozen(now);
        if possible {
            chart.merchants[merchant].available -= amount + fee;
        }
        let wallet = &chart.merchants[merchant];
        let mut transfers = vec![transfer(&wallet.address, &chart.float[provider], amount)];
        charge(&mut transfers, &wallet.address, &chart.payout_fees, fee);
        let shop = shop_of(&wallet.address);
        let dimensions = dimensions(&[("country", wallet.country), ("merchant", &shop), ("provider", PROVIDERS[provider])]);
        let expires_at = Some(at.saturating_add_secs(3_600 + 60 * self.random.below(30) as i64));
        let hold = Some(HoldTerms { expires_at });
        let post =
            PostEntry { dimensions, effective_at: Some(at), hold, reference: Some(self.reference()), transfers, ..PostEntry::default() };
        let id = self.push(slice, Kind::PayoutHeld, |id| LedgerCommand::post_entry(post, id));
        if possible {
            self.holds.push_back(Hold { id, due: now + 1, ends, merchant, amounts: [amount, fee] });
        }
    }

    fn refund(&mut self, slice: &mut Slice, at: Timestamp) {
        let provider = self.random.skewed(PROVIDERS.len());
        let merchant = self.random.skewed(self.chart.merchants.len());
        let chart = &mut self.chart;
        let wallet = &mut chart.merchants[merchant];
        let amount = (wallet.available / 20 / 25 * 25).min(25_000);
        if amount < 100 {
            return self.collection(slice, at);
        }
        if !wallet.is_frozen(self.slice) {
            wallet.available -= amount;
        }
        let transfers = vec![transfer(&wallet.address, &chart.receivable[provider], amount)];
        let shop = shop_of(&wallet.address);
        let dimensions = dimensions(&[("merchant", &shop), ("provider", PROVIDERS[provider]), ("reason", "refund")]);
        let post = PostEntry { dimensions, effective_at: Some(at), reference: Some(self.reference()), transfers, ..PostEntry::default() };
        self.push(slice, Kind::Refund, |id| LedgerCommand::post_entry(post, id));
    }

    fn reversal(&mut self, slice: &mut Slice) {
        if self.collections.is_empty() {
            return self.retry(slice);
        }
        let index = self.random.below(self.collections.len());
        let again = self.random.per_mille(100);
        let collected = if again { self.collections.get(index).copied() } else { self.collections.remove(index) };
        let Some(Collected { id, merchant, net }) = collected else { return };
        self.chart.merchants[merchant].available -= net;
        let reverse = ReverseEntry { reason: Some(text("entered twice")), ..ReverseEntry::default() };
        self.push(slice, Kind::Reversal, |_| LedgerCommand::entry(id, EntryAction::Reverse(reverse)));
    }

    fn retry(&mut self, slice: &mut Slice) {
        let Some(index) = (!self.recent.is_empty()).then(|| self.random.below(self.recent.len())) else { return };
        let Some(again) = self.recent.get(index).cloned() else { return };
        self.made += 1;
        slice.commands.push(again);
        slice.kinds.push(Kind::Retry);
    }

    fn reuse_key(&mut self, slice: &mut Slice) {
        let Some(earlier) = self.recent.back().map(|envelope| envelope.key.clone()) else { return };
        let transfers = vec![transfer(&self.chart.bank, &self.chart.capital, 1)];
        let post = PostEntry { transfers, ..PostEntry::default() };
        let envelope = CommandEnvelope::new(LedgerCommand::post_entry(post, &earlier), earlier, self.actor.clone());
        self.made += 1;
        slice.commands.push(envelope);
        slice.kinds.push(Kind::KeyReused);
    }

    /// A customer who has money, most of the time.
    fn payer(&mut self, tries: usize) -> Option<usize> {
        let count = self.chart.customers.len();
        let mut customer = self.random.below(count);
        for _ in 0..tries.min(12) {
            if self.chart.customers[customer].available >= 500 {
                return Some(customer);
            }
            customer = self.random.below(count);
        }
        None
    }

    /// What a customer can pay; now and then more, and then the engine has to say no.
    fn affordable(&mut self, customer: usize, wanted: i64) -> i64 {
        let available = self.chart.customers[customer].available;
        if self.random.per_mille(40) { available + wanted } else { wanted.min(available) }
    }

    fn charges(gross: i64) -> (i64, i64, i64) {
        let fee = gross / 100;
        (fee, fee / 10, gross / 200)
    }

    /// What a provider would call the payment.
    fn reference(&mut self) -> ShortText {
        text(&format!("T_{:08X}", self.random.draw() as u32))
    }

    /// Keeps the last command, for whoever asks again.
    fn remember(&mut self, slice: &Slice) {
        if let Some(last) = slice.commands.last() {
            self.recent.push_back(last.clone());
            if self.recent.len() > 32 {
                self.recent.pop_front();
            }
        }
    }

    fn settlement(&mut self) -> Slice {
        let mut slice = Slice::at(SETTLEMENT);
        for (index, provider) in PROVIDERS.into_iter().enumerate() {
            // All that it owes: the receivable's floor is what stops it.
            let everything = TransferAmount::UpTo(francs(1_000_000_000_000));
            let transfers = vec![TransferRequest {
                debit: self.chart.bank.clone(),
                credit: self.chart.receivable[index].clone(),
                amount: everything,
                reason: Some(text("settlement of the day")),
            }];
            let post = PostEntry {
                dimensions: dimensions(&[("provider", provider)]),
                effective_at: Some(instant(SETTLEMENT)),
                reference: Some(text(&format!("{provider}-2026-03-16"))),
                transfers,
                ..PostEntry::default()
            };
            self.push(&mut slice, Kind::Settlement, |id| LedgerCommand::post_entry(post, id));
        }
        slice
    }
}

impl Iterator for Day {
    type Item = Slice;

    fn next(&mut self) -> Option<Slice> {
        if !self.opening.is_empty() {
            let mut slice = Slice::at(OPENING);
            while slice.commands.len() < MOST
                && let Some((kind, command)) = self.opening.pop_front()
            {
                let command = match command {
                    // An entry's id is made from its command's.
                    LedgerCommand::Entry { action, .. } => {
                        self.push(&mut slice, kind, |id| LedgerCommand::Entry { id: EntryId::derived_from(id), action });
                        continue;
                    }
                    command => command,
                };
                self.push(&mut slice, kind, |_| command);
            }
            return Some(slice);
        }
        if let Some(slice) = self.business() {
            return Some(slice);
        }
        if self.settled {
            return None;
        }
        self.settled = true;
        Some(self.settlement())
    }
}

impl Slice {
    fn at(seconds: i64) -> Self {
        Self { at: instant(seconds), commands: Vec::new(), kinds: Vec::new() }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_day_has_as_many_commands_as_it_was_asked_for() {
        for length in [SHORTEST, 1_000, 12_345] {
            let slices: Vec<Slice> = Day::new(1, length).collect();
            let made: usize = slices.iter().map(|slice| slice.commands.len()).sum();
            assert_eq!(made, length);
            assert!(slices.iter().all(|slice| slice.commands.len() <= MOST && slice.commands.len() == slice.kinds.len()));
            assert!(slices.is_sorted_by_key(|slice| slice.at), "time does not go back");
        }
    }

    #[test]
    fn the_same_seed_is_the_same_day_and_another_is_another() {
        let fingerprints = |seed| -> Vec<_> {
            Day::new(seed, 2_000)
                .flat_map(|slice| slice.commands.into_iter().map(|envelope| (envelope.key, envelope.fingerprint)))
                .collect()
        };
        assert_eq!(fingerprints(7), fingerprints(7));
        assert_ne!(fingerprints(7), fingerprints(8));
    }

    #[test]
    fn everything_that_can_happen_happens() {
        let mut kinds: Vec<Kind> = Day::new(1, 20_000).flat_map(|slice| slice.kinds).collect();
        kinds.sort_unstable();
        kinds.dedup();
        assert_eq!(kinds.len(), 16, "{kinds:?}");
    }
}
