//! Money: exact, never rounded by accident, one text for one value.

use std::str::FromStr;

use cauri_domain::limits::{Limits, UncheckedLimits};
use cauri_domain::money::{Currency, MAX_EXPONENT, MAX_MINOR, Money, MoneyError, Rounding, UncheckedMoney, decimal_string};
use cauri_domain::{Refusal, RefusalCode};
use proptest::prelude::*;
use rust_decimal::Decimal;
use serde_json::json;

fn currency(code: &str) -> Currency {
    code.parse().expect("a currency of the table")
}

fn decimal(text: &str) -> Decimal {
    decimal_string::parse(text).expect("a decimal string")
}

fn money(amount: &str, code: &str) -> Money {
    Money::new(decimal(amount), currency(code)).expect("money")
}

fn xof(minor: i64) -> Money {
    Money::from_minor(minor, Currency::XOF)
}

fn minors(parts: Option<Vec<Money>>) -> Vec<i64> {
    parts.expect("a split that can be made").iter().map(Money::minor).collect()
}

fn weights(texts: &[&str]) -> Vec<Decimal> {
    texts.iter().map(|text| decimal(text)).collect()
}

// Scale and text.

#[test]
fn more_digits_than_the_currency_has_are_refused_not_rounded() {
    for (amount, code) in [("10.5", "XOF"), ("0.1", "XAF"), ("1.005", "EUR"), ("1.0005", "TND"), ("0.000000001", "BTC")] {
        let refused = Money::new(decimal(amount), currency(code)).expect_err("too many digits");
        assert!(matches!(refused, MoneyError::Scale { .. }), "{amount} {code}: {refused}");
        assert_eq!(Refusal::from(refused).code, RefusalCode::AmountScale);
    }
}

#[test]
fn zeros_after_the_point_are_not_digits_too_many() {
    assert_eq!(money("10.000", "XOF"), xof(10));
    assert_eq!(money("10.000", "XOF").to_string(), "10 XOF");
    assert_eq!(money("1.50000000000000000000", "EUR").to_string(), "1.50 EUR");
}

#[test]
fn an_amount_is_written_with_all_the_digits_of_its_currency() {
    for (amount, code, text) in [("10", "EUR", "10.00"), ("10.5", "TND", "10.500"), ("1", "BTC", "1.00000000"), ("0", "USD", "0.00")] {
        assert_eq!(serde_json::to_value(money(amount, code)).expect("JSON"), json!({ "amount": text, "currency": code }));
    }
}

#[test]
fn minus_zero_is_zero_and_has_its_text() {
    for text in ["-0", "-0.00", "-0.000000"] {
        let zero = money(text, "EUR");
        assert_eq!(zero, Money::zero(Currency::EUR));
        assert_eq!(zero.to_string(), "0.00 EUR");
        assert!(zero.is_zero() && !zero.is_positive());
    }
    // Reading drops the sign of zero; a sum or a product may leave one.
    let mut negative = Decimal::ZERO;
    negative.set_sign_negative(true);
    assert_eq!(Money::new(negative, Currency::EUR).expect("zero").to_string(), "0.00 EUR");
    assert_eq!(Money::new(negative, Currency::XOF).expect("zero").to_string(), "0 XOF");
}

#[test]
fn more_than_one_transfer_may_move_is_refused_in_every_currency() {
    for currency in Currency::all() {
        assert_eq!(Money::new(Money::from_minor(MAX_MINOR, currency).amount(), currency).expect("the largest").minor(), MAX_MINOR);
        for beyond in [MAX_MINOR + 1, -MAX_MINOR - 1, i64::MAX, i64::MIN] {
            let refused = Money::new(Money::from_minor(beyond, currency).amount(), currency).expect_err("too large");
            assert_eq!(Refusal::from(refused).code, RefusalCode::AmountTooLarge);
        }
    }
    // Too large for the currency's scale to be written at all.
    let refused = Money::new(Decimal::MAX, currency("BTC")).expect_err("too large");
    assert!(matches!(refused, MoneyError::TooLarge { .. }));
}

#[test]
fn an_amount_has_one_reading_and_no_other_notation_is_one() {
    let refused = [
        "",
        "-",
        "+1",
        "1e3",
        "1E3",
        "1_000",
        "1,000",
        " 1",
        "1 ",
        "1.",
        ".5",
        "-.5",
        "--1",
        "1-",
        "1.2.3",
        "0x10",
        "NaN",
        "inf",
        "١",
        "123456789012345678901234567890",
        "0.12345678901234567890123456789",
        "1\u{0}",
    ];
    for text in refused {
        assert_eq!(decimal_string::parse(text), None, "{text:?}");
        let wire = json!({ "amount": text, "currency": "EUR" });
        assert!(serde_json::from_value::<UncheckedMoney>(wire.clone()).is_err(), "{wire}");
        assert!(serde_json::from_value::<Money>(wire.clone()).is_err(), "{wire}");
    }
    for (text, minor) in [("0", 0), ("-0.5", -50), ("007", 700), ("12.50", 1_250), ("9999999999999999.99", 999_999_999_999_999_999)] {
        assert_eq!(money(text, "EUR").minor(), minor);
    }
}

#[test]
fn an_amount_is_a_string_never_a_number() {
    for wire in [
        json!({ "amount": 10, "currency": "XOF" }),
        json!({ "amount": 10.5, "currency": "EUR" }),
        json!({ "amount": null, "currency": "XOF" }),
        json!({ "amount": "10" }),
        json!({ "amount": "10", "currency": "xof" }),
        json!({ "amount": "10", "currency": "ZZZ" }),
        json!({ "amount": "10", "currency": "XOF", "scale": 0 }),
        json!("10 XOF"),
    ] {
        assert!(serde_json::from_value::<Money>(wire.clone()).is_err(), "{wire}");
    }
}

// Currencies.

#[test]
fn the_table_of_currencies_is_sorted_so_that_every_code_is_found() {
    let codes: Vec<&str> = Currency::all().map(Currency::code).collect();
    assert!(codes.is_sorted_by(|left, right| left < right), "sorted, none twice");
    for currency in Currency::all() {
        assert_eq!(currency.code().parse(), Ok(currency));
        assert!(currency.exponent() <= MAX_EXPONENT);
        let wire = serde_json::to_value(currency).expect("JSON");
        assert_eq!(serde_json::from_value::<Currency>(wire).expect("own text"), currency);
    }
}

#[test]
fn no_currency_is_ever_taken_out_or_given_another_exponent() {
    // Amounts are stored with their code and scale; a code may only be added.
    let table: Vec<String> = Currency::all().map(|currency| format!("{currency} {}", currency.exponent())).collect();
    insta::assert_snapshot!(table.join("\n"));
}

#[test]
fn exponents_are_those_of_the_standard() {
    let known = [("XOF", 0), ("XAF", 0), ("JPY", 0), ("GNF", 0), ("EUR", 2), ("USD", 2), ("NGN", 2), ("MRU", 2), ("BZD", 2)];
    for (code, exponent) in known.into_iter().chain([("TND", 3), ("BHD", 3), ("USDC", 6), ("BTC", 8)]) {
        assert_eq!(currency(code).exponent(), exponent, "{code}");
    }
    assert_eq!((Currency::XOF, Currency::EUR, Currency::USD), (currency("XOF"), currency("EUR"), currency("USD")));
}

#[test]
fn an_unknown_currency_is_refused_by_name() {
    for code in ["", "xof", "XO", "XOFF", "CFA", "FCFA", "ZZZ", " XOF"] {
        assert_eq!(Currency::from_str(code).expect_err("unknown").0, code);
    }
}

#[test]
fn two_currencies_of_one_exponent_do_not_add() {
    let refused = money("1", "XOF").checked_add(money("1", "XAF")).expect_err("two currencies");
    assert_eq!(refused, MoneyError::CurrencyMismatch { left: Currency::XOF, right: currency("XAF") });
}

#[test]
fn a_sum_that_does_not_fit_is_an_error_not_a_wrap() {
    assert_eq!(xof(2).checked_add(xof(3)), Ok(xof(5)));
    assert_eq!(xof(2).checked_sub(xof(3)), Ok(xof(-1)));
    assert!(matches!(xof(i64::MAX).checked_add(xof(1)), Err(MoneyError::TooLarge { .. })));
    assert!(matches!(xof(i64::MIN).checked_sub(xof(1)), Err(MoneyError::TooLarge { .. })));
}

// Splitting (peer case 17: Numscript's figures).

#[test]
fn what_a_split_leaves_over_goes_one_unit_each_to_the_first_shares() {
    assert_eq!(minors(xof(15).split(&weights(&["80", "8", "12"]))), [13, 1, 1]);
    assert_eq!(minors(xof(100).split(&weights(&["60", "35.5", "4.5"]))), [61, 35, 4]);
    assert_eq!(minors(xof(77).split(&weights(&["1", "1"]))), [39, 38]);
}

#[test]
fn a_collection_of_25_000_is_split_as_in_the_worked_example() {
    // Worked example 2, a split: fee 1 %, tax 10 % of the fee, net split 70 / 25 / 5.
    let fee = xof(25_000).split(&weights(&["1", "99"])).expect("a split")[0];
    let tax = fee.split(&weights(&["10", "90"])).expect("a split")[0];
    let net = xof(25_000).checked_sub(fee).and_then(|rest| rest.checked_sub(tax)).expect("a net amount");
    assert_eq!((fee.minor(), tax.minor(), net.minor()), (250, 25, 24_725));
    assert_eq!(minors(net.split(&weights(&["70", "25", "5"]))), [17_308, 6_181, 1_236]);
}

#[test]
fn a_share_of_nothing_gets_nothing_not_even_what_is_left_over() {
    assert_eq!(minors(xof(1).split(&weights(&["0", "1", "1"]))), [0, 1, 0]);
    assert_eq!(minors(xof(7).split(&weights(&["0", "0", "5"]))), [0, 0, 7]);
}

#[test]
fn a_split_by_nothing_or_by_less_than_nothing_cannot_be_made() {
    for shares in [&[][..], &["0"], &["0", "0.00"], &["1", "-1"], &["3", "-1"]] {
        assert_eq!(xof(10).split(&weights(shares)), None, "{shares:?}");
    }
    assert_eq!(xof(-10).split(&weights(&["1", "1"])), None);
    assert_eq!(minors(xof(0).split(&weights(&["1", "2"]))), [0, 0]);
    assert_eq!(minors(xof(10).split(&weights(&["-0", "2"]))), [0, 10]);
}

#[test]
fn shares_with_many_digits_split_large_amounts_exactly() {
    // The first share is 592,281,505,192,281,503 and all but 6e-28 of one more: 28 digits would round it up.
    let shares = weights(&["0.5996850234000039365999999514", "0.4003149765999960634000000486"]);
    assert_eq!(minors(xof(987_654_321_987_654_321).split(&shares)), [592_281_505_192_281_504, 395_372_816_795_372_817]);
    let shares = weights(&["0.9999999999999999999999999999", "0.0000000000000000000000000001"]);
    assert_eq!(minors(xof(MAX_MINOR).split(&shares)), [MAX_MINOR, 0]);
    let shares = weights(&["0.0000000000000000000000000001", "0.9999999999999999999999999999"]);
    assert_eq!(minors(xof(MAX_MINOR).split(&shares)), [1, MAX_MINOR - 1]);
}

#[test]
fn weights_too_far_apart_to_compare_are_refused_not_guessed() {
    assert_eq!(xof(10).split(&weights(&["79228162514264337593543950335", "0.0000000000000000000000000001"])), None);
}

/// Weights as people write them, and some that no one would.
fn any_weights() -> impl Strategy<Value = Vec<Decimal>> {
    let of = |most: i128, scale: std::ops::RangeInclusive<u32>| {
        let weight = (0..=most, scale).prop_map(|(mantissa, scale)| Decimal::from_i128_with_scale(mantissa, scale));
        prop::collection::vec(weight, 1..8)
    };
    prop_oneof![of(1_000, 0..=2), of(100_000_000_000_000_000_000, 0..=16), of(79_228_162_514_264_337_593_543_950_335, 20..=28)]
}

fn any_currency() -> impl Strategy<Value = Currency> {
    prop::sample::select(Currency::all().collect::<Vec<_>>())
}

proptest! {
    #[test]
    fn parts_always_sum_to_the_whole_and_each_is_within_a_unit_of_exact(
        minor in prop_oneof![0_i64..1_000, 0..=MAX_MINOR],
        shares in any_weights(),
    ) {
        let total_is_zero = shares.iter().all(Decimal::is_zero);
        let Some(parts) = xof(minor).split(&shares) else {
            prop_assert!(total_is_zero, "{:?} can be split", shares);
            return Ok(());
        };
        prop_assert_eq!(parts.len(), shares.len());
        prop_assert_eq!(parts.iter().map(|part| i128::from(part.minor())).sum::<i128>(), i128::from(minor));
        // Exact in 1/total: |part × total − minor × share| < total, on numbers scaled to whole ones.
        let scaled: Vec<Wide> = shares.iter().map(|share| Wide::scaled(share, 28)).collect();
        let total = scaled.iter().fold(Wide::default(), |sum, share| sum.plus(share));
        for (part, share) in parts.iter().zip(&scaled) {
            let (given, exact) = (total.times(part.minor()), share.times(minor));
            prop_assert!(given.distance(&exact) <= total, "{} of {} for {:?}", part, minor, shares);
        }
    }

    #[test]
    fn money_and_its_text_are_one_to_one(minor in -MAX_MINOR..=MAX_MINOR, currency in any_currency()) {
        let amount = Money::from_minor(minor, currency);
        prop_assert_eq!(amount.minor(), minor);
        let text = serde_json::to_string(&amount).expect("JSON");
        prop_assert_eq!(serde_json::from_str::<Money>(&text).expect("own text"), amount);
        prop_assert_eq!(decimal_string::parse(&amount.amount().to_string()), Some(amount.amount()));
        prop_assert_eq!(amount.amount().scale(), currency.exponent());
    }

    #[test]
    fn zeros_appended_to_an_amount_change_neither_value_nor_text(minor in -MAX_MINOR..=MAX_MINOR, currency in any_currency(), zeros in 0_usize..6) {
        let amount = Money::from_minor(minor, currency);
        let point = if currency.exponent() == 0 && zeros > 0 { "." } else { "" };
        let longer = format!("{}{point}{}", amount.amount(), "0".repeat(zeros));
        prop_assert_eq!(Money::new(decimal(&longer), currency).expect("the same amount"), amount);
    }

    #[test]
    fn whatever_is_read_as_a_decimal_has_only_digits_a_sign_and_a_point(text in r"[-+0-9._eE ]{0,12}") {
        let plain = {
            let digits = text.strip_prefix('-').unwrap_or(&text);
            let mut parts = digits.split('.');
            let numeric = |part: Option<&str>| part.is_some_and(|part| !part.is_empty() && part.bytes().all(|byte| byte.is_ascii_digit()));
            numeric(parts.next()) && digits.split('.').skip(1).all(|part| numeric(Some(part))) && digits.split('.').count() <= 2
        };
        prop_assert_eq!(decimal_string::parse(&text).is_some(), plain, "{:?}", text);
    }

    #[test]
    fn a_conversion_is_the_exact_product_rounded_once(
        minor in -MAX_MINOR..=MAX_MINOR,
        mantissa in 0_i128..100_000_000_000_000,
        scale in 0_u32..=12,
        into in any_currency(),
    ) {
        let rate = Decimal::from_i128_with_scale(mantissa, scale);
        // In minor units of the target: minor × mantissa ÷ 10^(2 + scale − exponent), all within an i128.
        let places = 2 + i64::from(scale) - i64::from(into.exponent());
        let (numerator, denominator) = if places >= 0 {
            (i128::from(minor) * mantissa, 10_i128.pow(places as u32))
        } else {
            ((i128::from(minor) * mantissa).saturating_mul(10_i128.pow(places.unsigned_abs() as u32)), 1)
        };
        let down = numerator / denominator;
        let rest = (numerator % denominator).abs() * 2;
        let nearest = match rest.cmp(&denominator) {
            std::cmp::Ordering::Less => down,
            std::cmp::Ordering::Equal => down + (down % 2).abs() * numerator.signum(),
            std::cmp::Ordering::Greater => down + numerator.signum(),
        };
        for (rounding, expected) in [(Rounding::Down, down), (Rounding::HalfEven, nearest)] {
            match Money::from_minor(minor, Currency::EUR).convert(rate, into, rounding) {
                Ok(converted) => prop_assert_eq!(i128::from(converted.minor()), expected),
                Err(refused) => {
                    prop_assert!(matches!(refused, MoneyError::TooLarge { .. }), "{}", refused);
                    prop_assert!(expected.abs() > i128::from(MAX_MINOR), "{} fits", expected);
                }
            }
        }
    }
}

/// A natural number of 256 bits, least significant 32 bits first: exact where a decimal would round.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
struct Wide([u32; 12]);

impl Wide {
    /// `decimal × 10^places`, whole.
    fn scaled(decimal: &Decimal, places: u32) -> Self {
        let mantissa = decimal.mantissa().unsigned_abs();
        let mut wide = Wide::default();
        for (index, limb) in wide.0.iter_mut().take(4).enumerate() {
            *limb = (mantissa >> (32 * index)) as u32;
        }
        (decimal.scale()..places).fold(wide, |wide, _| wide.times(10))
    }

    fn plus(&self, other: &Self) -> Self {
        let mut carry = 0_u64;
        let mut sum = Wide::default();
        for (index, limb) in sum.0.iter_mut().enumerate() {
            let digit = u64::from(self.0[index]) + u64::from(other.0[index]) + carry;
            *limb = digit as u32;
            carry = digit >> 32;
        }
        assert_eq!(carry, 0, "wide enough");
        sum
    }

    fn times(&self, factor: i64) -> Self {
        let factor = u128::from(factor.unsigned_abs());
        let mut carry = 0_u128;
        let mut product = Wide::default();
        for (index, limb) in product.0.iter_mut().enumerate() {
            let digit = u128::from(self.0[index]) * factor + carry;
            *limb = digit as u32;
            carry = digit >> 32;
        }
        assert_eq!(carry, 0, "wide enough");
        product
    }

    fn distance(&self, other: &Self) -> Self {
        let (large, small) = if self > other { (self, other) } else { (other, self) };
        let mut borrow = 0_i64;
        let mut distance = Wide::default();
        for (index, limb) in distance.0.iter_mut().enumerate() {
            let digit = i64::from(large.0[index]) - i64::from(small.0[index]) - borrow;
            borrow = i64::from(digit < 0);
            *limb = digit.rem_euclid(1 << 32) as u32;
        }
        distance
    }
}

impl PartialOrd for Wide {
    fn partial_cmp(&self, other: &Self) -> Option<std::cmp::Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Wide {
    fn cmp(&self, other: &Self) -> std::cmp::Ordering {
        self.0.iter().rev().cmp(other.0.iter().rev())
    }
}

// Exchange (peer case 7).

#[test]
fn an_exchange_rounds_by_the_mode_that_is_named() {
    let rate = decimal("655.957");
    assert_eq!(money("100.00", "EUR").convert(rate, Currency::XOF, Rounding::Down), Ok(xof(65_595)));
    assert_eq!(money("100.00", "EUR").convert(rate, Currency::XOF, Rounding::HalfEven), Ok(xof(65_596)));
    assert_eq!(money("100.00", "USD").convert(decimal("82.42135"), currency("INR"), Rounding::HalfEven), Ok(money("8242.14", "INR")));
    assert_eq!(money("100.00", "USD").convert(decimal("82.42135"), currency("INR"), Rounding::Down), Ok(money("8242.13", "INR")));
    assert_eq!(xof(-3).convert(decimal("0.5"), Currency::XOF, Rounding::Down), Ok(xof(-1)), "towards zero, not down the number line");
    assert_eq!(xof(-3).convert(decimal("0.1"), Currency::XOF, Rounding::HalfEven), Ok(xof(0)), "and zero has no sign");
}

#[test]
fn halves_go_to_the_even_neighbour() {
    for (minor, expected) in [(1, 0), (3, 2), (5, 2), (7, 4), (-1, 0), (-3, -2)] {
        assert_eq!(xof(minor).convert(decimal("0.5"), Currency::XOF, Rounding::HalfEven), Ok(xof(expected)), "{minor} halves");
    }
}

#[test]
fn a_product_just_below_a_unit_is_rounded_once_not_twice() {
    // Exactly 592,281,505,192,281,503.9999999999999999999999999994; 28 digits would hold …504 and not round it.
    let (amount, rate) = (xof(987_654_321_987_654_321), decimal("0.5996850234000039365999999514"));
    assert_eq!(amount.convert(rate, Currency::XOF, Rounding::Down), Ok(xof(592_281_505_192_281_503)));
    assert_eq!(amount.convert(rate, Currency::XOF, Rounding::HalfEven), Ok(xof(592_281_505_192_281_504)));
}

#[test]
fn an_exchange_into_more_than_a_transfer_may_move_is_refused() {
    for (amount, rate) in [(xof(MAX_MINOR), "2"), (xof(MAX_MINOR), "79228162514264337593543950335")] {
        assert!(matches!(amount.convert(decimal(rate), currency("BTC"), Rounding::Down), Err(MoneyError::TooLarge { .. })));
    }
}

// Limits are money too.

#[test]
fn a_limit_is_a_plain_decimal_or_money_in_the_accounts_currency() {
    let limits: UncheckedLimits =
        serde_json::from_value(json!({ "floor": "-5000", "ceiling": { "amount": "2000000", "currency": "XOF" } })).expect("limits");
    assert_eq!(limits.check(Currency::XOF), Ok(Limits { floor: Some(xof(-5_000)), ceiling: Some(xof(2_000_000)) }));
    assert_eq!(Refusal::from(limits.check(Currency::EUR).expect_err("XOF")).code, RefusalCode::CurrencyMismatch);
    assert!(serde_json::from_value::<UncheckedLimits>(json!({ "floor": -5000 })).is_err());
}

#[test]
fn of_two_wrong_limits_the_first_by_precedence_is_named() {
    for (floor, ceiling, code) in [
        (json!("0.5"), json!({ "amount": "1", "currency": "EUR" }), RefusalCode::CurrencyMismatch),
        (json!("-2000000000000000000"), json!("0.5"), RefusalCode::AmountScale),
        (json!("1"), json!("2000000000000000000"), RefusalCode::AmountTooLarge),
        (json!("1"), json!("-1"), RefusalCode::InvalidLimits),
    ] {
        let limits: UncheckedLimits = serde_json::from_value(json!({ "floor": floor, "ceiling": ceiling })).expect("limits");
        let refused = Refusal::from(limits.check(Currency::XOF).expect_err("wrong limits"));
        assert_eq!(refused.code, code, "{limits:?}");
    }
}
