//! `account.opened` 1 → 2: limits got an object of their own, and being opened frozen became its own event.
//!
//! Version 1 was `{"ceiling"?, "currency", "floor"?, "frozen", "kind", "owner"?}` with bounds as plain decimals.

use serde::Deserialize;
use serde_json::{Value, json};

use super::Payload;

#[derive(Deserialize)]
#[serde(deny_unknown_fields)]
struct Version1 {
    ceiling: Option<String>,
    currency: String,
    floor: Option<String>,
    frozen: bool,
    kind: String,
    owner: Option<String>,
}

pub(super) fn upcast(data: Value) -> Result<Vec<Payload>, String> {
    let old: Version1 = serde_json::from_value(data).map_err(|error| error.to_string())?;
    let mut limits = json!({});
    for (name, bound) in [("ceiling", &old.ceiling), ("floor", &old.floor)] {
        if let Some(amount) = bound {
            limits[name] = json!({ "amount": amount, "currency": old.currency });
        }
    }
    let mut opened = json!({ "currency": old.currency, "kind": old.kind, "limits": limits });
    if let Some(owner) = old.owner {
        opened["owner"] = json!(owner);
    }
    let mut events = vec![Payload { name: "account.opened".into(), schema: 2, data: opened }];
    if old.frozen {
        events.push(Payload { name: "account.frozen".into(), schema: 1, data: json!({}) });
    }
    Ok(events)
}
