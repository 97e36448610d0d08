//! What the examples of the API's commands are about: a merchant who is paid by mobile money.

use serde_json::{Value, json};

pub(crate) const AWA: &str = "merchants:awa:available";
pub(crate) const BEN: &str = "merchants:ben:available";
pub(crate) const NOBODY: &str = "merchants:nobody";
pub(crate) const RECEIVABLE: &str = "providers:wave:receivable";
pub(crate) const FLOAT: &str = "providers:wave:float";
pub(crate) const FEES: &str = "income:fees:collection";
pub(crate) const COLLECTION: &str = "01957f00-0000-7000-8000-000000000001";
pub(crate) const PAYOUT: &str = "01957f00-0000-7000-8000-000000000002";
pub(crate) const CANCELLED: &str = "01957f00-0000-7000-8000-000000000003";

/// The header with a command's key.
pub(crate) fn key(key: &'static str) -> (&'static str, &'static str) {
    ("Idempotency-Key", key)
}

pub(crate) fn xof(amount: &str) -> Value {
    json!({ "amount": amount, "currency": "XOF" })
}

/// A transfer in XOF.
pub(crate) fn moves(debit: &str, credit: &str, amount: &str) -> Value {
    json!({ "debit": debit, "credit": credit, "amount": xof(amount) })
}
