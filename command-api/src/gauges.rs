//! What Prometheus reads of the engine and of the journal.

use cauri_event_store::health::{BlockedBy, IndexCondition};
use cauri_http::telemetry::recorder;
use metrics::{Gauge, counter, describe_counter, describe_gauge, gauge};
use metrics_exporter_prometheus::PrometheusHandle;

use crate::state::ApiState;

/// Says to Prometheus what each of them means.
pub(crate) fn describe() {
    describe_gauge!("cauri_not_ready", "1 for each reason why this process is not ready, 0 for the others");
    describe_gauge!("cauri_engine_running", "1 while the engine takes commands");
    describe_gauge!("cauri_engine_queue_commands", "Commands that wait, an entry counting as many as it has transfers");
    describe_gauge!("cauri_engine_queue_capacity", "Commands that may wait");
    describe_counter!("cauri_engine_accepted_total", "Commands answered as accepted");
    describe_counter!("cauri_engine_refused_total", "Commands answered as refused");
    describe_counter!("cauri_engine_batches_total", "Batches made durable");
    describe_counter!("cauri_engine_conflicts_total", "Batches decided again because another engine appended first");
    describe_gauge!("cauri_engine_accounts", "Accounts ever opened");
    describe_gauge!("cauri_engine_open_holds", "Holds that are neither posted, voided nor expired");
    describe_gauge!("cauri_engine_put_off", "What fell due and was put off until the next start, because a rule failed over it");
    describe_gauge!("cauri_clock_gap_seconds", "How far the clock leapt ahead while nobody accepted it; no command is decided. 0 else");
    describe_gauge!("cauri_journal_ahead_seconds", "How far the last record is ahead of the clock; 0 if it is not");
    describe_gauge!("cauri_journal_position", "The last position of the journal");
    describe_gauge!("cauri_journal_blocked", "1 while appends fail, by reason");
    describe_counter!("cauri_journal_damage_total", "How often a read met damage in the journal");
    describe_gauge!("cauri_journal_damaged_position", "The lowest position at which damage was met, 0 if none was");
    describe_gauge!("cauri_index_damaged", "1 while the look-up index is damaged and being rebuilt");
    describe_counter!("cauri_index_rebuilds_total", "How often the look-up index was rebuilt while serving");
    describe_gauge!("cauri_index_paused", "1 while the look-up index is not written because the space is reserved for the journal");
}

/// What Prometheus reads, with the gauges as of now.
pub(crate) fn scrape(state: &ApiState) -> String {
    let stats = state.engine.stats();
    let head = state.engine.store().follow().head();
    let journal = state.engine.journal().to_owned();
    let of_journal = |name: &'static str| -> Gauge { gauge!(name, "journal" => journal.clone()) };
    gauge!("cauri_http_requests_in_flight").set(state.telemetry.in_flight() as f64);
    for pool in [&state.commands, &state.reads] {
        gauge!("cauri_http_pool_taken", "pool" => pool.name()).set(pool.taken() as f64);
    }
    gauge!("cauri_http_body_bytes").set(state.body_memory.held() as f64);
    of_journal("cauri_engine_running").set(if state.engine.is_running() { 1.0 } else { 0.0 });
    of_journal("cauri_engine_queue_commands").set(stats.queued as f64);
    of_journal("cauri_engine_queue_capacity").set(stats.queue_capacity as f64);
    for (name, count) in [
        ("cauri_engine_accepted_total", stats.accepted),
        ("cauri_engine_refused_total", stats.refused),
        ("cauri_engine_batches_total", stats.batches),
        ("cauri_engine_conflicts_total", stats.conflicts),
    ] {
        counter!(name, "journal" => journal.clone()).absolute(count);
    }
    of_journal("cauri_engine_accounts").set(stats.state.accounts as f64);
    of_journal("cauri_engine_put_off").set(stats.put_off as f64);
    of_journal("cauri_engine_open_holds").set(stats.state.open_holds as f64);
    of_journal("cauri_clock_gap_seconds").set(stats.clock.gap.map_or(0, |gap| gap.micros) as f64 / 1e6);
    of_journal("cauri_journal_ahead_seconds").set(stats.clock.journal_ahead_micros as f64 / 1e6);
    of_journal("cauri_journal_position").set(head.position.get() as f64);
    let health = state.engine.store().health();
    let blocked = health.blocked();
    for by in BlockedBy::ALL {
        let is_so = blocked.as_ref().is_some_and(|blocked| blocked.by == by);
        gauge!("cauri_journal_blocked", "journal" => journal.clone(), "reason" => by.as_str()).set(f64::from(u8::from(is_so)));
    }
    let damage = health.damage();
    let (met, position) = damage.map_or((0, 0), |damage| (damage.met, damage.first.position.get()));
    counter!("cauri_journal_damage_total", "journal" => journal.clone()).absolute(met);
    of_journal("cauri_journal_damaged_position").set(position as f64);
    of_journal("cauri_index_damaged")
        .set(f64::from(u8::from(matches!(health.index(), IndexCondition::Rebuilding { .. } | IndexCondition::RebuildFailed { .. }))));
    counter!("cauri_index_rebuilds_total", "journal" => journal.clone()).absolute(health.index_rebuilds());
    of_journal("cauri_index_paused").set(f64::from(u8::from(health.paused().is_some())));
    recorder().map(PrometheusHandle::render).unwrap_or_default()
}
