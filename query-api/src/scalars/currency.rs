//! `Currency`: a currency by its code.

use super::text_scalar;

text_scalar!(
    Currency(cauri_domain::money::Currency),
    "Currency",
    "A currency that Cauri knows, by its ISO 4217 code such as `XOF`, or `BTC`, `ETH`, `USDC`, `USDT`."
);
