//! `EntryId`: the id of an entry.

use super::text_scalar;

text_scalar!(
    EntryId(cauri_domain::ids::EntryId),
    "EntryId",
    "The id of an entry, made by whoever posted it: a UUID in its hyphenated form, such as `0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f`."
);
