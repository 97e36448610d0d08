//! Origins of web pages that may use the API from a browser (CORS), and the check of a WebSocket's `Origin`.

use std::str::FromStr;
use std::sync::Arc;
use std::time::Duration;

use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, ETAG, HOST, IF_MATCH, LOCATION, ORIGIN, RETRY_AFTER, WWW_AUTHENTICATE};
use axum::http::request::Parts;
use axum::http::uri::{Authority, Scheme};
use axum::http::{HeaderMap, HeaderName, HeaderValue, Method, Uri};
use tower_http::cors::{AllowOrigin, CorsLayer};

use crate::headers::{
    CAURI_CAUSATION_ID, CAURI_CORRELATION_ID, CAURI_IMPORT, CAURI_ON_BEHALF_OF, CAURI_POSITION, IDEMPOTENCY_KEY, IDEMPOTENCY_REPLAYED,
    TRACEPARENT, X_REQUEST_ID,
};

/// How long a browser may remember the answer to a preflight request.
const PREFLIGHT_AGE: Duration = Duration::from_secs(600);

/// The origin of a web page: scheme, host and port, such as `https://app.example`.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Origin(HeaderValue);

/// What is not an origin.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
#[error(
    "{0:?} is not an origin: write scheme, host and, where it is not the default, port, in lower case and without a path, \
     such as https://app.example or http://localhost:3000"
)]
pub struct InvalidOrigin(String);

impl FromStr for Origin {
    type Err = InvalidOrigin;

    fn from_str(text: &str) -> Result<Self, InvalidOrigin> {
        let invalid = || InvalidOrigin(text.to_owned());
        let uri: Uri = text.parse().map_err(|_| invalid())?;
        let (Some(scheme), Some(authority)) = (uri.scheme_str(), uri.authority()) else { return Err(invalid()) };
        // Compared byte by byte with what a browser sends, which is exactly this form (RFC 6454 §6.2).
        let default_port = match (scheme, authority.port_u16()) {
            ("http", Some(80)) | ("https", Some(443)) => true,
            ("http" | "https", _) => false,
            _ => return Err(invalid()),
        };
        let exact = format!("{scheme}://{}", authority.as_str().to_ascii_lowercase());
        if default_port || exact != text || authority.as_str().contains('@') {
            return Err(invalid());
        }
        HeaderValue::from_str(text).map(Self).map_err(|_| invalid())
    }
}

/// The origins that may use the API from a browser. None by default.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Origins(Arc<[HeaderValue]>);

impl FromIterator<Origin> for Origins {
    fn from_iter<I: IntoIterator<Item = Origin>>(origins: I) -> Self {
        Self(origins.into_iter().map(|origin| origin.0).collect())
    }
}

impl Origins {
    /// Whether no other origin may use the API.
    #[must_use]
    pub fn is_empty(&self) -> bool {
        self.0.is_empty()
    }

    /// Whether a page of this origin may use the API.
    #[must_use]
    pub fn contains(&self, origin: &HeaderValue) -> bool {
        self.0.contains(origin)
    }

    /// Whether a WebSocket with these headers may be opened: by a program, which sends no `Origin`; by a page of this
    /// server; or by a page of a listed origin. A browser does not ask before it opens one, so the server must look.
    #[must_use]
    pub fn admit_websocket(&self, headers: &HeaderMap) -> bool {
        let mut origins = headers.get_all(ORIGIN).iter();
        match (origins.next(), origins.next()) {
            (None, _) => true,
            (Some(origin), None) => self.contains(origin) || headers.get(HOST).is_some_and(|host| same_host(origin, host)),
            (Some(_), Some(_)) => false,
        }
    }

    /// The layer that answers preflight requests and adds the headers of CORS to answers of `/graphql` and `/v1`.
    /// `None` where there is no origin: then browsers keep to their own rule, which lets no other origin read anything.
    #[must_use]
    pub fn cors(&self) -> Option<CorsLayer> {
        if self.is_empty() {
            return None;
        }
        let origins = self.clone();
        let allowed = AllowOrigin::predicate(move |origin: &HeaderValue, parts: &Parts| {
            let path = parts.uri.path();
            (path == "/graphql" || path.starts_with("/v1/")) && origins.contains(origin)
        });
        let layer = CorsLayer::new()
            .allow_origin(allowed)
            .allow_methods([Method::GET, Method::POST])
            .allow_headers([
                AUTHORIZATION,
                CONTENT_TYPE,
                IF_MATCH,
                IDEMPOTENCY_KEY,
                CAURI_ON_BEHALF_OF,
                CAURI_IMPORT,
                CAURI_CORRELATION_ID,
                CAURI_CAUSATION_ID,
                HeaderName::from_static("cauri-min-position"),
                X_REQUEST_ID,
                TRACEPARENT,
            ])
            .expose_headers([
                ETAG,
                LOCATION,
                RETRY_AFTER,
                WWW_AUTHENTICATE,
                IDEMPOTENCY_KEY,
                IDEMPOTENCY_REPLAYED,
                CAURI_POSITION,
                HeaderName::from_static("cauri-as-of-position"),
                X_REQUEST_ID,
            ])
            .max_age(PREFLIGHT_AGE);
        Some(layer)
    }
}

/// Whether the origin names the host that the request was sent to. The scheme is not compared: where TLS ends at a proxy
/// this process does not know it.
fn same_host(origin: &HeaderValue, host: &HeaderValue) -> bool {
    let (Ok(origin), Ok(host)) = (Uri::try_from(origin.as_bytes()), Authority::try_from(host.as_bytes())) else { return false };
    let Some(authority) = origin.authority() else { return false };
    let default = if origin.scheme() == Some(&Scheme::HTTPS) { 443 } else { 80 };
    let port = |authority: &Authority| authority.port_u16().unwrap_or(default);
    authority.host().eq_ignore_ascii_case(host.host()) && port(authority) == port(&host)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn an_origin_is_what_a_browser_sends_and_nothing_else() {
        for text in ["https://app.example", "http://localhost:3000", "http://[::1]:8080", "https://app.example:8443"] {
            assert!(text.parse::<Origin>().is_ok(), "{text}");
        }
        for text in [
            "",
            "*",
            "null",
            "app.example",
            "https://app.example/",
            "https://app.example/path",
            "HTTPS://app.example",
            "https://App.example",
            "https://app.example:443",
            "http://app.example:80",
            "ftp://app.example",
            "https://user@app.example",
            "https://app.example?x",
        ] {
            assert_eq!(text.parse::<Origin>(), Err(InvalidOrigin(text.to_owned())));
        }
    }

    #[test]
    fn a_websocket_is_opened_by_programs_by_own_pages_and_by_listed_origins() {
        let origins: Origins = ["https://app.example".parse().expect("an origin")].into_iter().collect();
        let admitted = |origins: &Origins, pairs: &[(HeaderName, &'static str)]| {
            let mut headers = HeaderMap::new();
            for (name, value) in pairs {
                headers.append(name, HeaderValue::from_static(value));
            }
            origins.admit_websocket(&headers)
        };
        let host = (HOST, "ledger.example");
        for (origin, listed, unlisted) in [
            ("https://app.example", true, false),
            ("https://ledger.example", true, true),
            ("https://LEDGER.example:443", true, true),
            ("http://ledger.example", true, true),
            ("https://ledger.example:8443", false, false),
            ("https://app.example:8443", false, false),
            ("http://app.example", false, false),
            ("https://ledger.example.evil.example", false, false),
            ("null", false, false),
        ] {
            assert_eq!(admitted(&origins, &[host.clone(), (ORIGIN, origin)]), listed, "{origin}");
            assert_eq!(admitted(&Origins::default(), &[host.clone(), (ORIGIN, origin)]), unlisted, "{origin}");
        }
        assert!(admitted(&origins, std::slice::from_ref(&host)), "a program sends no Origin");
        assert!(!admitted(&origins, &[host, (ORIGIN, "https://app.example"), (ORIGIN, "https://app.example")]));
    }
}
