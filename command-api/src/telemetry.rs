//! What is counted of requests, and the text in which Prometheus reads it.

use std::collections::HashMap;
use std::sync::{OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use cauri_event_store::health::{BlockedBy, IndexCondition};
use metrics::{Counter, Gauge, Histogram, counter, describe_counter, describe_gauge, describe_histogram, gauge, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

use crate::state::ApiState;

/// Upper bounds of the histograms of durations, in seconds: from one write of the journal to the time-out.
const BUCKETS: &[f64] = &[0.0005, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Where requests are counted. The handles are kept: looking a metric up by its labels costs more than counting.
#[derive(Debug, Default)]
pub struct Telemetry {
    routes: RwLock<HashMap<String, Route>>,
}

#[derive(Debug, Default)]
struct Route {
    answers: Vec<(Method, StatusCode, Answers)>,
}

#[derive(Clone)]
struct Answers {
    count: Counter,
    seconds: Histogram,
}

impl std::fmt::Debug for Answers {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str("Answers")
    }
}

impl Telemetry {
    /// Counts an answer of a route, which is a pattern such as `/v1/entries/{id}/post`, never an address that was called.
    pub fn answered(&self, route: &str, method: &Method, status: StatusCode, took: Duration) {
        let known = {
            let routes = self.routes.read().unwrap_or_else(PoisonError::into_inner);
            routes.get(route).and_then(|route| route.find(method, status))
        };
        let answers = known.unwrap_or_else(|| self.first(route, method, status));
        answers.count.increment(1);
        answers.seconds.record(took.as_secs_f64());
    }

    fn first(&self, route: &str, method: &Method, status: StatusCode) -> Answers {
        // A method can be any word: those that HTTP does not define share one label.
        let label = match *method {
            Method::GET | Method::POST | Method::PUT | Method::DELETE | Method::HEAD | Method::OPTIONS | Method::PATCH => method.as_str(),
            _ => "other",
        };
        let labels = [("method", label.to_owned()), ("route", route.to_owned())];
        let seconds = histogram!("cauri_http_request_seconds", &labels);
        let [method_label, route_label] = labels;
        let count = counter!("cauri_http_requests_total", &[method_label, route_label, ("status", status.as_str().to_owned())]);
        let answers = Answers { count, seconds };
        if label != "other" {
            let mut routes = self.routes.write().unwrap_or_else(PoisonError::into_inner);
            routes.entry(route.to_owned()).or_default().answers.push((method.clone(), status, answers.clone()));
        }
        answers
    }
}

impl Route {
    fn find(&self, method: &Method, status: StatusCode) -> Option<Answers> {
        self.answers.iter().find(|(m, s, _)| m == method && *s == status).map(|(_, _, answers)| answers.clone())
    }
}

/// The recorder of this process, installed when it is first asked for.
///
/// `None` where something else records metrics already: then it also shows them.
pub fn recorder() -> Option<&'static PrometheusHandle> {
    static RECORDER: OnceLock<Option<PrometheusHandle>> = OnceLock::new();
    let install = || {
        let builder = PrometheusBuilder::new().set_buckets_for_metric(Matcher::Suffix("_seconds".to_owned()), BUCKETS);
        let handle = match builder.map(PrometheusBuilder::install_recorder) {
            Ok(Ok(handle)) => handle,
            Ok(Err(error)) | Err(error) => {
                tracing::warn!(%error, "metrics are not recorded here");
                return None;
            }
        };
        describe_counter!("cauri_http_requests_total", "Answers by method, route and status");
        describe_histogram!("cauri_http_request_seconds", "From the head of a request to the head of its answer");
        describe_gauge!("cauri_http_requests_in_flight", "Requests that are being answered");
        describe_gauge!("cauri_http_pool_taken", "Turns taken of a pool: commands, or reads of the REST API");
        describe_gauge!("cauri_http_body_bytes", "Bytes of large request bodies in memory");
        describe_counter!("cauri_http_turned_away_total", "Requests turned away, by what there was too much of");
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
        describe_gauge!("cauri_clock_gap_seconds", "How far the clock leapt ahead while nobody accepted it; no command is decided. 0 else");
        describe_gauge!("cauri_journal_ahead_seconds", "How far the last record is ahead of the clock; 0 if it is not");
        describe_gauge!("cauri_journal_position", "The last position of the journal");
        describe_gauge!("cauri_journal_blocked", "1 while appends fail, by reason");
        describe_counter!("cauri_journal_damage_total", "How often a read met damage in the journal");
        describe_gauge!("cauri_journal_damaged_position", "The lowest position at which damage was met, 0 if none was");
        describe_gauge!("cauri_index_damaged", "1 while the look-up index is damaged and being rebuilt");
        describe_counter!("cauri_index_rebuilds_total", "How often the look-up index was rebuilt while serving");
        describe_gauge!("cauri_index_paused", "1 while the look-up index is not written because the space is reserved for the journal");
        Some(handle)
    };
    RECORDER.get_or_init(install).as_ref()
}

/// What Prometheus reads, with the gauges as of now.
pub fn scrape(state: &ApiState) -> String {
    let stats = state.engine.stats();
    let head = state.engine.store().follow().head();
    let journal = state.engine.journal().to_owned();
    let of_journal = |name: &'static str| -> Gauge { gauge!(name, "journal" => journal.clone()) };
    gauge!("cauri_http_requests_in_flight").set(state.in_flight() as f64);
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
