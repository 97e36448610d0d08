//! `cauri token`: prints a token of the development issuer, and nothing else.

use std::path::Path;
use std::process::ExitCode;
use std::time::Duration;

use cauri_command_api::auth::issuer::DevIssuer;
use cauri_command_api::auth::role::Role;

use crate::Failed;
use crate::config::TokenOptions;

/// Prints a token.
pub fn run(options: &TokenOptions) -> Result<ExitCode, Failed> {
    println!("{}", issue(&options.data.data, &options.subject, options.role, options.ttl)?);
    Ok(ExitCode::SUCCESS)
}

/// A token of the development issuer of a data directory, which is made where there is none.
pub fn issue(data: &Path, subject: &str, role: Role, ttl: Duration) -> Result<String, Failed> {
    let issuer = DevIssuer::open_or_create(data)?;
    Ok(issuer.issue(subject, &[role], ttl)?)
}
