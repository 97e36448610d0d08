//! Metrics of the runner.

use std::time::Duration;

use metrics::{counter, gauge, histogram};

use crate::projector::Group;
use crate::read::{ProjectionState, ProjectionStatus};

/// One transaction of a group was committed.
pub(super) fn committed(group: &'static str, events: usize, took: Duration) {
    counter!("cauri_projection_events_total", "group" => group).increment(events as u64);
    histogram!("cauri_projection_batch_seconds", "group" => group).record(took.as_secs_f64());
}

/// Whether writing is paused because the space is reserved for the journal.
pub(super) fn paused(group: &'static str, is_paused: bool) {
    gauge!("cauri_projection_paused", "group" => group).set(f64::from(u8::from(is_paused)));
}

/// Bytes of the write-ahead log of a group's file.
pub(super) fn log_bytes(group: &'static str, bytes: u64) {
    gauge!("cauri_projection_log_bytes", "group" => group).set(bytes as f64);
}

/// The read models of a group are stopped, because the journal is corrupt.
pub(super) fn stopped(group: &Group) {
    group.models.iter().for_each(|model| gauge!("cauri_projection_stopped", "read_model" => model.name).set(1.0));
}

/// How far each read model is.
pub(super) fn show(statuses: &[ProjectionStatus]) {
    for status in statuses {
        if status.state == ProjectionState::Building {
            gauge!("cauri_projection_rebuild_position", "read_model" => status.name).set(status.position.get() as f64);
            continue;
        }
        gauge!("cauri_projection_position", "read_model" => status.name).set(status.position.get() as f64);
        gauge!("cauri_projection_lag_events", "read_model" => status.name).set(status.lag_events as f64);
        gauge!("cauri_projection_lag_seconds", "read_model" => status.name).set(status.lag_seconds);
        let stopped = matches!(status.state, ProjectionState::Stopped { .. });
        gauge!("cauri_projection_stopped", "read_model" => status.name).set(f64::from(u8::from(stopped)));
    }
}
