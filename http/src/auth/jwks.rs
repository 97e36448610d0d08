//! The public keys of the issuer: read from a file or an address, found by key id, read again when a key is new.

use std::collections::HashMap;
use std::convert::Infallible;
use std::fmt;
use std::fs::File;
use std::io::{self, Read};
use std::path::{Path, PathBuf};
use std::str::FromStr;
use std::sync::{Arc, Mutex, PoisonError, RwLock, TryLockError};
use std::time::{Duration, Instant};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::DecodingKey;
use rsa::traits::PublicKeyParts;
use rsa::{BigUint, RsaPublicKey};
use serde::Deserialize;
use url::Url;

/// How often an unknown key id or a wrong signature may make us read the keys again, unless configured otherwise.
pub const REFRESH_INTERVAL: Duration = Duration::from_secs(30);

/// A key set of a few keys is a few kilobytes; more than this is not a key set.
const MAX_BYTES: u64 = 256 * 1024;
const CONNECT_TIME_OUT: Duration = Duration::from_secs(2);
/// The whole exchange. Requests with a new key wait for it, so it stays below what their callers will wait.
const TIME_OUT: Duration = Duration::from_secs(5);
/// An issuer may have moved its key set to another path. More than a few hops is a loop.
const MAX_REDIRECTS: usize = 3;
/// Below this a signature is within reach of an attacker (NIST SP 800-57).
const MIN_MODULUS_BITS: usize = 2048;

/// Where the issuer publishes its keys.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum JwksSource {
    /// A file, such as the one of the development issuer.
    File(PathBuf),
    /// An `http://` or `https://` address, such as the `jwks_uri` of an identity provider.
    Url(String),
}

impl FromStr for JwksSource {
    type Err = Infallible;

    fn from_str(text: &str) -> Result<Self, Infallible> {
        let is_url =
            ["http://", "https://"].iter().any(|scheme| text.get(..scheme.len()).is_some_and(|start| start.eq_ignore_ascii_case(scheme)));
        Ok(if is_url { Self::Url(text.to_owned()) } else { Self::File(PathBuf::from(text)) })
    }
}

impl From<&Path> for JwksSource {
    fn from(path: &Path) -> Self {
        Self::File(path.to_owned())
    }
}

impl fmt::Display for JwksSource {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::File(path) => path.display().fmt(out),
            Self::Url(url) => out.write_str(url),
        }
    }
}

/// Why the keys could not be read.
#[derive(Debug, thiserror::Error)]
pub enum JwksError {
    /// The file could not be read.
    #[error("cannot read the key set {path}")]
    Unreadable {
        /// The file.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// The address did not answer, or not with a key set that could be received.
    #[error("cannot fetch the key set {url}")]
    Unreachable {
        /// The address.
        url: String,
        /// What the client said.
        #[source]
        source: Box<ureq::Error>,
    },
    /// The address redirects to another origin, whose keys nobody chose to trust.
    #[error(
        "the key set {url} redirects to {to}: a redirect may only lead to the same scheme, host and port; \
         give the address of the key set itself"
    )]
    Redirected {
        /// The address that was asked.
        url: String,
        /// Where it leads.
        to: String,
    },
    /// The address redirects, and nowhere, or on and on.
    #[error("the key set {url} redirects more than {MAX_REDIRECTS} times, or to no address")]
    RedirectedNowhere {
        /// The address that was configured.
        url: String,
    },
    /// The address is not one.
    #[error("the address of the key set {url} is not valid: {source}")]
    NotAnAddress {
        /// The address.
        url: String,
        /// What the parser said.
        #[source]
        source: url::ParseError,
    },
    /// The file is larger than a key set can sensibly be.
    #[error("the key set {path} is larger than {MAX_BYTES} bytes")]
    TooLarge {
        /// The file.
        path: PathBuf,
    },
    /// What was read is not a JSON Web Key Set.
    #[error("the key set {at} is not a JSON Web Key Set")]
    Invalid {
        /// The file or address.
        at: JwksSource,
        /// What the parser said.
        #[source]
        source: serde_json::Error,
    },
    /// Two keys claim the same id, so a token cannot say which one it means.
    #[error("the key set {at} has two RS256 keys with the id {key_id:?}")]
    DuplicateKeyId {
        /// The file or address.
        at: JwksSource,
        /// The id they share.
        key_id: String,
    },
    /// There is nothing to verify a token with.
    #[error("the key set {at} has no RS256 key of at least {MIN_MODULUS_BITS} bits with a key id")]
    NoUsableKey {
        /// The file or address.
        at: JwksSource,
    },
}

/// The issuer's keys, by key id. Only RSA signature keys are kept, so no other kind can ever verify a token.
#[derive(Debug)]
pub struct Jwks {
    source: JwksSource,
    refresh_interval: Duration,
    keys: RwLock<Arc<KeySet>>,
    /// When the last refresh ended. Locked for as long as one runs, so there is only ever one.
    refreshed_at: Mutex<Option<Instant>>,
}

/// One reading of the key set.
#[derive(Debug)]
pub(crate) struct KeySet {
    /// Rises with every reading, so that what an older reading vouched for can be told apart.
    pub(crate) generation: u64,
    by_id: HashMap<String, DecodingKey>,
}

impl KeySet {
    pub(crate) fn key(&self, key_id: &str) -> Option<&DecodingKey> {
        self.by_id.get(key_id)
    }
}

impl Jwks {
    /// Reads the keys. It blocks, on the network too: call it off the async threads.
    ///
    /// # Errors
    /// When they cannot be read, or when there is none that could verify a token: a deployment that nobody can use
    /// should not start.
    pub fn load(source: JwksSource) -> Result<Self, JwksError> {
        if let JwksSource::Url(url) = &source
            && !is_https(url)
        {
            tracing::warn!(%url, "the key set is fetched without TLS: whoever controls the network can sign tokens");
        }
        let keys = read(&source, 1)?;
        if keys.by_id.is_empty() {
            return Err(JwksError::NoUsableKey { at: source });
        }
        Ok(Self { source, refresh_interval: REFRESH_INTERVAL, keys: RwLock::new(Arc::new(keys)), refreshed_at: Mutex::new(None) })
    }

    /// Sets how often an unknown key id or a wrong signature may cause a refresh.
    #[must_use]
    pub fn with_refresh_interval(mut self, interval: Duration) -> Self {
        self.refresh_interval = interval;
        self
    }

    /// Reads the keys again now, whatever was read when. It blocks.
    ///
    /// For a timer: a key the issuer withdrew stays accepted until the next reading, and no token announces that.
    ///
    /// # Errors
    /// When they cannot be read; the old keys then stay in force.
    pub fn refresh(&self) -> Result<(), JwksError> {
        let mut refreshed_at = self.refreshed_at.lock().unwrap_or_else(PoisonError::into_inner);
        let outcome = self.replace();
        *refreshed_at = Some(Instant::now());
        outcome
    }

    /// Whether [`Self::refresh_if_due`] would read the keys, or wait for somebody who does. It does not block.
    pub(crate) fn refresh_due(&self) -> bool {
        match self.refreshed_at.try_lock() {
            Ok(refreshed_at) => self.due(*refreshed_at),
            Err(TryLockError::Poisoned(poisoned)) => self.due(*poisoned.into_inner()),
            Err(TryLockError::WouldBlock) => true,
        }
    }

    /// Reads the keys again, unless that was done less than the interval ago. It blocks.
    ///
    /// Anybody can name a key that does not exist, or sign with a key of their own, so the interval is what keeps us from being turned against the
    /// issuer. It counts failed readings too: an issuer in trouble needs it most.
    pub(crate) fn refresh_if_due(&self) {
        let mut refreshed_at = self.refreshed_at.lock().unwrap_or_else(PoisonError::into_inner);
        if !self.due(*refreshed_at) {
            return; // Somebody refreshed while we waited for the lock.
        }
        if let Err(error) = self.replace() {
            let cause = std::error::Error::source(&error).map(ToString::to_string);
            tracing::warn!(%error, cause, "the key set could not be read again; the keys read before stay in force");
        }
        *refreshed_at = Some(Instant::now());
    }

    /// The keys as last read.
    pub(crate) fn keys(&self) -> Arc<KeySet> {
        Arc::clone(&self.keys.read().unwrap_or_else(PoisonError::into_inner))
    }

    fn due(&self, refreshed_at: Option<Instant>) -> bool {
        refreshed_at.is_none_or(|at| at.elapsed() >= self.refresh_interval)
    }

    /// The caller holds `refreshed_at`, so generations are given out one by one.
    fn replace(&self) -> Result<(), JwksError> {
        let keys = read(&self.source, self.keys().generation.saturating_add(1))?;
        if keys.by_id.is_empty() {
            // The issuer has the last word: it says that none of its keys is good any more.
            tracing::warn!(source = %self.source, "the key set has no usable key now: every token will be refused");
        }
        tracing::info!(source = %self.source, keys = keys.by_id.len(), "the key set was read again");
        *self.keys.write().unwrap_or_else(PoisonError::into_inner) = Arc::new(keys);
        Ok(())
    }
}

fn read(source: &JwksSource, generation: u64) -> Result<KeySet, JwksError> {
    let bytes = match source {
        JwksSource::File(path) => read_file(path)?,
        JwksSource::Url(url) => fetch(url)?,
    };
    let document: Document = serde_json::from_slice(&bytes).map_err(|error| JwksError::Invalid { at: source.clone(), source: error })?;
    let mut by_id = HashMap::new();
    for published in document.keys {
        // RFC 7517 §5: what is not understood is passed over, or an issuer could never add a new kind of key.
        let Some((key_id, key)) = usable(published) else { continue };
        if by_id.contains_key(&key_id) {
            return Err(JwksError::DuplicateKeyId { at: source.clone(), key_id });
        }
        by_id.insert(key_id, key);
    }
    Ok(KeySet { generation, by_id })
}

fn read_file(path: &Path) -> Result<Vec<u8>, JwksError> {
    let unreadable = |source| JwksError::Unreadable { path: path.to_owned(), source };
    let mut bytes = Vec::new();
    let limited = File::open(path).map_err(unreadable)?.take(MAX_BYTES + 1).read_to_end(&mut bytes);
    if limited.map_err(unreadable)? as u64 > MAX_BYTES {
        return Err(JwksError::TooLarge { path: path.to_owned() });
    }
    Ok(bytes)
}

/// Redirects are followed here and not by the client: it would follow them to any host, and whoever answers there could
/// sign tokens. A scheme that changes from https to http would let anybody on the network do so.
fn fetch(url: &str) -> Result<Vec<u8>, JwksError> {
    let ends = Instant::now() + TIME_OUT;
    let mut at = Url::parse(url).map_err(|source| JwksError::NotAnAddress { url: url.to_owned(), source })?;
    for _ in 0..=MAX_REDIRECTS {
        let unreachable = |source| JwksError::Unreachable { url: at.to_string(), source: Box::new(source) };
        let agent: ureq::Agent = ureq::Agent::config_builder()
            .timeout_global(Some(ends.saturating_duration_since(Instant::now()).max(Duration::from_millis(1))))
            .timeout_connect(Some(CONNECT_TIME_OUT))
            .max_redirects(0)
            .https_only(at.scheme() == "https")
            .user_agent("cauri")
            .build()
            .into();
        let asked = agent.get(at.as_str()).header("accept", "application/jwk-set+json, application/json").call();
        let mut response = asked.map_err(unreachable)?;
        if !matches!(response.status().as_u16(), 301 | 302 | 303 | 307 | 308) {
            return response.body_mut().with_config().limit(MAX_BYTES).read_to_vec().map_err(unreachable);
        }
        let location = response.headers().get("location").and_then(|location| location.to_str().ok());
        let to = location.and_then(|location| at.join(location).ok());
        let to = to.ok_or_else(|| JwksError::RedirectedNowhere { url: url.to_owned() })?;
        if to.origin() != at.origin() {
            return Err(JwksError::Redirected { url: at.to_string(), to: to.to_string() });
        }
        at = to;
    }
    Err(JwksError::RedirectedNowhere { url: url.to_owned() })
}

fn is_https(url: &str) -> bool {
    url.get(..6).is_some_and(|scheme| scheme.eq_ignore_ascii_case("https:"))
}

#[derive(Deserialize)]
struct Document {
    keys: Vec<serde_json::Value>,
}

#[derive(Deserialize)]
struct PublishedKey {
    kty: String,
    kid: String,
    #[serde(rename = "use")]
    usage: Option<String>,
    alg: Option<String>,
    n: String,
    e: String,
}

/// The key and its id, when it is an RSA key for RS256 signatures that is strong enough.
fn usable(published: serde_json::Value) -> Option<(String, DecodingKey)> {
    let published: PublishedKey = serde_json::from_value(published).ok()?;
    let for_signatures = published.usage.as_deref().is_none_or(|usage| usage == "sig");
    let for_rs256 = published.alg.as_deref().is_none_or(|algorithm| algorithm == "RS256");
    if published.kty != "RSA" || !for_signatures || !for_rs256 {
        return None;
    }
    let modulus = BASE64_URL_SAFE_NO_PAD.decode(&published.n).ok()?;
    let exponent = BASE64_URL_SAFE_NO_PAD.decode(&published.e).ok()?;
    match RsaPublicKey::new(BigUint::from_bytes_be(&modulus), BigUint::from_bytes_be(&exponent)) {
        Ok(key) if key.n().bits() >= MIN_MODULUS_BITS => Some((published.kid, DecodingKey::from_rsa_raw_components(&modulus, &exponent))),
        Ok(key) => {
            tracing::warn!(key = %published.kid, bits = key.n().bits(), "an RSA key is too short and is not used");
            None
        }
        Err(error) => {
            tracing::warn!(key = %published.kid, %error, "an RSA key is not usable");
            None
        }
    }
}
