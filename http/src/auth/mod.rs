//! Authentication by signed token and authorization by role.
//!
//! A request passes [`layer::Authorized`], which asks the [`token::Verifier`], which asks the [`jwks::Jwks`]; what is
//! refused is a [`challenge::AuthProblem`]. [`issuer::DevIssuer`] stands in for an identity provider on a laptop.
//!
//! **Invariant:** nothing in here issues tokens except `issuer`, and nothing in here accepts an algorithm but RS256.

pub mod challenge;
pub mod issuer;
pub mod jwks;
pub mod layer;
pub mod role;
pub mod subjects;
pub mod token;

#[cfg(test)]
mod tests;
