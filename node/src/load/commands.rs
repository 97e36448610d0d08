//! A file of commands: one JSON object a line, as the items of a bulk request.

use std::io::{self, BufRead};

use cauri_command_api::bulk::BulkItem;
use cauri_import::finding::BadLine;
use cauri_import::key::Content;
use cauri_import::line::lines;
use cauri_import::row::{Draft, Row};
use serde_json::{Map, Value};

use super::content;

/// The lines of a file as rows of one command each.
pub fn rows(reader: impl BufRead) -> impl Iterator<Item = io::Result<Row>> {
    lines(reader, |line, text| draft(line, text).map(|draft| vec![draft]).map_err(|detail| BadLine { line, detail }))
}

/// Whether a text is a command.
///
/// # Errors
/// When it is none, with what is wrong and what would be right.
pub fn check(text: &[u8]) -> Result<(), String> {
    parse(text).map(drop)
}

fn parse(text: &[u8]) -> Result<BulkItem, String> {
    BulkItem::parse(text).map_err(|problem| {
        let place = if problem.pointer.is_empty() { String::new() } else { format!("{}: ", problem.pointer) };
        // The line is the whole document, so that the document's own line number says nothing.
        let detail = problem.detail.replace(" at line 1 column ", " at character ");
        let is_no_command = problem.pointer.is_empty() && matches!(&*problem.code, "invalid_json" | "wrong_type");
        if is_no_command || problem.pointer == "/op" {
            format!("{place}{detail}; {WANTED}{}", hint(text))
        } else {
            format!("{place}{detail}")
        }
    })
}

fn draft(line: u64, text: &[u8]) -> Result<Draft, String> {
    let item = parse(text)?;
    let canonical = content::text(&item)?;
    let draft = Draft {
        line,
        op: content::op(&item),
        content: Content::of("command", canonical.as_bytes()),
        // A caller who gives a key compares what stands under it, and gets the command as it was written.
        command: if item.key.is_some() { without_key(text)? } else { canonical },
        own_key: item.key,
    };
    Ok(draft)
}

const WANTED: &str = "a line is one JSON object with `op`, as an item of POST /v1/bulk";

/// What somebody has probably done who gave this line.
fn hint(text: &[u8]) -> &'static str {
    if text.starts_with(b"{\"cauri_refused\"") {
        "; this is a file of refused commands: give the file that was loaded, and --retry-refused"
    } else if text.starts_with(b"step,type,amount") {
        "; a file of PaySim is given with --paysim"
    } else {
        ""
    }
}

fn without_key(text: &[u8]) -> Result<String, String> {
    let mut members: Map<String, Value> = serde_json::from_slice(text).map_err(|error| error.to_string())?;
    members.remove("idempotency_key");
    Ok(Value::Object(members).to_string())
}

#[cfg(test)]
mod tests {
    use cauri_import::row::Keyed;
    use cauri_import::source::SourceName;

    use super::*;

    fn read(text: &str) -> Vec<Row> {
        rows(text.as_bytes()).map(|row| row.expect("it is in memory")).collect()
    }

    fn details(text: &str) -> Vec<(u64, String)> {
        read(text).into_iter().filter_map(Result::err).map(|bad| (bad.line, bad.detail)).collect()
    }

    /// The keys of a file, without a row that is bad.
    fn keys(text: &str) -> Vec<String> {
        let mut keyed = Keyed::new(Some(SourceName::unnamed()));
        read(text).into_iter().flatten().flatten().filter_map(|draft| keyed.item(draft)).map(|item| item.key.to_string()).collect()
    }

    const FREEZE: &str = r#"{"op":"freeze_account","address":"a"}"#;

    #[test]
    fn the_key_of_a_line_is_frozen() {
        assert_eq!(
            keys(&format!("{FREEZE}\n{FREEZE}")),
            ["default:c0736db54c6f9c200dbeb960c40039d3:1", "default:c0736db54c6f9c200dbeb960c40039d3:2"]
        );
    }

    #[test]
    fn a_line_keeps_its_key_whatever_its_spelling_and_its_place() {
        let other = r#"{"op":"freeze_account","address":"b"}"#;
        let first = keys(&format!("{FREEZE}\n{other}\n{FREEZE}\n"));
        let again = keys(&format!(
            "\u{feff}not json\r\n\r\n{{ \"address\" : \"a\",\"op\":\"freeze_account\",\"reason\":null}}\r\n{other}\r\n\n{FREEZE}"
        ));
        assert_eq!(first, again);
    }

    #[test]
    fn a_line_with_a_key_keeps_it_and_its_spelling() {
        let line = r#"{"op":"post_entry","transfers":[{"debit":"a","credit":"b","amount":{"amount":"1.50","currency":"EUR"}}],"idempotency_key":"k"}"#;
        let draft = read(line).remove(0).expect("good").remove(0);
        assert_eq!(draft.own_key.as_ref().map(ToString::to_string), Some("k".to_owned()));
        assert!(draft.command.contains("1.50") && !draft.command.contains("idempotency_key"), "{}", draft.command);
    }

    #[test]
    fn a_bad_line_is_named_with_what_would_be_right() {
        let found = details("{\"op\":\"freeze_account\"}\nnot json\n{}\n[]\n{\"cauri_refused\":1}\nstep,type,amount\n");
        assert_eq!(found[0], (1, "/address: missing field `address`".to_owned()));
        for (line, detail) in &found[1..] {
            assert!(detail.contains("a line is one JSON object with `op`"), "{line}: {detail}");
        }
        assert!(found[1].1.contains("at character"), "{:?}", found[1]);
        assert!(found[4].1.contains("--retry-refused") && found[5].1.contains("--paysim"), "{found:?}");
    }
}
