//! From a bearer token to a principal: the signature, the times, issuer, audience and roles.

use std::collections::HashMap;
use std::sync::{Arc, PoisonError, RwLock};
use std::time::{SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cauri_domain::ids::Caller;
use cauri_domain::reach::Reach;
use cauri_domain::text::ShortText;
use jsonwebtoken::errors::ErrorKind;
use jsonwebtoken::{Algorithm, Validation};
use serde::Deserialize;
use sha2::{Digest, Sha256};

use crate::auth::challenge::AuthProblem;
use crate::auth::jwks::Jwks;
use crate::auth::role::{Permission, Role, Roles};
use crate::auth::subjects::Subjects;

/// What a subject must be to stand in a record behind its role.
pub(super) const SUBJECT: &str = "sub must have 1 to 247 characters and no control characters";
/// How far the issuer's clock and ours may be apart, in seconds.
const LEEWAY: u64 = 30;
/// A token with a few claims is one kilobyte. The bound keeps hashing and parsing cheap for whoever sends more.
const MAX_TOKEN_BYTES: usize = 8 * 1024;
/// Requests of one subject that may be answered at one time, unless configured otherwise: a quarter of all.
pub const REQUESTS_PER_SUBJECT: usize = 512;
/// Callers at one time are far fewer. Full means somebody is making tokens up at speed, and starting afresh is cheap.
const CACHE_CAPACITY: usize = 1024;

/// Whose tokens are accepted, and made out for whom.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Trust {
    /// What `iss` has to be.
    pub issuer: String,
    /// What `aud` has to name.
    pub audience: String,
    /// The claim that tells callers apart, whose idempotency keys must not meet: `sub`, or for example `client_id`.
    pub caller_claim: String,
}

impl Default for Trust {
    fn default() -> Self {
        Self { issuer: "cauri-dev".to_owned(), audience: "cauri".to_owned(), caller_claim: "sub".to_owned() }
    }
}

/// Somebody whose token was verified. It has at least one role.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Principal {
    subject: Arc<str>,
    caller: Caller,
    roles: Roles,
    actor: ShortText,
    reach: Option<Arc<Reach>>,
}

impl Principal {
    /// A principal of that name and those roles, whose idempotency keys count in the name of `caller`.
    ///
    /// # Errors
    /// When there is no role, or when `role:subject` could not stand in the journal: the subject is empty, has control
    /// characters, or is too long.
    pub fn new(subject: &str, caller: Caller, roles: Roles) -> Result<Self, AuthProblem> {
        let highest = roles.highest().ok_or(AuthProblem::NoKnownRole)?;
        let actor = format!("{highest}:{subject}").parse().ok().filter(|_| !subject.is_empty());
        let actor = actor.ok_or(AuthProblem::Malformed(SUBJECT))?;
        Ok(Self { subject: Arc::from(subject), caller, roles, actor, reach: None })
    }

    /// The same, limited to some accounts.
    #[must_use]
    pub fn within(self, reach: Option<Reach>) -> Self {
        Self { reach: reach.map(Arc::new), ..self }
    }

    /// The accounts that it is limited to; `None` where it is limited to none.
    #[must_use]
    pub const fn reach(&self) -> Option<&Arc<Reach>> {
        self.reach.as_ref()
    }

    /// The `sub` of the token.
    #[must_use]
    pub fn subject(&self) -> &str {
        &self.subject
    }

    /// In whose name the idempotency keys of its commands count.
    #[must_use]
    pub const fn caller(&self) -> &Caller {
        &self.caller
    }

    /// The subject, to be kept without a copy.
    #[must_use]
    pub const fn subject_shared(&self) -> &Arc<str> {
        &self.subject
    }

    /// The roles of the token that Cauri knows.
    #[must_use]
    pub const fn roles(&self) -> Roles {
        self.roles
    }

    /// Whether the roles grant `permission`.
    #[must_use]
    pub fn may(&self, permission: Permission) -> bool {
        self.roles.may(permission)
    }

    /// Nothing when the roles grant `permission`.
    ///
    /// # Errors
    /// When they do not.
    pub fn require(&self, permission: Permission) -> Result<(), AuthProblem> {
        if self.may(permission) { Ok(()) } else { Err(AuthProblem::RoleNotSufficient(permission)) }
    }

    /// How the journal names the principal: its highest role and its subject, such as `operator:alice`.
    #[must_use]
    pub const fn actor(&self) -> &ShortText {
        &self.actor
    }
}

/// Verifies tokens against the issuer's keys and remembers, for a while, those it has verified.
#[derive(Debug)]
pub struct Verifier {
    keys: Jwks,
    trust: Trust,
    validation: Validation,
    cache: RwLock<Cache>,
    requests: Arc<Subjects>,
    /// Taken by the one request that has the keys read again; see [`crate::auth::layer::AuthState::authorize`].
    pub(crate) refresh_turn: Arc<tokio::sync::Mutex<()>>,
}

impl Verifier {
    /// A verifier of tokens signed by `keys`, issued by and for whom `trust` says.
    #[must_use]
    pub fn new(keys: Jwks, trust: &Trust) -> Self {
        let mut validation = Validation::new(Algorithm::RS256);
        validation.set_required_spec_claims(&["exp", "sub", "iss", "aud"]);
        validation.set_issuer(&[&trust.issuer]);
        validation.set_audience(&[&trust.audience]);
        // `Lifetime` judges both times, here and for what comes out of the cache, so that the two cannot disagree.
        validation.validate_exp = false;
        validation.validate_nbf = false;
        let requests = Subjects::new(REQUESTS_PER_SUBJECT);
        Self { keys, trust: trust.clone(), validation, cache: RwLock::default(), requests, refresh_turn: Arc::default() }
    }

    /// Sets how many requests of one subject may be answered at one time.
    #[must_use]
    pub fn with_requests_per_subject(mut self, most: usize) -> Self {
        self.requests = Subjects::new(most);
        self
    }

    /// The requests that are being answered, by subject.
    #[must_use]
    pub const fn requests(&self) -> &Arc<Subjects> {
        &self.requests
    }

    /// Verifies a token with the keys as last read; [`crate::auth::layer::AuthState`] has them read again where one is
    /// unknown. It never blocks on input or output.
    ///
    /// # Errors
    /// When the token is not good, names no role that Cauri knows, or is signed with a key that was published since.
    pub fn verify_with_known_keys(&self, token: &str) -> Result<Principal, AuthProblem> {
        self.verify_at(token, now())
    }

    /// The issuer's keys, for whoever refreshes them on a timer.
    #[must_use]
    pub const fn keys(&self) -> &Jwks {
        &self.keys
    }

    pub(crate) fn verify_at(&self, token: &str, now: u64) -> Result<Principal, AuthProblem> {
        if token.len() > MAX_TOKEN_BYTES {
            return Err(AuthProblem::Malformed("the token is longer than 8192 bytes"));
        }
        let keys = self.keys.keys();
        let fingerprint: Fingerprint = Sha256::digest(token.as_bytes()).into();
        let remembered = {
            let cache = self.cache.read().unwrap_or_else(PoisonError::into_inner);
            cache.get(keys.generation, &fingerprint).cloned()
        };
        if let Some(verified) = remembered {
            verified.lifetime.check(now)?;
            return Ok(verified.principal);
        }

        let header = Header::of(token)?;
        if header.alg != "RS256" {
            return Err(AuthProblem::AlgorithmRefused);
        }
        if header.crit.is_some() {
            // RFC 7515 §4.1.11: an extension that must be understood and is not makes the token invalid.
            return Err(AuthProblem::Malformed("the token needs an extension that is not supported (crit)"));
        }
        let key_id = header.kid.ok_or(AuthProblem::Malformed("the header of the token names no key (kid)"))?;
        let key = keys.key(&key_id).ok_or(AuthProblem::UnknownKey)?;
        let claims = jsonwebtoken::decode::<Claims>(token, key, &self.validation).map_err(|error| problem_of(error.kind()))?.claims;
        let lifetime = Lifetime::of(&claims);
        lifetime.check(now)?;
        // A role that only a newer version knows grants nothing here, and does not spoil those that are known.
        let roles = claims.roles.iter().filter_map(|name| name.parse::<Role>().ok()).collect();
        let principal = Principal::new(&claims.sub, self.caller(&claims)?, roles)?.within(claims.reach()?);

        let verified = Verified { principal: principal.clone(), lifetime };
        let mut cache = self.cache.write().unwrap_or_else(PoisonError::into_inner);
        cache.insert(keys.generation, fingerprint, verified);
        Ok(principal)
    }

    /// The claim that tells callers apart has no substitute: with one, two callers could share their keys.
    fn caller(&self, claims: &Claims) -> Result<Caller, AuthProblem> {
        let id = match self.trust.caller_claim.as_str() {
            "sub" => Some(claims.sub.as_str()),
            other => claims.others.get(other).and_then(serde_json::Value::as_str),
        };
        let id = id.ok_or(AuthProblem::Malformed("the token lacks the claim by which this deployment tells callers apart"))?;
        let wrong = match self.trust.caller_claim.as_str() {
            "sub" => SUBJECT,
            _ => "the claim by which this deployment tells callers apart is empty, too long, or has control characters",
        };
        Caller::of_issuer(&self.trust.issuer, id).map_err(|_| AuthProblem::Malformed(wrong))
    }

    #[cfg(test)]
    pub(crate) fn remembered(&self) -> usize {
        self.cache.read().unwrap_or_else(PoisonError::into_inner).verified.len()
    }
}

/// Seconds since 1970. A clock before that makes every token not valid yet or expired, which is the safe side.
fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).map_or(0, |since| since.as_secs())
}

/// A cryptographic hash, because whoever could make two tokens collide could borrow somebody's principal.
type Fingerprint = [u8; 32];

#[derive(Clone, Debug)]
struct Verified {
    principal: Principal,
    lifetime: Lifetime,
}

/// What one generation of keys vouched for. Only good tokens get in, so guessing does not push them out.
#[derive(Debug, Default)]
struct Cache {
    generation: u64,
    verified: HashMap<Fingerprint, Verified>,
}

impl Cache {
    fn get(&self, generation: u64, fingerprint: &Fingerprint) -> Option<&Verified> {
        if self.generation == generation { self.verified.get(fingerprint) } else { None }
    }

    fn insert(&mut self, generation: u64, fingerprint: Fingerprint, verified: Verified) {
        if generation < self.generation {
            return; // Verified with keys that have been replaced meanwhile: it must be verified again.
        }
        if generation > self.generation || self.verified.len() >= CACHE_CAPACITY {
            self.verified.clear();
            self.generation = generation;
        }
        self.verified.insert(fingerprint, verified);
    }
}

/// When a token is good, as the token says it.
#[derive(Clone, Copy, Debug)]
struct Lifetime {
    not_before: u64,
    expires: u64,
}

impl Lifetime {
    // A cast saturates, and what it rounds off is a fraction of a second. NaN cannot come out of JSON.
    fn of(claims: &Claims) -> Self {
        Self { not_before: claims.nbf.map_or(0, |seconds| seconds as u64), expires: claims.exp as u64 }
    }

    fn check(self, now: u64) -> Result<(), AuthProblem> {
        if now >= self.expires.saturating_add(LEEWAY) {
            return Err(AuthProblem::Expired);
        }
        if now.saturating_add(LEEWAY) < self.not_before {
            return Err(AuthProblem::NotYetValid);
        }
        Ok(())
    }
}

/// What is read of the header before there is a key. None of it is trusted: it only chooses among our own keys.
#[derive(Deserialize)]
struct Header {
    alg: String,
    kid: Option<String>,
    crit: Option<serde::de::IgnoredAny>,
}

impl Header {
    fn of(token: &str) -> Result<Self, AuthProblem> {
        let malformed = AuthProblem::Malformed("the token is not a signed JSON Web Token");
        let (header, _) = token.split_once('.').ok_or(malformed)?;
        let header = BASE64_URL_SAFE_NO_PAD.decode(header).map_err(|_| malformed)?;
        serde_json::from_slice(&header).map_err(|_| malformed)
    }
}

#[derive(Deserialize)]
struct Claims {
    sub: String,
    // RFC 7519 allows fractions of a second.
    exp: f64,
    nbf: Option<f64>,
    #[serde(default)]
    roles: Vec<String>,
    account_prefixes: Option<Vec<String>>,
    account_sets: Option<Vec<String>>,
    #[serde(flatten)]
    others: serde_json::Map<String, serde_json::Value>,
}

impl Claims {
    /// The accounts that the token is limited to. A claim that is there limits, also where it is empty; one that cannot be
    /// understood lets nobody in, because whoever wrote it meant a limit.
    fn reach(&self) -> Result<Option<Reach>, AuthProblem> {
        if self.account_prefixes.is_none() && self.account_sets.is_none() {
            return Ok(None);
        }
        let prefixes = self.account_prefixes.iter().flatten().map(|text| text.parse()).collect::<Result<Vec<_>, _>>();
        let sets = self.account_sets.iter().flatten().map(|text| text.parse()).collect::<Result<Vec<_>, _>>();
        let prefixes = prefixes.map_err(|_| AuthProblem::Malformed("account_prefixes must be a list of addresses of accounts"))?;
        let sets = sets.map_err(|_| AuthProblem::Malformed("account_sets must be a list of names of account sets"))?;
        Ok(Some(Reach::new(prefixes, sets)))
    }
}

fn problem_of(error: &ErrorKind) -> AuthProblem {
    match error {
        ErrorKind::InvalidSignature => AuthProblem::BadSignature,
        ErrorKind::InvalidIssuer => AuthProblem::WrongIssuer,
        ErrorKind::InvalidAudience => AuthProblem::WrongAudience,
        ErrorKind::MissingRequiredClaim(claim) if claim == "iss" => AuthProblem::WrongIssuer,
        ErrorKind::MissingRequiredClaim(claim) if claim == "aud" => AuthProblem::WrongAudience,
        ErrorKind::InvalidAlgorithm | ErrorKind::UnsupportedAlgorithm | ErrorKind::InvalidKeyFormat => AuthProblem::AlgorithmRefused,
        // The library may grow kinds. Whatever they are, the token did not pass.
        _ => AuthProblem::Malformed("the token is not a signed JSON Web Token with sub, exp, iss, aud and roles"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn verified() -> Verified {
        let roles = [Role::Reader].into_iter().collect();
        let principal = Principal::new("alice", Caller::of_issuer("test", "alice").expect("a caller"), roles).expect("a good principal");
        Verified { principal, lifetime: Lifetime { not_before: 0, expires: u64::MAX } }
    }

    fn fingerprint(number: usize) -> Fingerprint {
        Sha256::digest(number.to_be_bytes()).into()
    }

    #[test]
    fn the_cache_starts_afresh_when_it_is_full() {
        let mut cache = Cache::default();
        for number in 0..CACHE_CAPACITY {
            cache.insert(1, fingerprint(number), verified());
        }
        assert_eq!(cache.verified.len(), CACHE_CAPACITY);
        cache.insert(1, fingerprint(CACHE_CAPACITY), verified());
        assert_eq!(cache.verified.len(), 1);
        assert!(cache.get(1, &fingerprint(CACHE_CAPACITY)).is_some());
    }

    #[test]
    fn the_cache_holds_what_the_newest_keys_vouched_for_and_nothing_else() {
        let mut cache = Cache::default();
        cache.insert(1, fingerprint(1), verified());
        assert!(cache.get(2, &fingerprint(1)).is_none());
        cache.insert(2, fingerprint(2), verified());
        assert!(cache.get(2, &fingerprint(1)).is_none());
        cache.insert(1, fingerprint(3), verified());
        assert!(cache.get(2, &fingerprint(3)).is_none() && cache.get(1, &fingerprint(3)).is_none());
        assert!(cache.get(2, &fingerprint(2)).is_some());
    }
}
