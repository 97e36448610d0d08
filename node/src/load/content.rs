//! The content of a command: what it says, however it is written. NOTE: keys of imports are made of it, and so it must stay
//! the same for ever; a test freezes samples.

use cauri_command_api::bulk::{Asked, BulkItem};
use cauri_domain::LedgerCommand;
use cauri_domain::entry::EntryAction;
use cauri_domain::ids::EntryId;
use cauri_domain::kind::KindCommand;
use cauri_event_schemas::canonical::canonical;
use cauri_event_schemas::fingerprint::declared;
use serde_json::{Map, Value, json};

/// What an item does, in one word.
pub fn op(item: &BulkItem) -> &'static str {
    match &item.asked {
        Asked::Post(_) => "post_entry",
        Asked::Command(command) => command.op(),
    }
}

/// The item as canonical JSON without its key: the command as it is declared, and the version that it expects. The server
/// reads it as the same command.
///
/// # Errors
/// When it has a number that canonical JSON does not know, with the reason.
pub fn text(item: &BulkItem) -> Result<String, String> {
    let bytes = match &item.asked {
        Asked::Command(command) => declared(command),
        // An id that is derived from the key is no part of what is declared.
        Asked::Post(post) => {
            let id = post.id.unwrap_or(EntryId::from_u128(0));
            declared(&LedgerCommand::entry(id, EntryAction::Post(post.clone())))
        }
    };
    let bytes = match item.expected_version {
        None => bytes,
        Some(version) => {
            let mut members: Map<String, Value> = serde_json::from_slice(&bytes).map_err(|error| error.to_string())?;
            members.insert("expected_version".into(), json!(version));
            canonical(&Value::Object(members)).map_err(|error| error.to_string())?
        }
    };
    String::from_utf8(bytes).map_err(|error| error.to_string())
}

#[cfg(test)]
mod tests {
    use super::*;

    fn item(text: &str) -> BulkItem {
        BulkItem::parse(text.as_bytes()).unwrap_or_else(|problem| panic!("{text}: {problem:?}"))
    }

    fn of(line: &str) -> String {
        text(&item(line)).unwrap_or_else(|reason| panic!("{line}: {reason}"))
    }

    const ID: &str = "0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f";

    /// Commands that say the same, in each group; the first spelling is the content, and frozen.
    fn groups() -> Vec<Vec<String>> {
        let texts = |texts: &[&str]| texts.iter().map(|text| text.replace("ID", ID)).collect();
        vec![
            texts(&[
                r#"{"dimensions":{"a":"1","b":"2"},"effective_at":"2026-03-16T08:00:00.000000Z","op":"post_entry","reference":"é","transfers":[{"amount":{"amount":"10.5","currency":"EUR"},"credit":"b","debit":"a"}]}"#,
                r#"{"op":"post_entry","transfers":[{"debit":"a","credit":"b","amount":{"currency":"EUR","amount":"010.50"},"reason":null}],"reference":"\u00e9","effective_at":"2026-03-16T09:00:00+01:00","dimensions":{"b":"2","a":"1"},"idempotency_key":"k","id":null}"#,
            ]),
            texts(&[
                r#"{"hold":{},"op":"post_entry","transfers":[{"credit":"b","debit":"a","up_to":{"amount":"0","currency":"XOF"}}]}"#,
                r#"{"op":"post_entry","hold":{"expires_at":null},"transfers":[{"credit":"b","debit":"a","up_to":{"amount":"-0.00","currency":"XOF"}}],"dimensions":{}}"#,
            ]),
            texts(&[
                r#"{"address":"a","currency":"EUR","kind":"asset","limits":{"floor":"0"},"op":"open_account"}"#,
                r#"{"op":"open_account","address":"a","currency":"EUR","kind":"asset","limits":{"floor":{"amount":"0.00","currency":"EUR"}},"metadata":{}}"#,
            ]),
            texts(&[
                r#"{"address":"a","currency":"EUR","kind":"asset","op":"open_account"}"#,
                r#"{"op":"open_account","address":"a","currency":"EUR","kind":"asset","limits":{}}"#,
            ]),
            texts(&[
                r#"{"address":"a","limits":{"ceiling":{"amount":"5","currency":"EUR"}},"op":"change_limits"}"#,
                r#"{"op":"change_limits","address":"a","limits":{"ceiling":{"amount":"5.00","currency":"EUR"},"floor":null}}"#,
            ]),
            texts(&[
                r#"{"amounts":[{"amount":"1.5","currency":"EUR"}],"id":"ID","op":"post_hold"}"#,
                r#"{"op":"post_hold","id":"ID","amount":{"amount":"1.50","currency":"EUR"}}"#,
            ]),
            texts(&[r#"{"id":"ID","op":"reverse_entry"}"#, r#"{ "op":"reverse_entry", "id":"ID", "at_original_date":false }"#]),
            texts(&[r#"{"id":"ID","op":"void_hold","reason":"late"}"#]),
            texts(&[r#"{"address":"a","op":"freeze_account"}"#]),
            texts(&[r#"{"address":"a","expected_version":3,"op":"unfreeze_account"}"#]),
            texts(&[r#"{"address":"a","op":"unfreeze_account"}"#]),
            texts(&[r#"{"address":"a","op":"reopen_account"}"#]),
            texts(&[r#"{"address":"a","op":"close_account","sweep_to":"b"}"#]),
        ]
    }

    #[test]
    fn spelling_does_not_matter_and_meaning_does() {
        let groups = groups();
        for group in &groups {
            for line in group {
                assert_eq!(of(line), group[0]);
            }
        }
        let mut firsts: Vec<&String> = groups.iter().map(|group| &group[0]).collect();
        firsts.sort();
        firsts.dedup();
        assert_eq!(firsts.len(), groups.len());
    }

    #[test]
    fn the_server_reads_the_content_as_the_same_command() {
        for group in groups() {
            for line in group {
                let (read, again) = (item(&line), item(&of(&line)));
                assert_eq!(op(&read), op(&again));
                assert_eq!(of(&of(&line)), of(&line));
                assert_eq!(read.expected_version, again.expected_version);
            }
        }
    }

    #[test]
    fn a_version_beyond_what_json_counts_is_refused() {
        let line = format!(r#"{{"op":"unfreeze_account","address":"a","expected_version":{}}}"#, u64::MAX);
        assert!(text(&item(&line)).is_err());
    }
}
