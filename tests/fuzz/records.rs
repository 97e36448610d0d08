//! Records: what the audit reads without a finding is a record that would be written as the same bytes.

use cauri_event_schemas::record::Envelope;
use cauri_event_schemas::{Position, examples, registry};
use cauri_replay_tools::reading::{Body, RawBatch, Seed, read};

use crate::cases;
use crate::mutation::changed;

#[test]
fn a_changed_record_is_refused_or_is_another_record_byte_for_byte() {
    let examples = examples::examples().into_iter().zip(1..);
    let samples: Vec<_> = examples.map(|(example, position)| (Position::new(position), example.bytes)).collect();
    cases(20_000, |random| {
        let which = random.usize(..samples.len());
        let (position, original) = &samples[which];
        let bytes = changed(random, original);
        // Neither reader may break, whatever it is.
        let decoded = Envelope::parse(&bytes).and_then(|envelope| {
            let is_current = registry::find(&envelope.event_type).is_some_and(|known| known.version == envelope.schema);
            let of_ledger = envelope.clone().decode::<cauri_domain::Ledger>();
            let written = of_ledger.map(|events| events.iter().map(|event| event.to_bytes()).collect::<Vec<_>>());
            let of_market = || Ok(envelope.decode::<cauri_domain::market::Market>()?.iter().map(|event| event.to_bytes()).collect());
            Ok((is_current, written.or_else(|_| of_market())?))
        });
        let lines = [&bytes[..], b"\n"].concat();
        let raw = RawBatch { first: *position, last: *position, root: None, checksums: None, peaks: None, body: Body::Lines(lines) };
        let read = read(raw, &Seed::default());
        if let Some(newer) = &read.newer {
            assert!(decoded.is_err_and(|error| error.is_newer), "{}: the audit takes for newer what the decoder does not", newer.what);
        } else if read.findings.is_empty() {
            let (is_current, written) = decoded.expect("what the audit reads is decoded");
            let again: Vec<String> = written.iter().map(|bytes| String::from_utf8_lossy(bytes).into_owned()).collect();
            assert!(!is_current || again == [String::from_utf8_lossy(&bytes)], "the audit passes a record that is written as {again:?}");
        }
    });
}
