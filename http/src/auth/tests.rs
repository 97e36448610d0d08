//! Tokens that are good, tokens that are not, and keys that change.

use std::fs;
use std::io::{Read as _, Write as _};
use std::net::TcpListener;
use std::path::Path;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, LazyLock};
use std::time::{Duration, Instant, SystemTime, UNIX_EPOCH};

use axum::Router;
use axum::body::Body;
use axum::http::header::{AUTHORIZATION, CONTENT_TYPE, WWW_AUTHENTICATE};
use axum::http::{Request, Response, StatusCode};
use axum::routing::{get, post};
use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{EncodePrivateKey as _, EncodePublicKey as _, LineEnding};
use serde_json::{Value, json};
use tempfile::TempDir;
use tower::ServiceExt as _;

use crate::auth::challenge::AuthProblem;
use crate::auth::issuer::{DevIssuer, IssuerError, publish};
use crate::auth::jwks::{Jwks, JwksError, JwksSource};
use crate::auth::layer::{AuthState, Authorized, Read, Write};
use crate::auth::role::{Permission, Role};
use crate::auth::token::{Principal, Trust, Verifier};

/// A key of an issuer, made once for all tests because making one takes longer than everything else here.
struct Key {
    private: RsaPrivateKey,
    signing: EncodingKey,
    id: String,
    key_set: String,
}

impl Key {
    fn generate() -> Self {
        let private = RsaPrivateKey::new(&mut rand::rngs::OsRng, 2048).expect("a key can be made");
        let pem = private.to_pkcs8_pem(LineEnding::LF).expect("a key can be encoded");
        let signing = EncodingKey::from_rsa_pem(pem.as_bytes()).expect("a key can be read");
        let (id, key_set) = publish(&private);
        Self { private, signing, id, key_set }
    }

    fn sign(&self, claims: &Value) -> String {
        self.sign_as(&self.id, claims)
    }

    fn sign_as(&self, key_id: &str, claims: &Value) -> String {
        let header = Header { kid: Some(key_id.to_owned()), ..Header::new(Algorithm::RS256) };
        jsonwebtoken::encode(&header, claims, &self.signing).expect("claims can be signed")
    }
}

static ISSUERS: LazyLock<Key> = LazyLock::new(Key::generate);
static STRANGERS: LazyLock<Key> = LazyLock::new(Key::generate);

fn now() -> u64 {
    SystemTime::now().duration_since(UNIX_EPOCH).expect("it is after 1970").as_secs()
}

/// Good claims of an operator; `with` replaces members, and removes those it sets to null.
fn claims(with: Value) -> Value {
    let mut claims = json!({
        "iss": "cauri-dev", "aud": "cauri", "sub": "alice", "roles": ["operator"], "exp": now() + 600,
    });
    let members = claims.as_object_mut().expect("an object");
    for (name, value) in with.as_object().expect("an object") {
        if value.is_null() {
            members.remove(name)
        } else {
            members.insert(name.clone(), value.clone())
        };
    }
    claims
}

/// A verifier that trusts the issuer's key, and the folder its key set lies in.
fn verifier() -> (AuthState, TempDir) {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("jwks.json");
    fs::write(&path, &ISSUERS.key_set).expect("the key set can be written");
    (verifier_of(&path), folder)
}

fn verifier_of(path: &Path) -> AuthState {
    verifier_with(Jwks::load(JwksSource::from(path)).expect("the key set loads"), &Trust::default())
}

fn verifier_with(keys: Jwks, trust: &Trust) -> AuthState {
    AuthState(Arc::new(Verifier::new(keys, trust)))
}

fn verify(verifier: &AuthState, token: &str) -> Result<Principal, AuthProblem> {
    tokio::runtime::Builder::new_current_thread().build().expect("a runtime").block_on(verifier.verify(token))
}

fn encoded(part: &Value) -> String {
    BASE64_URL_SAFE_NO_PAD.encode(part.to_string())
}

#[test]
fn a_good_token_gives_the_principal_it_names() {
    let (verifier, _folder) = verifier();
    let token = ISSUERS.sign(&claims(json!({"roles": ["reader", "operator", "barista"]})));
    let principal = verify(&verifier, &token).expect("the token is good");
    assert_eq!(principal.subject(), "alice");
    assert_eq!(principal.roles().iter().collect::<Vec<_>>(), [Role::Operator, Role::Reader]);
    assert_eq!(principal.actor().as_str(), "operator:alice");
    assert_eq!(verifier.0.remembered(), 1);
    assert_eq!(verify(&verifier, &token), Ok(principal), "remembered and verified are the same");
}

#[test]
fn a_subject_must_fit_into_a_record_behind_its_role() {
    let (verifier, _folder) = verifier();
    let named = |subject: &str| verify(&verifier, &ISSUERS.sign(&claims(json!({"sub": subject, "roles": ["operator"]}))));
    assert_eq!(named(&"ï".repeat(247)).expect("it fits").actor().as_str().chars().count(), 256);
    for subject in ["ï".repeat(248), String::new(), "two\nlines".to_owned()] {
        assert!(matches!(named(&subject), Err(AuthProblem::Malformed(why)) if why.starts_with("sub ")), "{subject:?}");
    }
}

#[test]
fn an_expired_token_is_refused_once_the_leeway_is_over() {
    let (verifier, _folder) = verifier();
    let verify = |expired_since: u64| verify(&verifier, &ISSUERS.sign(&claims(json!({"exp": now() - expired_since}))));
    assert!(verify(20).is_ok(), "the clocks may be apart by 30 seconds");
    assert_eq!(verify(31), Err(AuthProblem::Expired));
    assert_eq!(verify(86_400), Err(AuthProblem::Expired));
}

#[test]
fn a_token_is_not_good_before_its_time() {
    let (verifier, _folder) = verifier();
    let verify = |ahead: u64| verify(&verifier, &ISSUERS.sign(&claims(json!({"nbf": now() + ahead}))));
    assert!(verify(20).is_ok());
    assert_eq!(verify(60), Err(AuthProblem::NotYetValid));
}

#[test]
fn what_is_remembered_does_not_outlive_the_token() {
    let (verifier, _folder) = verifier();
    let expires = now() + 600;
    let token = ISSUERS.sign(&claims(json!({"exp": expires})));
    assert!(verifier.0.verify_at(&token, expires - 1).is_ok());
    assert_eq!(verifier.0.remembered(), 1);
    assert!(verifier.0.verify_at(&token, expires + 29).is_ok());
    assert_eq!(verifier.0.verify_at(&token, expires + 30), Err(AuthProblem::Expired));
    assert_eq!(verifier.0.remembered(), 1, "the answer above came from memory, not from verifying again");
}

#[test]
fn a_token_that_was_refused_is_not_remembered() {
    let (verifier, _folder) = verifier();
    let _ = verify(&verifier, &ISSUERS.sign(&claims(json!({"exp": now() - 100}))));
    let _ = verify(&verifier, &ISSUERS.sign(&claims(json!({"roles": []}))));
    let _ = verify(&verifier, &STRANGERS.sign_as(&ISSUERS.id, &claims(json!({}))));
    assert_eq!(verifier.0.remembered(), 0);
}

#[test]
fn a_token_signed_with_another_key_under_the_same_id_is_refused() {
    let (verifier, _folder) = verifier();
    let token = STRANGERS.sign_as(&ISSUERS.id, &claims(json!({})));
    assert_eq!(verify(&verifier, &token), Err(AuthProblem::BadSignature));
}

#[test]
fn a_token_whose_claims_were_changed_is_refused_even_after_the_original_was_accepted() {
    let (verifier, _folder) = verifier();
    let token = ISSUERS.sign(&claims(json!({"roles": ["reader"]})));
    assert!(verify(&verifier, &token).is_ok());
    let parts: Vec<&str> = token.split('.').collect();
    let forged = format!("{}.{}.{}", parts[0], encoded(&claims(json!({"roles": ["admin"]}))), parts[2]);
    assert_eq!(verify(&verifier, &forged), Err(AuthProblem::BadSignature));
}

#[test]
fn a_token_with_a_key_nobody_published_is_refused() {
    let (verifier, _folder) = verifier();
    assert_eq!(verify(&verifier, &STRANGERS.sign(&claims(json!({})))), Err(AuthProblem::UnknownKey));
}

#[test]
fn a_token_without_a_signature_is_refused() {
    let (verifier, _folder) = verifier();
    for algorithm in ["none", "None", "NONE"] {
        let header = encoded(&json!({"alg": algorithm, "typ": "JWT", "kid": ISSUERS.id}));
        let token = format!("{header}.{}.", encoded(&claims(json!({}))));
        assert_eq!(verify(&verifier, &token), Err(AuthProblem::AlgorithmRefused), "{algorithm}");
    }
}

#[test]
fn a_token_made_with_the_public_key_as_a_shared_secret_is_refused() {
    let (verifier, _folder) = verifier();
    let public = ISSUERS.private.to_public_key();
    let pem = public.to_public_key_pem(LineEnding::LF).expect("a key can be encoded");
    let der = public.to_public_key_der().expect("a key can be encoded");
    for secret in [pem.as_bytes(), der.as_bytes(), ISSUERS.key_set.as_bytes()] {
        let header = Header { kid: Some(ISSUERS.id.clone()), ..Header::new(Algorithm::HS256) };
        let token = jsonwebtoken::encode(&header, &claims(json!({})), &EncodingKey::from_secret(secret)).expect("claims can be signed");
        assert_eq!(verify(&verifier, &token), Err(AuthProblem::AlgorithmRefused));
    }
}

#[test]
fn a_token_of_another_issuer_or_for_another_audience_is_refused() {
    let (verifier, _folder) = verifier();
    let verify = |with: Value| verify(&verifier, &ISSUERS.sign(&claims(with)));
    assert_eq!(verify(json!({"iss": "somebody"})), Err(AuthProblem::WrongIssuer));
    assert_eq!(verify(json!({"iss": null})), Err(AuthProblem::WrongIssuer));
    assert_eq!(verify(json!({"aud": "payroll"})), Err(AuthProblem::WrongAudience));
    assert_eq!(verify(json!({"aud": null})), Err(AuthProblem::WrongAudience));
    assert!(verify(json!({"aud": ["payroll", "cauri"]})).is_ok());
}

#[test]
fn issuer_and_audience_are_those_that_were_configured() {
    let (_, folder) = verifier();
    let jwks = Jwks::load(JwksSource::from(folder.path().join("jwks.json").as_path())).expect("the key set loads");
    let trust = Trust { issuer: "https://id.example".to_owned(), audience: "ledger".to_owned(), ..Trust::default() };
    let verifier = verifier_with(jwks, &trust);
    let theirs = claims(json!({"iss": "https://id.example", "aud": "ledger"}));
    assert!(verify(&verifier, &ISSUERS.sign(&theirs)).is_ok());
    assert_eq!(verify(&verifier, &ISSUERS.sign(&claims(json!({})))).map(|_| ()).map_err(AuthProblem::status), Err(401));
}

#[test]
fn a_token_without_a_role_that_is_known_is_forbidden() {
    let (verifier, _folder) = verifier();
    for roles in [json!([]), json!(null), json!(["barista", "Admin"])] {
        let refused = verify(&verifier, &ISSUERS.sign(&claims(json!({ "roles": roles }))));
        assert_eq!(refused, Err(AuthProblem::NoKnownRole), "{roles}");
    }
}

#[test]
fn a_token_that_lacks_what_every_token_has_is_malformed() {
    let (verifier, _folder) = verifier();
    let refused = |with: Value| {
        let outcome = verify(&verifier, &ISSUERS.sign(&claims(with.clone())));
        assert!(matches!(outcome, Err(AuthProblem::Malformed(_))), "{with}: {outcome:?}");
    };
    refused(json!({"exp": null}));
    refused(json!({"exp": "tomorrow"}));
    refused(json!({"nbf": "yesterday"}));
    refused(json!({"sub": null}));
    refused(json!({"sub": ""}));
    refused(json!({"sub": "alice\nadmin:mallory"}));
    refused(json!({"sub": "a".repeat(257)}));
    refused(json!({"roles": "admin"}));
}

#[test]
fn what_is_not_a_token_is_malformed() {
    let (verifier, _folder) = verifier();
    let no_key_id =
        jsonwebtoken::encode(&Header::new(Algorithm::RS256), &claims(json!({})), &ISSUERS.signing).expect("claims can be signed");
    let critical = {
        let header = Header { kid: Some(ISSUERS.id.clone()), crit: Some(vec!["b64".to_owned()]), ..Header::new(Algorithm::RS256) };
        jsonwebtoken::encode(&header, &claims(json!({})), &ISSUERS.signing).expect("claims can be signed")
    };
    let header = encoded(&json!({"alg": "RS256", "kid": ISSUERS.id}));
    for token in [
        String::new(),
        "abc".to_owned(),
        "a.b.c".to_owned(),
        "....".to_owned(),
        header.clone(),
        format!("{header}."),
        format!("{header}.e30.!!!"),
        format!("{header}.e30.AAAA.AAAA"),
        "é.é.é".to_owned(),
        "a".repeat(100_000),
        no_key_id,
        critical,
    ] {
        let outcome = verify(&verifier, &token);
        assert!(matches!(outcome, Err(AuthProblem::Malformed(_))), "{token}: {outcome:?}");
    }
}

#[test]
fn a_new_key_is_noticed_and_the_withdrawn_one_is_refused_even_where_it_was_remembered() {
    let (verifier, folder) = verifier();
    let old = ISSUERS.sign(&claims(json!({})));
    let new = STRANGERS.sign(&claims(json!({})));
    assert!(verify(&verifier, &old).is_ok());
    fs::write(folder.path().join("jwks.json"), &STRANGERS.key_set).expect("the key set can be written");
    assert!(verify(&verifier, &old).is_ok(), "nothing has told us yet");
    assert!(verify(&verifier, &new).is_ok(), "an unknown key makes us look");
    assert_eq!(verify(&verifier, &old), Err(AuthProblem::UnknownKey));
}

/// The key set of `key` under the id of another key.
fn key_set_under_the_id_of(id: &Key, key: &Key) -> String {
    key.key_set.replace(&key.id, &id.id)
}

#[test]
fn a_key_that_was_replaced_under_the_same_id_is_noticed_and_the_old_one_is_refused() {
    let (verifier, folder) = verifier();
    let old = ISSUERS.sign(&claims(json!({})));
    let new = STRANGERS.sign_as(&ISSUERS.id, &claims(json!({})));
    assert!(verify(&verifier, &old).is_ok());
    fs::write(folder.path().join("jwks.json"), key_set_under_the_id_of(&ISSUERS, &STRANGERS)).expect("the key set can be written");
    assert!(verify(&verifier, &new).is_ok(), "a wrong signature makes us look");
    assert_eq!(verify(&verifier, &old), Err(AuthProblem::BadSignature), "remembered or not");
}

#[test]
fn wrong_signatures_make_us_read_the_key_set_at_most_once_per_interval() {
    let (url, served) = serve(ISSUERS.key_set.clone());
    let verifier = verifier_with(Jwks::load(JwksSource::Url(url)).expect("the key set loads"), &Trust::default());
    for _ in 0..20 {
        assert_eq!(verify(&verifier, &STRANGERS.sign_as(&ISSUERS.id, &claims(json!({})))), Err(AuthProblem::BadSignature));
    }
    assert_eq!(served.load(Ordering::SeqCst), 2, "once to load, once for the wrong signatures");
    assert!(verify(&verifier, &ISSUERS.sign(&claims(json!({})))).is_ok());
}

#[test]
fn unknown_keys_make_us_read_the_key_set_at_most_once_per_interval() {
    let (verifier, folder) = verifier();
    let new = STRANGERS.sign(&claims(json!({})));
    assert_eq!(verify(&verifier, &new), Err(AuthProblem::UnknownKey), "this used up the reading");
    fs::write(folder.path().join("jwks.json"), &STRANGERS.key_set).expect("the key set can be written");
    for _ in 0..100 {
        assert_eq!(verify(&verifier, &new), Err(AuthProblem::UnknownKey));
    }
    verifier.0.keys().refresh().expect("the key set can be read");
    assert!(verify(&verifier, &new).is_ok(), "a timer may read it whenever it likes");
}

#[test]
fn a_failed_reading_keeps_the_old_keys() {
    let (_, folder) = verifier();
    let path = folder.path().join("jwks.json");
    let jwks = Jwks::load(JwksSource::from(path.as_path())).expect("the key set loads");
    let verifier = verifier_with(jwks.with_refresh_interval(Duration::ZERO), &Trust::default());
    let good = ISSUERS.sign(&claims(json!({})));
    let unknown = STRANGERS.sign(&claims(json!({})));
    for broken in ["", "{\"keys\":", "[]", "<html>502 Bad Gateway</html>"] {
        fs::write(&path, broken).expect("the key set can be written");
        assert_eq!(verify(&verifier, &unknown), Err(AuthProblem::UnknownKey));
        assert!(verify(&verifier, &good).is_ok(), "{broken}");
        assert!(verifier.0.keys().refresh().is_err(), "{broken}");
    }
    fs::remove_file(&path).expect("the key set can be removed");
    assert_eq!(verify(&verifier, &unknown), Err(AuthProblem::UnknownKey));
    assert!(verify(&verifier, &good).is_ok());
    fs::write(&path, &STRANGERS.key_set).expect("the key set can be written");
    assert!(verify(&verifier, &unknown).is_ok(), "it recovers when the key set does");
}

#[test]
fn only_rsa_signature_keys_of_enough_bits_are_taken_from_a_key_set() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let path = folder.path().join("jwks.json");
    let good: Value = serde_json::from_str(&ISSUERS.key_set).expect("JSON");
    let short = RsaPrivateKey::new(&mut rand::rngs::OsRng, 1024).expect("a key can be made");
    let short: Value = serde_json::from_str(&publish(&short).1).expect("JSON");
    let altered = |name: &str, value: &str| {
        let mut key = good["keys"][0].clone();
        key[name] = json!(value);
        key
    };
    let load = |keys: Value| {
        fs::write(&path, json!({ "keys": keys }).to_string()).expect("the key set can be written");
        Jwks::load(JwksSource::from(path.as_path()))
    };
    for unusable in [
        short["keys"][0].clone(),
        altered("use", "enc"),
        altered("alg", "PS256"),
        altered("n", "AQAB"),
        altered("e", "AQ"),
        json!({"kty": "oct", "kid": "secret", "alg": "HS256", "k": "c2VjcmV0"}),
        json!({"kty": "EC", "kid": "curve", "crv": "P-256", "x": "AA", "y": "AA"}),
        json!("not even an object"),
    ] {
        let loaded = load(json!([unusable]));
        assert!(matches!(loaded, Err(JwksError::NoUsableKey { .. })), "{unusable}");
        assert!(load(json!([unusable, good["keys"][0]])).is_ok(), "{unusable} must not spoil the good one");
    }
    let twice = load(json!([good["keys"][0], good["keys"][0]]));
    assert!(matches!(twice, Err(JwksError::DuplicateKeyId { .. })));
    fs::write(&path, " ".repeat(300 * 1024)).expect("the key set can be written");
    assert!(matches!(Jwks::load(JwksSource::from(path.as_path())), Err(JwksError::TooLarge { .. })));
}

/// Answers every connection with `body` until the process ends, and counts them.
fn serve(body: String) -> (String, Arc<AtomicUsize>) {
    serve_with(move |_| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len()))
}

/// Answers every request, whose path it is given, with what `answer` says, and counts them.
fn serve_with(answer: impl Fn(&str) -> String + Send + 'static) -> (String, Arc<AtomicUsize>) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port is free");
    let url = format!("http://{}/jwks.json", listener.local_addr().expect("the port is known"));
    let served = Arc::new(AtomicUsize::new(0));
    let counter = Arc::clone(&served);
    std::thread::spawn(move || {
        for connection in listener.incoming() {
            let Ok(mut connection) = connection else { break };
            let mut request = [0; 4096];
            let length = connection.read(&mut request).unwrap_or(0);
            counter.fetch_add(1, Ordering::SeqCst);
            let request = String::from_utf8_lossy(&request[..length]).into_owned();
            let path = request.split(' ').nth(1).unwrap_or_default();
            let _ = connection.write_all(answer(path).as_bytes());
        }
    });
    (url, served)
}

#[test]
fn keys_are_fetched_from_an_address_but_not_without_bound() {
    let (url, served) = serve(ISSUERS.key_set.clone());
    let source: JwksSource = url.parse().expect("any text is a source");
    assert_eq!(source, JwksSource::Url(url));
    let verifier = verifier_with(Jwks::load(source).expect("the key set loads"), &Trust::default());
    assert!(verify(&verifier, &ISSUERS.sign(&claims(json!({})))).is_ok());
    for _ in 0..10 {
        assert!(verify(&verifier, &STRANGERS.sign(&claims(json!({})))).is_err());
    }
    assert_eq!(served.load(Ordering::SeqCst), 2, "once to load, once for the unknown key");

    let (url, _) = serve(" ".repeat(300 * 1024));
    assert!(matches!(Jwks::load(JwksSource::Url(url)), Err(JwksError::Unreachable { .. })));
}

#[test]
fn a_redirect_is_followed_on_the_same_host_and_refused_to_another() {
    let moved = |to: String| format!("HTTP/1.1 302 Found\r\nlocation: {to}\r\ncontent-length: 0\r\nconnection: close\r\n\r\n");
    let found = |body: &str| format!("HTTP/1.1 200 OK\r\ncontent-length: {}\r\nconnection: close\r\n\r\n{body}", body.len());
    let (url, served) =
        serve_with(move |path| if path == "/jwks.json" { moved("/keys/v2.json".to_owned()) } else { found(&ISSUERS.key_set) });
    let verifier = verifier_with(Jwks::load(JwksSource::Url(url)).expect("the key set loads"), &Trust::default());
    assert!(verify(&verifier, &ISSUERS.sign(&claims(json!({})))).is_ok());
    assert_eq!(served.load(Ordering::SeqCst), 2);

    let (elsewhere, asked) = serve(STRANGERS.key_set.clone());
    let to = elsewhere.clone();
    let (url, _) = serve_with(move |_| moved(to.clone()));
    let refused = Jwks::load(JwksSource::Url(url.clone())).expect_err("another host");
    assert!(matches!(refused, JwksError::Redirected { .. }), "{refused}");
    assert!(refused.to_string().contains(&url) && refused.to_string().contains(&elsewhere), "{refused}");
    assert_eq!(asked.load(Ordering::SeqCst), 0, "nobody there was asked");

    for to in ["/jwks.json", "http://"] {
        let (url, served) = serve_with(move |_| moved(to.to_owned()));
        assert!(matches!(Jwks::load(JwksSource::Url(url)), Err(JwksError::RedirectedNowhere { .. })), "{to}");
        assert!(served.load(Ordering::SeqCst) <= 4, "{to}");
    }
}

#[test]
fn two_that_start_at_once_end_up_with_the_same_key() {
    let folder = tempfile::tempdir().expect("a temporary folder");
    let issuers: Vec<DevIssuer> = std::thread::scope(|scope| {
        let open = || DevIssuer::open_or_create(folder.path()).expect("the issuer opens");
        let threads: Vec<_> = (0..4).map(|_| scope.spawn(open)).collect();
        threads.into_iter().map(|thread| thread.join().expect("no panic")).collect()
    });
    let verifier = verifier_of(issuers[0].jwks_path());
    for issuer in &issuers {
        let token = issuer.issue("alice", &[Role::Admin], Duration::from_secs(60)).expect("a token is issued");
        assert_eq!(verify(&verifier, &token).map(|principal| principal.actor().to_string()), Ok("admin:alice".to_owned()));
    }

    // The rest needs a folder with a key, and making one is slow.
    let [key, key_set] = ["private.pem", "jwks.json"].map(|name| folder.path().join("dev-issuer").join(name));
    let before = fs::read(&key).expect("the key is there");
    assert!(before.starts_with(b"-----BEGIN PRIVATE KEY-----"));
    fs::remove_file(&key_set).expect("the key set is there");
    let reopened = DevIssuer::open_or_create(folder.path()).expect("the issuer opens again");
    assert_eq!(fs::read(&key).expect("the key is there"), before, "opening again does not make another key");
    assert!(key_set.exists(), "a lost key set comes back");
    assert!(matches!(reopened.issue("alice", &[], Duration::from_secs(60)), Err(IssuerError::NotAcceptable(AuthProblem::NoKnownRole)),));
    assert!(reopened.issue("", &[Role::Admin], Duration::from_secs(60)).is_err());
    assert!(reopened.issue("alice", &[Role::Admin], Duration::MAX).is_err());

    #[cfg(unix)]
    {
        use std::os::unix::fs::PermissionsExt as _;
        let mode = |path: &Path| fs::metadata(path).expect("it is there").permissions().mode() & 0o777;
        assert_eq!(mode(&key), 0o600);
        for exposed in [0o640, 0o604, 0o644, 0o620] {
            fs::set_permissions(&key, fs::Permissions::from_mode(exposed)).expect("the mode can be set");
            let refused = DevIssuer::open_or_create(folder.path()).expect_err("the key is exposed").to_string();
            assert!(refused.contains("chmod 600") && refused.contains(&format!("{exposed:04o}")), "{refused}");
        }
    }
}

#[tokio::test]
async fn a_permission_is_asked_of_the_roles_and_the_scheme_may_be_left_out() {
    let (verifier, _folder) = verifier();
    for role in Role::ALL {
        let token = ISSUERS.sign(&claims(json!({"roles": [role]})));
        for permission in Permission::ALL {
            for bearer in [token.clone(), format!("Bearer {token}"), format!("bearer  {token} ")] {
                let outcome = verifier.authorize(Some(&bearer), permission).await.map(|principal| principal.actor().to_string());
                let expected =
                    if role.may(permission) { Ok(format!("{role}:alice")) } else { Err(AuthProblem::RoleNotSufficient(permission)) };
                assert_eq!(outcome, expected, "{role} and {permission}");
            }
        }
    }
    for missing in [None, Some(""), Some("Bearer"), Some("Bearer ")] {
        assert_eq!(verifier.authorize(missing, Permission::Read).await, Err(AuthProblem::MissingToken), "{missing:?}");
    }
}

/// A router as another crate would have it: its own state, and a request id on every request.
#[derive(Clone, axum::extract::FromRef)]
struct State {
    auth: AuthState,
}

fn router(auth: AuthState) -> Router {
    async fn submit(caller: Authorized<Write>) -> String {
        caller.actor().to_string()
    }
    async fn query(caller: Authorized<Read>) -> String {
        caller.into_principal().subject().to_owned()
    }
    Router::new().route("/commands", post(submit)).route("/balances", get(query)).with_state(State { auth })
}

async fn send(router: &Router, method: &str, path: &str, authorization: &[&str]) -> (Response<()>, String) {
    let mut request = Request::builder().method(method).uri(path);
    for value in authorization {
        request = request.header(AUTHORIZATION, *value);
    }
    let mut request = request.body(Body::empty()).expect("a request");
    let id = tower_http::request_id::RequestId::new("r-7".parse().expect("a header value"));
    request.extensions_mut().insert(id);
    let (parts, body) = router.clone().oneshot(request).await.expect("a router always answers").into_parts();
    let body = axum::body::to_bytes(body, 64 * 1024).await.expect("the body is in memory");
    (Response::from_parts(parts, ()), String::from_utf8(body.to_vec()).expect("the body is text"))
}

#[tokio::test]
async fn a_handler_runs_only_for_somebody_with_the_permission_it_declares() {
    let (verifier, _folder) = verifier();
    let router = router(verifier);
    let operator = format!("Bearer {}", ISSUERS.sign(&claims(json!({}))));
    let reader = format!("Bearer {}", ISSUERS.sign(&claims(json!({"roles": ["reader"]}))));
    let expired = format!("Bearer {}", ISSUERS.sign(&claims(json!({"exp": now() - 100}))));

    let (response, body) = send(&router, "POST", "/commands", &[&operator]).await;
    assert_eq!((response.status(), body.as_str()), (StatusCode::OK, "operator:alice"));
    let (response, body) = send(&router, "GET", "/balances", &[&reader]).await;
    assert_eq!((response.status(), body.as_str()), (StatusCode::OK, "alice"));

    let refused = [
        (vec![reader.as_str()], 403, "role_not_sufficient", r#"Bearer error="insufficient_scope", "#),
        (vec![expired.as_str()], 401, "token_expired", r#"Bearer error="invalid_token", "#),
        (vec!["Bearer abc"], 401, "token_malformed", r#"Bearer error="invalid_token", "#),
        (vec![operator.as_str(), reader.as_str()], 401, "token_malformed", r#"Bearer error="invalid_token", "#),
        (vec!["Basic YWxpY2U6c2VjcmV0"], 401, "token_missing", r#"Bearer realm="cauri""#),
        (vec![], 401, "token_missing", r#"Bearer realm="cauri""#),
    ];
    for (authorization, status, code, challenge) in refused {
        let (response, body) = send(&router, "POST", "/commands", &authorization).await;
        assert_eq!(response.status().as_u16(), status, "{body}");
        assert_eq!(response.headers()[CONTENT_TYPE], "application/problem+json");
        let sent = response.headers()[WWW_AUTHENTICATE].to_str().expect("the challenge is ASCII");
        assert!(sent.starts_with(challenge), "{sent}");
        let body: Value = serde_json::from_str(&body).expect("the body is JSON");
        assert_eq!((&body["code"], &body["instance"]), (&json!(code), &json!("r-7")));
    }
}

#[tokio::test]
async fn many_requests_with_a_new_key_all_get_in_after_one_reading() {
    let (auth, folder) = verifier();
    fs::write(folder.path().join("jwks.json"), &STRANGERS.key_set).expect("the key set can be written");
    let requests: Vec<_> = (0..50)
        .map(|request| {
            let auth = auth.clone();
            let token = STRANGERS.sign(&claims(json!({ "sub": format!("user-{request}") })));
            tokio::spawn(async move { auth.authorize(Some(&token), Permission::Write).await })
        })
        .collect();
    for request in requests {
        assert!(request.await.expect("no panic").is_ok());
    }
    assert_eq!(auth.0.keys().keys().generation, 2, "the key set was read once more, not once per request");
}

#[test]
fn a_remembered_token_is_verified_many_times_faster_than_the_load_needs() {
    let (verifier, _folder) = verifier();
    let token = ISSUERS.sign(&claims(json!({})));
    assert!(verify(&verifier, &token).is_ok());
    let started = Instant::now();
    for _ in 0..20_000 {
        assert!(verifier.0.verify_with_known_keys(&token).is_ok());
    }
    // 20,000 a second is the goal for everything together; half a second leaves room for a busy machine.
    let elapsed = started.elapsed();
    assert!(cfg!(debug_assertions) || elapsed < Duration::from_millis(500), "{elapsed:?}");
}
