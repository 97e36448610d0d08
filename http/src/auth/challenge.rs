//! Why a request was not let in, and the challenge that says so (RFC 6750).

use crate::auth::role::Permission;
use crate::problem::{Problem, ProblemKind, kind};

/// Why a request was not let in. All but the last two are 401: who you are is not settled. Those two are 403.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum AuthProblem {
    /// The request carries no bearer token.
    #[error("this needs a bearer token in the Authorization header")]
    MissingToken,
    /// What was sent is no token, or lacks something every token must have; the text says what.
    #[error("{0}")]
    Malformed(&'static str),
    /// The token wants to be verified by another algorithm than RS256. `none` and the HMAC family land here.
    #[error("the token is signed with an algorithm that is not accepted; it must be RS256")]
    AlgorithmRefused,
    /// The signature is not the one the named key makes.
    #[error("the signature does not match the token")]
    BadSignature,
    /// `exp` has passed, leeway included.
    #[error("the token has expired")]
    Expired,
    /// `nbf` has not been reached, leeway included.
    #[error("the token is not valid yet")]
    NotYetValid,
    /// `iss` is missing or is not the issuer this deployment trusts.
    #[error("the token was issued by somebody this deployment does not trust")]
    WrongIssuer,
    /// `aud` is missing or does not name this deployment.
    #[error("the token was issued for another audience")]
    WrongAudience,
    /// The header names a key that the issuer does not publish.
    #[error("the token is signed with a key the issuer does not publish")]
    UnknownKey,
    /// The token is good, but names no role that Cauri knows.
    #[error("the token names no role this deployment knows: admin, operator, auditor or reader")]
    NoKnownRole,
    /// The token is good, but its roles do not grant what the request needs.
    #[error("the roles of the token do not grant {0}")]
    RoleNotSufficient(Permission),
}

impl AuthProblem {
    /// The entry of the table of problems that this is reported as.
    #[must_use]
    pub const fn kind(self) -> &'static ProblemKind {
        match self {
            Self::MissingToken => &kind::TOKEN_MISSING,
            Self::Malformed(_) => &kind::TOKEN_MALFORMED,
            Self::AlgorithmRefused => &kind::TOKEN_ALGORITHM_REFUSED,
            Self::BadSignature => &kind::TOKEN_SIGNATURE_INVALID,
            Self::Expired => &kind::TOKEN_EXPIRED,
            Self::NotYetValid => &kind::TOKEN_NOT_YET_VALID,
            Self::WrongIssuer => &kind::TOKEN_ISSUER_UNTRUSTED,
            Self::WrongAudience => &kind::TOKEN_AUDIENCE_MISMATCH,
            Self::UnknownKey => &kind::TOKEN_KEY_UNKNOWN,
            Self::NoKnownRole => &kind::ROLE_UNKNOWN,
            Self::RoleNotSufficient(_) => &kind::ROLE_NOT_SUFFICIENT,
        }
    }

    /// 401 when the token is the trouble, 403 when its roles are.
    #[must_use]
    pub const fn status(self) -> u16 {
        self.kind().status
    }

    /// The value of `WWW-Authenticate`.
    ///
    /// A request without a token gets the bare challenge: RFC 6750 §3.1 keeps error codes for those who tried.
    #[must_use]
    pub fn challenge(self) -> String {
        let error = match self {
            Self::MissingToken => return r#"Bearer realm="cauri""#.to_owned(),
            Self::NoKnownRole | Self::RoleNotSufficient(_) => "insufficient_scope",
            Self::Malformed(_)
            | Self::AlgorithmRefused
            | Self::BadSignature
            | Self::Expired
            | Self::NotYetValid
            | Self::WrongIssuer
            | Self::WrongAudience
            | Self::UnknownKey => "invalid_token",
        };
        // No text of this enum contains a quote or a backslash, and none repeats what the caller sent.
        format!(r#"Bearer error="{error}", error_description="{self}""#)
    }
}

impl From<AuthProblem> for Problem {
    fn from(problem: AuthProblem) -> Self {
        Self::of(problem.kind(), problem.to_string()).with_www_authenticate(&problem.challenge())
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn every() -> Vec<AuthProblem> {
        let mut every = vec![
            AuthProblem::MissingToken,
            AuthProblem::Malformed("the token is longer than 8192 bytes"),
            AuthProblem::AlgorithmRefused,
            AuthProblem::BadSignature,
            AuthProblem::Expired,
            AuthProblem::NotYetValid,
            AuthProblem::WrongIssuer,
            AuthProblem::WrongAudience,
            AuthProblem::UnknownKey,
            AuthProblem::NoKnownRole,
        ];
        every.extend(Permission::ALL.map(AuthProblem::RoleNotSufficient));
        every
    }

    #[test]
    fn a_bad_token_is_401_and_a_missing_role_is_403() {
        for problem in every() {
            let forbidden = matches!(problem, AuthProblem::NoKnownRole | AuthProblem::RoleNotSufficient(_));
            assert_eq!(problem.status(), if forbidden { 403 } else { 401 }, "{problem:?}");
        }
    }

    #[test]
    fn the_challenge_keeps_to_the_characters_of_rfc_6750() {
        for problem in every() {
            let description = problem.to_string();
            let legal = |byte: u8| matches!(byte, 0x20..=0x21 | 0x23..=0x5b | 0x5d..=0x7e);
            assert!(description.bytes().all(legal), "{problem:?}: {description}");
        }
        assert_eq!(AuthProblem::MissingToken.challenge(), r#"Bearer realm="cauri""#);
        assert_eq!(AuthProblem::Expired.challenge(), r#"Bearer error="invalid_token", error_description="the token has expired""#,);
        assert_eq!(
            AuthProblem::RoleNotSufficient(Permission::Write).challenge(),
            r#"Bearer error="insufficient_scope", error_description="the roles of the token do not grant write""#,
        );
    }
}
