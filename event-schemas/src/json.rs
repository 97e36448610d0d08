//! Texts in JSON, written with as little work as they need.

use cauri_domain::event::write_json;

/// Nearly all texts stand in JSON as they are, and that is seen at a glance.
fn stands_as_it_is(text: &[u8]) -> bool {
    text.iter().all(|byte| *byte >= b' ' && *byte != b'"' && *byte != b'\\')
}

/// Appends a text as a JSON string.
pub(crate) fn write_text(out: &mut Vec<u8>, text: &str) {
    if stands_as_it_is(text.as_bytes()) {
        out.push(b'"');
        out.extend_from_slice(text.as_bytes());
        out.push(b'"');
    } else {
        write_json(out, text);
    }
}

/// Escapes the text that was written from `start` on, as it stands between quotation marks.
pub(crate) fn escape_from(out: &mut Vec<u8>, start: usize) {
    if stands_as_it_is(&out[start..]) {
        return;
    }
    let text = String::from_utf8_lossy(&out[start..]).into_owned();
    let mut quoted = Vec::with_capacity(text.len() + 8);
    write_json(&mut quoted, &text);
    out.truncate(start);
    out.extend_from_slice(&quoted[1..quoted.len() - 1]);
}
