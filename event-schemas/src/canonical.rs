//! Canonical JSON after RFC 8785: one value, one text; what is stored is what is hashed.
//!
//! Cauri's records hold objects, arrays, strings, booleans, null and integers below 2^53; no other numbers
//! (amounts are strings), so the standard's number formatting reduces to plain digits.

use serde_json::Value;

/// Why a text is not canonical JSON.
#[derive(Debug, thiserror::Error)]
pub enum NotCanonical {
    /// It is no JSON at all.
    #[error("not JSON: {0}")]
    Json(#[from] serde_json::Error),
    /// A number that is not an integer below 2^53 in size.
    #[error("the number {0} is not an integer below 2^53")]
    Number(String),
    /// The same value has another canonical text.
    #[error("the same value is written otherwise in canonical JSON, from byte {0} on")]
    Differs(usize),
}

/// The canonical text of a value.
pub fn canonical(value: &Value) -> Result<Vec<u8>, NotCanonical> {
    let mut out = Vec::new();
    write_value(&mut out, value)?;
    Ok(out)
}

/// Checks that `bytes` are the canonical text of what they say.
pub fn check(bytes: &[u8]) -> Result<(), NotCanonical> {
    let value: Value = serde_json::from_slice(bytes)?;
    let canonical = canonical(&value)?;
    if canonical == bytes {
        return Ok(());
    }
    let differs = canonical.iter().zip(bytes).position(|(left, right)| left != right);
    Err(NotCanonical::Differs(differs.unwrap_or(canonical.len().min(bytes.len()))))
}

fn write_value(out: &mut Vec<u8>, value: &Value) -> Result<(), NotCanonical> {
    match value {
        Value::Null | Value::Bool(_) | Value::String(_) => cauri_domain::event::write_json(out, value),
        Value::Number(number) => match number.as_i64().filter(|number| number.unsigned_abs() < 1 << 53) {
            Some(integer) => out.extend_from_slice(integer.to_string().as_bytes()),
            None => return Err(NotCanonical::Number(number.to_string())),
        },
        Value::Array(items) => {
            out.push(b'[');
            for (index, item) in items.iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                write_value(out, item)?;
            }
            out.push(b']');
        }
        Value::Object(fields) => {
            // RFC 8785 sorts by UTF-16 code units; that is not the order of UTF-8 beyond the basic plane.
            let mut fields: Vec<(&String, &Value)> = fields.iter().collect();
            fields.sort_by(|(left, _), (right, _)| left.encode_utf16().cmp(right.encode_utf16()));
            out.push(b'{');
            for (index, (name, field)) in fields.into_iter().enumerate() {
                if index > 0 {
                    out.push(b',');
                }
                cauri_domain::event::write_json(out, name);
                out.push(b':');
                write_value(out, field)?;
            }
            out.push(b'}');
        }
    }
    Ok(())
}
