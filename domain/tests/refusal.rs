//! Refusal codes: their order is the documentation of precedence, their text is for ever.

use std::collections::BTreeSet;

use cauri_domain::{Refusal, RefusalCode};

/// The order of precedence as the rules state it.
const DOCUMENTED: &str = "idempotency_key_reused, journal_closed, entry_exists, account_not_found, account_closed, account_frozen, \
    currency_mismatch, same_account, amount_not_positive, amount_scale, period_closed, effective_in_future_too_far, hold_not_found, \
    hold_already_posted, hold_already_voided, hold_expired, exceeds_hold, already_reversed, turnover_exhausted, below_floor, above_ceiling";

#[test]
fn the_documented_codes_stand_in_the_documented_order() {
    let documented: Vec<RefusalCode> = DOCUMENTED.split(", ").map(|code| code.parse().expect("a documented code exists")).collect();
    assert!(documented.is_sorted(), "{documented:?}");
}

#[test]
fn every_code_has_one_text_a_meaning_and_its_place() {
    let texts: BTreeSet<&str> = RefusalCode::ALL.iter().map(|code| code.as_str()).collect();
    assert_eq!(texts.len(), RefusalCode::ALL.len());
    assert!(RefusalCode::ALL.is_sorted());
    for code in RefusalCode::ALL {
        assert_eq!(code.as_str().parse(), Ok(*code));
        assert!(code.as_str().bytes().all(|byte| byte.is_ascii_lowercase() || byte == b'_'), "{code}");
        assert!(code.meaning().ends_with('.'), "{code}: a sentence");
    }
}

#[test]
fn a_refusal_is_written_with_its_code_and_read_back() {
    let refusal = Refusal::new(RefusalCode::BelowFloor, "a would have -1 XOF").at("/transfers/0");
    let json = serde_json::to_value(&refusal).expect("JSON");
    assert_eq!(json, serde_json::json!({ "code": "below_floor", "detail": "a would have -1 XOF", "pointer": "/transfers/0" }));
    assert_eq!(serde_json::from_value::<Refusal>(json).expect("own text"), refusal);
    assert!("below_Floor".parse::<RefusalCode>().is_err());
}
