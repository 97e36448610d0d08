//! `Stream`: the events of one aggregate.

use super::text_scalar;

text_scalar!(
    Stream(cauri_event_schemas::ledger::StreamId),
    "Stream",
    "The events of one aggregate, as `type/id`: `account/merchants:awa:available`, `entry/0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f`, `command/…`, `journal/…`."
);
