//! How a handler asks for a permission: it takes an `Authorized<Write>` and only runs for somebody who may.

use std::fmt;
use std::marker::PhantomData;
use std::ops::Deref;
use std::sync::Arc;

use axum::extract::{FromRef, FromRequestParts};
use axum::http::HeaderMap;
use axum::http::header::AUTHORIZATION;
use axum::http::request::Parts;

use crate::auth::challenge::AuthProblem;
use crate::auth::role::Permission;
use crate::auth::subjects::Place;
use crate::auth::token::{Principal, Verifier};
use crate::load::turned_away;
use crate::problem::Problem;

/// A permission as a type, so that a handler's signature states what it needs.
pub trait Need: Send + Sync + 'static {
    /// The permission.
    const PERMISSION: Permission;
}

/// Needs [`Permission::Write`].
#[derive(Clone, Copy, Debug)]
pub struct Write;
/// Needs [`Permission::Administer`].
#[derive(Clone, Copy, Debug)]
pub struct Administer;
/// Needs [`Permission::Audit`].
#[derive(Clone, Copy, Debug)]
pub struct Audit;
/// Needs [`Permission::Read`].
#[derive(Clone, Copy, Debug)]
pub struct Read;

impl Need for Write {
    const PERMISSION: Permission = Permission::Write;
}
impl Need for Administer {
    const PERMISSION: Permission = Permission::Administer;
}
impl Need for Audit {
    const PERMISSION: Permission = Permission::Audit;
}
impl Need for Read {
    const PERMISSION: Permission = Permission::Read;
}

/// The verifier as part of a router's state. A state of one's own implements `FromRef` to hand it out.
#[derive(Clone, Debug)]
pub struct AuthState(pub Arc<Verifier>);

impl AuthState {
    /// Lets somebody in who has a good token and a role that grants `permission`. `bearer` is the token, with or without
    /// `Bearer ` before it: the header of a request, or what the `connection_init` of a websocket says.
    ///
    /// It does not block. When the issuer may have new keys, one request at a time has them read on a thread of its
    /// own and the others with an unknown key wait for it here, without a thread: no number of made-up key ids can
    /// use the threads up.
    ///
    /// # Errors
    /// When there is no token, the token is not good, or its roles do not grant `permission`.
    pub async fn authorize(&self, bearer: Option<&str>, permission: Permission) -> Result<Principal, AuthProblem> {
        let principal = self.verify(token_in(bearer)?).await?;
        principal.require(permission)?;
        Ok(principal)
    }

    /// A place among the requests of the principal that are being answered, until it is dropped.
    ///
    /// # Errors
    /// 429 when its subject has as many as one may have.
    pub fn enter(&self, principal: &Principal) -> Result<Place, Problem> {
        let requests = self.0.requests();
        requests.enter(principal.subject_shared()).ok_or_else(|| {
            turned_away("subject");
            Problem::too_many_requests(requests.most())
        })
    }

    /// Whether the token is good by the keys as last read and grants `permission`. It waits for nothing.
    pub fn knows(&self, bearer: &str, permission: Permission) -> bool {
        let principal = token_in(Some(bearer)).and_then(|token| self.0.verify_with_known_keys(token));
        principal.is_ok_and(|principal| principal.may(permission))
    }

    pub(crate) async fn verify(&self, token: &str) -> Result<Principal, AuthProblem> {
        let generation = self.0.keys().keys().generation;
        match self.0.verify_with_known_keys(token) {
            // A wrong signature may be that of a new key: an issuer that replaces a key may keep its id.
            Err(AuthProblem::UnknownKey | AuthProblem::BadSignature) if self.0.keys().refresh_due() => {
                self.verify_with_new_keys(token).await
            }
            // Not due, perhaps because the keys were read again a moment ago, after this token was compared with the old ones.
            Err(AuthProblem::UnknownKey | AuthProblem::BadSignature) if self.0.keys().keys().generation != generation => {
                self.0.verify_with_known_keys(token)
            }
            settled => settled,
        }
    }

    async fn verify_with_new_keys(&self, token: &str) -> Result<Principal, AuthProblem> {
        let turn = Arc::clone(&self.0.refresh_turn).lock_owned().await;
        let verifier = Arc::clone(&self.0);
        if verifier.keys().refresh_due() {
            let refreshed = tokio::task::spawn_blocking(move || {
                verifier.keys().refresh_if_due();
                // The turn ends with the reading, also when the request that started it has gone away.
                drop(turn);
            });
            if let Err(error) = refreshed.await {
                tracing::warn!(%error, "the reading of the key set was cut short");
            }
        }
        self.0.verify_with_known_keys(token)
    }
}

/// An extractor that gives the [`Principal`] of a request, if it has the permission `N` stands for.
///
/// ```
/// use cauri_http::auth::layer::{Authorized, AuthState, Write};
///
/// async fn submit(caller: Authorized<Write>) -> String {
///     caller.actor().to_string()
/// }
/// let router: axum::Router<AuthState> = axum::Router::new().route("/commands", axum::routing::post(submit));
/// # drop(router);
/// ```
pub struct Authorized<N: Need> {
    principal: Principal,
    /// Held until the handler has ended: from here on the request counts among those of its subject.
    _place: Place,
    need: PhantomData<fn() -> N>,
}

impl<N: Need> Authorized<N> {
    /// The principal itself.
    #[must_use]
    pub fn into_principal(self) -> Principal {
        self.principal
    }
}

impl<N: Need> Deref for Authorized<N> {
    type Target = Principal;

    fn deref(&self) -> &Principal {
        &self.principal
    }
}

impl<N: Need> fmt::Debug for Authorized<N> {
    fn fmt(&self, out: &mut fmt::Formatter<'_>) -> fmt::Result {
        out.debug_tuple("Authorized").field(&N::PERMISSION).field(&self.principal).finish()
    }
}

impl<N, S> FromRequestParts<S> for Authorized<N>
where
    N: Need,
    AuthState: FromRef<S>,
    S: Send + Sync,
{
    type Rejection = Problem;

    async fn from_request_parts(parts: &mut Parts, state: &S) -> Result<Self, Problem> {
        let auth = AuthState::from_ref(state);
        let admitted = match bearer_of(&parts.headers) {
            Ok(bearer) => auth.authorize(bearer, N::PERMISSION).await,
            Err(problem) => Err(problem),
        };
        match admitted {
            Ok(principal) => {
                let place = auth.enter(&principal).map_err(|problem| problem.for_request(&parts.extensions))?;
                // For the extractor of the body, which accounts for its memory.
                parts.extensions.insert(Subject(Arc::clone(principal.subject_shared())));
                Ok(Self { principal, _place: place, need: PhantomData })
            }
            Err(problem) => {
                tracing::debug!(reason = problem.kind().code, path = parts.uri.path(), "a request was not let in");
                Err(Problem::from(problem).for_request(&parts.extensions))
            }
        }
    }
}

/// Whose request it is, once that is known.
#[derive(Clone, Debug)]
pub struct Subject(pub Arc<str>);

/// The `Authorization` header, if there is one with a bearer token.
///
/// # Errors
/// When there are two, or when it is not ASCII.
pub fn bearer_of(headers: &HeaderMap) -> Result<Option<&str>, AuthProblem> {
    let mut values = headers.get_all(AUTHORIZATION).iter();
    let Some(value) = values.next() else { return Ok(None) };
    if values.next().is_some() {
        // Something before us may have judged the other one.
        return Err(AuthProblem::Malformed("there is more than one Authorization header"));
    }
    let value = value.to_str().map_err(|_| AuthProblem::Malformed("the Authorization header is not ASCII"))?;
    let scheme = value.split(' ').next().unwrap_or_default();
    // To somebody with another scheme the answer is that there is no token, with the challenge that asks for one.
    Ok(scheme.eq_ignore_ascii_case("bearer").then_some(value))
}

/// The token alone. A token has no blanks in it, so a scheme before it cannot be mistaken.
fn token_in(bearer: Option<&str>) -> Result<&str, AuthProblem> {
    let bearer = bearer.unwrap_or_default().trim();
    let token = match bearer.split_once(' ') {
        Some((scheme, token)) if scheme.eq_ignore_ascii_case("bearer") => token.trim_start(),
        Some(_) => return Err(AuthProblem::Malformed("the Authorization is not a bearer token")),
        None if bearer.eq_ignore_ascii_case("bearer") => "",
        None => bearer,
    };
    if token.is_empty() { Err(AuthProblem::MissingToken) } else { Ok(token) }
}
