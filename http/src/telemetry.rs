//! What is counted of requests, and the recorder that shows it to Prometheus.

use std::collections::HashMap;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, OnceLock, PoisonError, RwLock};
use std::time::Duration;

use axum::http::{Method, StatusCode};
use metrics::{Counter, Histogram, counter, describe_counter, describe_gauge, describe_histogram, histogram};
use metrics_exporter_prometheus::{Matcher, PrometheusBuilder, PrometheusHandle};

/// Upper bounds of the histograms of durations, in seconds: from one write of the journal to the time-out.
const BUCKETS: &[f64] = &[0.0005, 0.001, 0.002_5, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1.0, 2.5, 5.0, 10.0, 30.0];

/// Where requests are counted. The handles are kept: looking a metric up by its labels costs more than counting.
#[derive(Debug, Default)]
pub struct Telemetry {
    routes: RwLock<HashMap<String, Route>>,
    in_flight: AtomicUsize,
}

/// A request that is being answered, until it is dropped.
#[derive(Debug)]
pub struct InFlight(Arc<Telemetry>);

impl Drop for InFlight {
    fn drop(&mut self) {
        self.0.in_flight.fetch_sub(1, Ordering::Relaxed);
    }
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
    /// Counts a request for as long as it is being answered.
    #[must_use]
    pub fn enter(self: &Arc<Self>) -> InFlight {
        self.in_flight.fetch_add(1, Ordering::Relaxed);
        InFlight(Arc::clone(self))
    }

    /// Requests that are being answered, those included whose bodies have not arrived.
    pub fn in_flight(&self) -> usize {
        self.in_flight.load(Ordering::Relaxed)
    }

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
        Some(handle)
    };
    RECORDER.get_or_init(install).as_ref()
}
