//! Key sets, private keys and tokens: a changed one is refused.

use std::time::Duration;

use cauri_http::auth::issuer::DevIssuer;
use cauri_http::auth::jwks::{Jwks, JwksSource};
use cauri_http::auth::role::Role;
use cauri_http::auth::token::{Trust, Verifier};

use crate::cases;
use crate::mutation::{changed, changed_text};

#[test]
fn a_changed_token_is_refused() {
    let dir = tempfile::tempdir().expect("a directory");
    let issuer = DevIssuer::open_or_create(dir.path()).expect("an issuer");
    let token = issuer.issue("awa", &[Role::Operator], Duration::from_secs(86_400)).expect("a token");
    let verifier = Verifier::new(Jwks::load(JwksSource::File(issuer.jwks_path().to_owned())).expect("keys"), &Trust::default());
    assert!(verifier.verify_with_known_keys(&token).is_ok());
    cases(3_000, |random| {
        let other = changed_text(random, &token);
        assert!(verifier.verify_with_known_keys(&other).is_err() || other == token, "accepted: {other}");
    });
}

#[test]
fn a_changed_key_set_is_refused_or_read_and_a_token_of_another_key_is_not_believed() {
    let (ours, theirs) = (tempfile::tempdir().expect("a directory"), tempfile::tempdir().expect("a directory"));
    let issuer = DevIssuer::open_or_create(ours.path()).expect("an issuer");
    let other = DevIssuer::open_or_create(theirs.path()).expect("an issuer");
    let foreign = other.issue("awa", &[Role::Admin], Duration::from_secs(86_400)).expect("a token");
    let keys = std::fs::read(issuer.jwks_path()).expect("a key set");
    let file = ours.path().join("changed.json");
    cases(1_000, |random| {
        std::fs::write(&file, changed(random, &keys)).expect("a file");
        if let Ok(keys) = Jwks::load(JwksSource::File(file.clone())) {
            assert!(Verifier::new(keys, &Trust::default()).verify_with_known_keys(&foreign).is_err());
        }
    });
}

#[test]
fn a_changed_private_key_is_refused_or_opens() {
    let dir = tempfile::tempdir().expect("a directory");
    let issuer = DevIssuer::open_or_create(dir.path()).expect("an issuer");
    let folder = issuer.jwks_path().parent().expect("a folder").to_owned();
    let key = std::fs::read_dir(&folder)
        .expect("a folder")
        .flatten()
        .map(|entry| entry.path())
        .find(|path| std::fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"-----BEGIN")))
        .expect("a private key");
    let pem = std::fs::read(&key).expect("a key");
    cases(100, |random| {
        // Written over in place, so that it stays the owner's alone.
        std::fs::write(&key, changed(random, &pem)).expect("a file");
        if let Ok(issuer) = DevIssuer::open_or_create(dir.path()) {
            let _ = issuer.issue("awa", &[Role::Reader], Duration::from_secs(60));
        }
    });
}
