//! Old versions become the next version, one pure step per file, one event to one or more.

mod account_opened_v1;

use cauri_domain::event::{Decoded, EventSet};
use serde_json::Value;
use serde_json::value::RawValue;

use crate::registry::UndecodableEvent;

/// A payload on its way from an old version to today's.
#[derive(Clone, Debug, PartialEq)]
pub struct Payload {
    /// The type.
    pub name: String,
    /// The version of the shape.
    pub schema: u32,
    /// The payload.
    pub data: Value,
}

/// One step: from one version of one type to the next, possibly with events that became their own since.
struct Step {
    name: &'static str,
    from: u32,
    upcast: fn(Value) -> Result<Vec<Payload>, String>,
}

/// Every step, append only.
const STEPS: &[Step] = &[Step { name: "account.opened", from: 1, upcast: account_opened_v1::upcast }];

/// Takes a payload through its steps until all of it has the versions that this program writes.
pub fn to_current<E: EventSet>(name: &str, schema: u32, data: &RawValue) -> Result<Vec<E>, UndecodableEvent> {
    let undecodable = |reason: String| UndecodableEvent::new(name, schema, reason);
    let data = serde_json::from_str(data.get()).map_err(|error| undecodable(error.to_string()))?;
    let mut waiting = vec![Payload { name: name.to_owned(), schema, data }];
    let mut current = Vec::new();
    while let Some(payload) = waiting.pop() {
        match E::decode(&payload.name, payload.schema, &payload.data.to_string()) {
            Decoded::Event(event) => {
                current.push(event);
                continue;
            }
            Decoded::Wrong(error) => return Err(undecodable(error.to_string())),
            Decoded::Unknown => return Err(undecodable(format!("an upcaster made `{}`, which is no event type", payload.name))),
            Decoded::OtherVersion(_) => {}
        }
        let step = STEPS.iter().find(|step| step.name == payload.name && step.from == payload.schema);
        let step = step.ok_or_else(|| undecodable(format!("no step leads on from version {}", payload.schema)))?;
        // Later events of the result wait below the earlier ones, so that order is kept.
        waiting.extend((step.upcast)(payload.data).map_err(undecodable)?.into_iter().rev());
    }
    Ok(current)
}
