//! A token issuer for development: one RSA key in the data directory, beside it the key set that verifiers read.

use std::fs::{self, File, OpenOptions};
use std::io::{self, Read, Write};
use std::path::{Path, PathBuf};
use std::time::{Duration, SystemTime, UNIX_EPOCH};

use base64::Engine as _;
use base64::prelude::BASE64_URL_SAFE_NO_PAD;
use cauri_domain::account_set::SetName;
use cauri_domain::ids::{AccountAddress, Caller};
use cauri_domain::reach::Reach;
use jsonwebtoken::{Algorithm, EncodingKey, Header};
use rsa::RsaPrivateKey;
use rsa::pkcs8::{DecodePrivateKey, EncodePrivateKey, LineEnding};
use rsa::traits::PublicKeyParts;
use serde::Serialize;
use sha2::{Digest, Sha256};
use uuid::Uuid;

use crate::auth::challenge::AuthProblem;
use crate::auth::role::{Role, Roles};
use crate::auth::token::{Principal, SUBJECT, Trust};

/// The folder of the issuer in a data directory.
pub const FOLDER: &str = "dev-issuer";
const PRIVATE_KEY: &str = "private.pem";
const KEY_SET: &str = "jwks.json";
const LOCK: &str = "lock";
const MODULUS_BITS: usize = 2048;

/// Why the development issuer cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum IssuerError {
    /// A file of the issuer could not be read or written.
    #[error("cannot use {path}")]
    Unusable {
        /// The file or folder.
        path: PathBuf,
        /// What the system said.
        #[source]
        source: io::Error,
    },
    /// Others than the owner may use the private key, so tokens prove nothing.
    #[error(
        "{path} is open to group or others (mode {mode:04o}): run `chmod 600 {path}`, \
         or delete it to get a new key if somebody may have read it"
    )]
    Exposed {
        /// The private key.
        path: PathBuf,
        /// Its permission bits.
        mode: u32,
    },
    /// The private key is there, but is no RSA key in PKCS#8.
    #[error("{path} is not an RSA private key in PKCS#8 PEM: delete it to get a new one")]
    NotAKey {
        /// The private key.
        path: PathBuf,
        /// What the parser said.
        #[source]
        source: rsa::pkcs8::Error,
    },
    /// A new key could not be made.
    #[error("cannot make an RSA key")]
    NotGenerated(#[from] rsa::Error),
    /// A new key could not be written as PEM.
    #[error("cannot encode the RSA key")]
    NotEncoded(#[from] rsa::pkcs8::Error),
    /// The token could not be signed.
    #[error("cannot sign the token")]
    NotSigned(#[from] jsonwebtoken::errors::Error),
    /// The token would be refused by every verifier.
    #[error("no verifier would accept such a token: {0}")]
    NotAcceptable(#[from] AuthProblem),
    /// The life time goes beyond what a date can say.
    #[error("the life time of the token is out of range")]
    LifetimeOutOfRange,
}

/// Issues tokens on a developer's machine. Not for production: whoever can read the data directory can be anybody.
pub struct DevIssuer {
    key: EncodingKey,
    key_id: String,
    jwks_path: PathBuf,
    trust: Trust,
}

impl std::fmt::Debug for DevIssuer {
    fn fmt(&self, out: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        out.debug_struct("DevIssuer").field("key_id", &self.key_id).field("jwks_path", &self.jwks_path).finish()
    }
}

impl DevIssuer {
    /// Opens the issuer in `dir`, making a key first if there is none. It blocks, up to a second when it makes a key.
    ///
    /// # Errors
    /// When its files cannot be read or written, or when others than the owner may read the private key.
    pub fn open_or_create(dir: &Path) -> Result<Self, IssuerError> {
        let folder = dir.join(FOLDER);
        private_folder(&folder).map_err(unusable(&folder))?;
        // Several processes may start at once (`cauri demo` starts three). Only one makes the key, the others wait
        // and read it. The lock is the kernel's, so a process that dies in here leaves none behind.
        let lock_path = folder.join(LOCK);
        let lock = private(OpenOptions::new().create(true).truncate(false).write(true)).open(&lock_path).map_err(unusable(&lock_path))?;
        lock.lock().map_err(unusable(&lock_path))?;

        let key_path = folder.join(PRIVATE_KEY);
        let pem = match read_private(&key_path)? {
            Some(pem) => pem,
            None => create(&key_path)?,
        };
        let private_key = RsaPrivateKey::from_pkcs8_pem(&pem).map_err(|source| IssuerError::NotAKey { path: key_path.clone(), source })?;
        let (key_id, key_set) = publish(&private_key);
        let jwks_path = folder.join(KEY_SET);
        // Compared, so that opening an issuer does not write, and derived, so that a lost file comes back.
        if !fs::read(&jwks_path).is_ok_and(|present| present == key_set.as_bytes()) {
            write_whole(&jwks_path, key_set.as_bytes(), private(OpenOptions::new().create_new(true).write(true)))?;
        }
        Ok(Self { key: EncodingKey::from_rsa_pem(pem.as_bytes())?, key_id, jwks_path, trust: Trust::default() })
    }

    /// Issues for the issuer and audience of `trust` instead of the default ones.
    #[must_use]
    pub fn with_trust(mut self, trust: Trust) -> Self {
        self.trust = trust;
        self
    }

    /// A token for `subject` with `roles`, good from now for `ttl`.
    ///
    /// # Errors
    /// When no verifier would accept it: a subject that cannot stand in the journal, or no role.
    pub fn issue(&self, subject: &str, roles: &[Role], ttl: Duration) -> Result<String, IssuerError> {
        self.issue_within(subject, roles, None, ttl)
    }

    /// The same, limited to some accounts.
    ///
    /// # Errors
    /// As [`DevIssuer::issue`].
    pub fn issue_within(&self, subject: &str, roles: &[Role], reach: Option<&Reach>, ttl: Duration) -> Result<String, IssuerError> {
        let caller = Caller::of_issuer(&self.trust.issuer, subject).map_err(|_| AuthProblem::Malformed(SUBJECT))?;
        Principal::new(subject, caller, Roles::from_iter(roles.iter().copied()))?;
        let now = SystemTime::now().duration_since(UNIX_EPOCH).map_err(|_| IssuerError::LifetimeOutOfRange)?;
        let expires = now.checked_add(ttl).ok_or(IssuerError::LifetimeOutOfRange)?;
        let claims = Claims {
            iss: &self.trust.issuer,
            aud: &self.trust.audience,
            sub: subject,
            roles,
            account_prefixes: reach.map(|reach| reach.prefixes().iter().map(AccountAddress::as_str).collect()),
            account_sets: reach.map(|reach| reach.sets().iter().map(SetName::as_str).collect()),
            iat: now.as_secs(),
            nbf: now.as_secs(),
            exp: expires.as_secs(),
            jti: Uuid::now_v7(),
        };
        let header = Header { kid: Some(self.key_id.clone()), ..Header::new(Algorithm::RS256) };
        Ok(jsonwebtoken::encode(&header, &claims, &self.key)?)
    }

    /// The key set that verifies what this issues, for [`crate::auth::jwks::Jwks::load`].
    #[must_use]
    pub fn jwks_path(&self) -> &Path {
        &self.jwks_path
    }
}

#[derive(Serialize)]
struct Claims<'a> {
    iss: &'a str,
    aud: &'a str,
    sub: &'a str,
    roles: &'a [Role],
    #[serde(skip_serializing_if = "Option::is_none")]
    account_prefixes: Option<Vec<&'a str>>,
    #[serde(skip_serializing_if = "Option::is_none")]
    account_sets: Option<Vec<&'a str>>,
    iat: u64,
    nbf: u64,
    exp: u64,
    jti: Uuid,
}

/// The key id and the key set of a key. The id is the key's thumbprint (RFC 7638), so it needs no file of its own.
pub(crate) fn publish(key: &RsaPrivateKey) -> (String, String) {
    let modulus = BASE64_URL_SAFE_NO_PAD.encode(key.n().to_bytes_be());
    let exponent = BASE64_URL_SAFE_NO_PAD.encode(key.e().to_bytes_be());
    // The members in this order and without blanks are what RFC 7638 hashes. Base64 needs no escapes in JSON.
    let thumbprint = Sha256::digest(format!(r#"{{"e":"{exponent}","kty":"RSA","n":"{modulus}"}}"#));
    let key_id = BASE64_URL_SAFE_NO_PAD.encode(thumbprint);
    let member = format!(r#"{{"kty":"RSA","use":"sig","alg":"RS256","kid":"{key_id}","n":"{modulus}","e":"{exponent}"}}"#);
    (key_id, format!("{{\"keys\":[{member}]}}\n"))
}

/// The private key if there is one, read through the very file whose permissions were looked at.
fn read_private(path: &Path) -> Result<Option<String>, IssuerError> {
    let mut file = match File::open(path) {
        Ok(file) => file,
        Err(error) if error.kind() == io::ErrorKind::NotFound => return Ok(None),
        Err(error) => return Err(unusable(path)(error)),
    };
    refuse_exposed(&file, path)?;
    let mut pem = String::new();
    file.read_to_string(&mut pem).map_err(unusable(path))?;
    Ok(Some(pem))
}

#[cfg(unix)]
fn refuse_exposed(file: &File, path: &Path) -> Result<(), IssuerError> {
    use std::os::unix::fs::PermissionsExt as _;
    let mode = file.metadata().map_err(unusable(path))?.permissions().mode() & 0o7777;
    if mode & 0o077 == 0 { Ok(()) } else { Err(IssuerError::Exposed { path: path.to_owned(), mode }) }
}

#[cfg(not(unix))]
fn refuse_exposed(_: &File, _: &Path) -> Result<(), IssuerError> {
    Ok(()) // The files of a user's profile are the user's own there.
}

fn create(path: &Path) -> Result<String, IssuerError> {
    let key = RsaPrivateKey::new(&mut rand::rngs::OsRng, MODULUS_BITS)?;
    let pem = key.to_pkcs8_pem(LineEnding::LF)?;
    write_whole(path, pem.as_bytes(), private(OpenOptions::new().create_new(true).write(true)))?;
    tracing::info!(path = %path.display(), "made a key for the development issuer");
    Ok(pem.to_string())
}

/// The file appears whole or not at all, also when the machine stops. The caller holds the lock.
fn write_whole(path: &Path, bytes: &[u8], options: &OpenOptions) -> Result<(), IssuerError> {
    let temporary = path.with_extension("tmp");
    // What a process left that died here. `create_new` then makes sure that the file has the permissions asked for.
    match fs::remove_file(&temporary) {
        Err(error) if error.kind() != io::ErrorKind::NotFound => return Err(unusable(&temporary)(error)),
        Ok(()) | Err(_) => {}
    }
    let written = options.open(&temporary).and_then(|mut file| {
        file.write_all(bytes)?;
        file.sync_all()
    });
    written.map_err(unusable(&temporary))?;
    fs::rename(&temporary, path).map_err(unusable(path))?;
    // The name, too, must outlast a power cut; where a folder cannot be opened as a file there is nothing to do.
    if let Some(folder) = path.parent().and_then(|folder| File::open(folder).ok()) {
        folder.sync_all().map_err(unusable(path))?;
    }
    Ok(())
}

#[cfg(unix)]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    use std::os::unix::fs::OpenOptionsExt as _;
    options.mode(0o600)
}

#[cfg(not(unix))]
fn private(options: &mut OpenOptions) -> &mut OpenOptions {
    options
}

/// Makes the folder and its missing parents, for their owner only.
fn private_folder(path: &Path) -> io::Result<()> {
    let mut folder = fs::DirBuilder::new();
    #[cfg(unix)]
    std::os::unix::fs::DirBuilderExt::mode(&mut folder, 0o700);
    folder.recursive(true).create(path)
}

fn unusable(path: &Path) -> impl Fn(io::Error) -> IssuerError {
    move |source| IssuerError::Unusable { path: path.to_owned(), source }
}
