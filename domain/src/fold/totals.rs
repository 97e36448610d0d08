//! The four totals of an account and what they mean on its normal side.

use serde::{Deserialize, Serialize};

use crate::account::{AccountKind, Side, Terms};

/// What was ever debited and credited on an account, and what open holds claim, in minor units.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize, Deserialize)]
pub struct Totals {
    /// Σ of posted debits.
    pub debits_posted: i64,
    /// Σ of posted credits.
    pub credits_posted: i64,
    /// Σ of debits that open holds claim.
    pub debits_pending: i64,
    /// Σ of credits that open holds claim.
    pub credits_pending: i64,
}

impl Totals {
    /// The most that an account may debit, or credit, in its whole life, counting open holds, in minor units: 2^61 − 1.
    /// Sums of two totals still fit the range. An entry that would exceed it is refused as `turnover_exhausted`.
    pub const MAX: i64 = i64::MAX / 4;

    /// Posted on the normal side minus posted on the other.
    pub fn balance(&self, kind: AccountKind) -> i128 {
        let (normal, other, ..) = self.sides(kind);
        normal - other
    }

    /// The balance minus what open holds may take: what a floor is compared with.
    pub fn available(&self, kind: AccountKind) -> i128 {
        self.balance(kind) - self.outgoing(kind)
    }

    /// The balance plus what open holds may bring: what a ceiling is compared with.
    pub fn expected(&self, kind: AccountKind) -> i128 {
        self.balance(kind) + self.incoming(kind)
    }

    /// What open holds may take.
    pub fn outgoing(&self, kind: AccountKind) -> i128 {
        self.sides(kind).3
    }

    /// What open holds may bring.
    pub fn incoming(&self, kind: AccountKind) -> i128 {
        self.sides(kind).2
    }

    /// How much more may be debited before the limit in that direction is reached; negative beyond it.
    pub fn room_to_debit(&self, terms: &Terms) -> i64 {
        self.room(terms, Side::Debit)
    }

    /// How much more may be credited before the limit in that direction is reached; negative beyond it.
    pub fn room_to_credit(&self, terms: &Terms) -> i64 {
        self.room(terms, Side::Credit)
    }

    /// What the fuller side will have counted once every open hold is posted.
    pub fn fuller_side(&self) -> i64 {
        self.debits_posted.saturating_add(self.debits_pending).max(self.credits_posted.saturating_add(self.credits_pending))
    }

    /// Within both limits, counting holds.
    pub fn within(&self, terms: &Terms) -> bool {
        terms.limits.floor.is_none_or(|floor| self.available(terms.kind) >= i128::from(floor.minor()))
            && terms.limits.ceiling.is_none_or(|ceiling| self.expected(terms.kind) <= i128::from(ceiling.minor()))
    }

    fn room(&self, terms: &Terms, side: Side) -> i64 {
        let room = if side == terms.kind.normal_side() {
            terms.limits.ceiling.map(|ceiling| i128::from(ceiling.minor()) - self.expected(terms.kind))
        } else {
            terms.limits.floor.map(|floor| self.available(terms.kind) - i128::from(floor.minor()))
        };
        room.map_or(i64::MAX, |room| i64::try_from(room).unwrap_or(i64::MAX))
    }

    /// (posted on the normal side, posted on the other, pending on the normal side, pending on the other)
    fn sides(&self, kind: AccountKind) -> (i128, i128, i128, i128) {
        let [debits, credits, held_debits, held_credits] =
            [self.debits_posted, self.credits_posted, self.debits_pending, self.credits_pending].map(i128::from);
        match kind.normal_side() {
            Side::Debit => (debits, credits, held_debits, held_credits),
            Side::Credit => (credits, debits, held_credits, held_debits),
        }
    }
}
