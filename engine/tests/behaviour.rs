//! What an engine does with commands, stores, clocks and other engines.

mod story;

mod behaviour {
    mod bulk;
    mod failures;
    mod holds;
    mod idempotency;
    mod leaps;
    mod loading;
    mod queue;
    mod recovery;
    mod sharing;
    mod time;
    mod unit_of_work;
    mod versions;
}
