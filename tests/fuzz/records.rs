//! Records: what is read as a record of today is written again as the same bytes.

use cauri_event_schemas::record::Envelope;
use cauri_event_schemas::{canonical, examples, registry};

use crate::cases;
use crate::mutation::changed;

#[test]
fn a_changed_record_is_refused_or_is_another_record_byte_for_byte() {
    let samples: Vec<Vec<u8>> = examples::examples().iter().map(|example| example.record.to_bytes()).collect();
    cases(20_000, |random| {
        let which = random.usize(..samples.len());
        let bytes = changed(random, &samples[which]);
        let Ok(envelope) = Envelope::parse(&bytes) else { return };
        let is_current = registry::find(&envelope.event_type).is_some_and(|known| known.current == envelope.schema);
        let Ok(events) = envelope.decode() else { return };
        if is_current && canonical::check(&bytes).is_ok() {
            let again: Vec<String> = events.iter().map(|event| String::from_utf8_lossy(&event.to_bytes()).into_owned()).collect();
            assert_eq!(again, [String::from_utf8_lossy(&bytes)], "a record is read that would be written otherwise");
        }
    });
}
