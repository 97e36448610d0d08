//! Consistency tokens: a changed one is refused, or is one that could have been given.

use cauri_engine::consistency::ConsistencyToken;
use cauri_event_schemas::Position;
use cauri_event_store::{Hash, Head};

use crate::cases;
use crate::mutation::changed_text;

#[test]
fn a_changed_consistency_token_is_refused_or_well_formed() {
    cases(20_000, |random| {
        let root = Hash(std::array::from_fn(|_| random.u8(..)));
        let token = ConsistencyToken::new("ledger", &Head { position: Position::new(random.u64(..)), root }).to_string();
        let changed = changed_text(random, &token);
        if let Ok(read) = changed.parse::<ConsistencyToken>() {
            assert_eq!(read.to_string().parse(), Ok(read), "{changed}");
        }
    });
}
