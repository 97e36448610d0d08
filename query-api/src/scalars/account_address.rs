//! `AccountAddress`: where an account stands.

use super::text_scalar;

text_scalar!(
    AccountAddress(cauri_domain::ids::AccountAddress),
    "AccountAddress",
    "Where an account stands: 1 to 16 segments of letters, digits, `-` and `_`, joined by `:`, at most 200 characters, such as `merchants:awa:available`. Any prefix of whole segments can be rolled up."
);
