//! Where an amount is divided: what becomes of the rest.

use std::cmp::Ordering;

use schemars::JsonSchema;
use serde::{Deserialize, Serialize};

/// How an amount is rounded where rounding is allowed at all; the name goes into the event.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Serialize, Deserialize, JsonSchema)]
#[serde(rename_all = "snake_case")]
pub enum Rounding {
    /// Towards zero: in favour of the position account of an exchange.
    Down,
    /// To the nearest, a half to the even neighbour.
    HalfEven,
}

impl Rounding {
    /// 1 where a quotient with this rest becomes the next whole number.
    pub(super) fn up(self, quotient: i128, rest: u128, denominator: u128) -> i128 {
        match self {
            Rounding::Down => 0,
            Rounding::HalfEven => match (rest * 2).cmp(&denominator) {
                Ordering::Less => 0,
                Ordering::Equal => quotient % 2,
                Ordering::Greater => 1,
            },
        }
    }
}

/// `whole × numerator ÷ denominator`, exact: the quotient and what is left; `None` where it does not fit.
pub(super) fn multiply_divide(whole: u64, numerator: u128, denominator: u128) -> Option<(u128, u128)> {
    if let Some(product) = u128::from(whole).checked_mul(numerator) {
        return Some((product / denominator, product % denominator));
    }
    // The product has more than 128 bits: multiply and divide bit by bit, most significant first.
    let (mut quotient, mut rest) = (0_u128, 0_u128);
    for bit in (0..u64::BITS).rev() {
        let added = if whole >> bit & 1 == 1 { numerator } else { 0 };
        rest = rest.checked_mul(2)?.checked_add(added)?;
        quotient = quotient.checked_mul(2)?.checked_add(rest / denominator)?;
        rest %= denominator;
    }
    Some((quotient, rest))
}
