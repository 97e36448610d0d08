//! What happens in a day, in a person's words.

/// What a command of the day is, in a person's words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, PartialOrd, Ord)]
pub enum Kind {
    /// An account is opened.
    Opening,
    /// Capital comes in and goes to the providers' floats.
    Funding,
    /// A customer pays a merchant through a provider.
    Collection,
    /// The same, split between three merchants, 70/25/5.
    SplitCollection,
    /// A customer puts money into a wallet.
    CashIn,
    /// A customer pays a merchant from a wallet.
    WalletPayment,
    /// A customer sends money to another one.
    WalletTransfer,
    /// A merchant's money is held for a payout.
    PayoutHeld,
    /// The provider paid: the hold is posted, sometimes in part.
    PayoutPosted,
    /// The provider did not pay: the hold is voided.
    PayoutVoided,
    /// A merchant gives money back.
    Refund,
    /// An operator undoes a collection.
    Reversal,
    /// An account is frozen or unfrozen.
    Investigation,
    /// A client that got no answer asks again, with the same key.
    Retry,
    /// A client uses a key twice, for two things.
    KeyReused,
    /// A provider pays what it owes to the bank.
    Settlement,
}

impl Kind {
    /// The name of the kind in the summary.
    pub fn name(self) -> &'static str {
        match self {
            Kind::Opening => "accounts opened",
            Kind::Funding => "capital and floats",
            Kind::Collection => "collections",
            Kind::SplitCollection => "split collections",
            Kind::CashIn => "cash in",
            Kind::WalletPayment => "wallet payments",
            Kind::WalletTransfer => "wallet transfers",
            Kind::PayoutHeld => "payouts held",
            Kind::PayoutPosted => "payouts posted",
            Kind::PayoutVoided => "payouts voided",
            Kind::Refund => "refunds",
            Kind::Reversal => "reversals",
            Kind::Investigation => "freezes and unfreezes",
            Kind::Retry => "retries of the same command",
            Kind::KeyReused => "keys used twice",
            Kind::Settlement => "settlements",
        }
    }
}
