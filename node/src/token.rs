//! `cauri token`: a token of the development issuer.

use std::error::Error;
use std::time::Duration;

use cauri_domain::reach::Reach;
use cauri_http::auth::issuer::{DevIssuer, IssuerError};
use cauri_http::auth::role::Role;

use crate::config::{DataArgs, TokenArgs, TrustArgs};

/// Prints a token and nothing else, so that it can stand in a command substitution.
///
/// # Errors
/// When the issuer cannot be used, or the token would be good for nothing.
pub fn run(args: &TokenArgs) -> Result<(), Box<dyn Error>> {
    if let Some(jwks) = &args.trust.jwks {
        eprintln!("cauri: note: a server with --jwks {jwks} does not know the development issuer that signs this token");
    }
    let TokenArgs { account_prefix, account_set, .. } = args;
    let is_limited = !account_prefix.is_empty() || !account_set.is_empty();
    let reach = is_limited.then(|| Reach::new(account_prefix.iter().cloned(), account_set.iter().cloned()));
    let issuer = DevIssuer::open_or_create(&args.data.data)?.with_trust(args.trust.trust());
    println!("{}", issuer.issue_within(&args.subject, &args.role, reach.as_ref(), args.ttl)?);
    Ok(())
}

/// A token of the development issuer of a data directory, which is made if it is not there.
///
/// # Errors
/// When the issuer cannot be used, or the token would be good for nothing.
pub fn issue(data: &DataArgs, trust: &TrustArgs, subject: &str, roles: &[Role], ttl: Duration) -> Result<String, IssuerError> {
    DevIssuer::open_or_create(&data.data)?.with_trust(trust.trust()).issue(subject, roles, ttl)
}
