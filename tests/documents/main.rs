//! The reference says what the code does: its lists are written from the code, and compared with it here.
//! `UPDATE_DOCS=1 cargo test --release -p cauri-tests --test documents` writes them.

use std::fmt::Write;
use std::path::{Path, PathBuf};

use cauri_command_api::readiness::REASONS;
use cauri_domain::RefusalCode;
use cauri_domain::entry::MAX_TRANSFERS;
use cauri_domain::event::EventSet;
use cauri_domain::fold::Totals;
use cauri_domain::ids::{AccountAddress, CommandId};
use cauri_domain::journal::Rules;
use cauri_domain::kind::Kind;
use cauri_domain::ledger::Ledger;
use cauri_domain::money::{MAX_EXPONENT, MAX_MINOR};
use cauri_domain::text::{Key, ShortText};
use cauri_domain::time::Timestamp;
use cauri_engine::MAX_COMMANDS;
use cauri_engine::sequencer::MOST_BYTES;
use cauri_event_schemas::registry::event_types;
use cauri_http::problem::PROBLEMS;
use cauri_projections::read_models;

#[test]
fn the_reference_of_refusals_and_problems_is_the_code() {
    let mut page = String::from(
        "# Refusals and problems\n\n\
         Written from the code by `UPDATE_DOCS=1 cargo test --release -p cauri-tests --test documents`.\n\n\
         ## Refusals\n\n\
         A refusal means: the command was understood, and the rules say no. It is answered with status 422, is recorded as\n\
         `command.refused`, and is answered again on a retry with the same key. Two leave no record: `idempotency_key_reused`,\n\
         whose key has one already, and `journal_closed`. Nothing refuses with `period_closed` yet. The list is in order of precedence: where\n\
         several apply, the first is the answer.\n\n\
         | code | meaning |\n|---|---|\n",
    );
    for code in RefusalCode::ALL {
        writeln!(page, "| `{code}` | {} |", code.meaning()).expect("a string");
    }
    page.push_str(
        "\n## Problems\n\n\
         An answer of the REST API that is no success is a problem document (RFC 9457, `application/problem+json`) with a stable\n\
         `code`; `/readyz` alone answers 503 with the reasons below. GraphQL has codes of its own in `errors[].extensions.code`.\n\n\
         | code | status | meaning |\n|---|---|---|\n",
    );
    for problem in PROBLEMS {
        writeln!(page, "| `{}` | {} | {} |", problem.code, problem.status, problem.meaning).expect("a string");
    }
    page.push_str(
        "\n## Reasons of `/readyz`\n\n\
         `/readyz` answers 200 where none of these holds, else 503. They are the `reason` labels of the metric `cauri_not_ready`,\n\
         which is 1 for each that holds. Without a token the answer has the names alone; a token with any role adds `checks`, which\n\
         say what was looked at and what was found.\n\n\
         | reason | meaning |\n|---|---|\n",
    );
    for reason in REASONS {
        writeln!(page, "| `{}` | {} |", reason.name, reason.meaning).expect("a string");
    }
    compare("docs/reference/refusals.md", &page);
}

#[test]
fn the_reference_of_event_types_is_the_code() {
    let mut page = String::from(
        "# Event types\n\n\
         Written from the code by `UPDATE_DOCS=1 cargo test --release -p cauri-tests --test documents`.\n\n\
         What a record's `type` can be, the version of its `data` that is written today (every earlier one is read as well), and\n\
         which read models it changes. `event-schemas/schemas` has a JSON Schema of each version, `event-schemas/samples` a\n\
         record; [journal-format](journal-format.md) says what the events do to balances.\n\n\
         | type | version | what happened | changes |\n|---|---|---|---|\n",
    );
    let of_ledger = <Ledger as Kind>::Event::types();
    for known in event_types() {
        let is_of_ledger = of_ledger.iter().any(|own| own.name == known.name);
        let models =
            read_models().filter(|model| is_of_ledger && model.reads.contains(known.name)).map(|model| format!("`{}`", model.name));
        let models: Vec<String> = models.collect();
        let what = known.description.trim();
        writeln!(page, "| `{}` | {} | {what} | {} |", known.name, known.version, models.join(", ")).expect("a string");
    }
    compare("docs/reference/event-types.md", &page);
}

#[test]
fn the_stand_alone_verifier_knows_every_event_type_and_the_kind_that_it_is_of() {
    let name = "docs/reference/verify_export.py";
    let page = std::fs::read_to_string(root().join(name)).expect("the verifier");
    let (begin, end) =
        ("# Written from the code: the newest version of each type of event.\n", "# End of what is written from the code.\n");
    let (before, rest) = page.split_once(begin).expect("where the list begins");
    let (_, after) = rest.split_once(end).expect("where the list ends");
    let (_, kinds) = page.split_once("\nKINDS = {").expect("which types of streams are of which kind");
    let mut list = String::from("TYPES = {\n");
    for known in event_types() {
        let stream = known.name.split('.').next().expect("a type of stream");
        let is_of_any = ["command", "journal"].contains(&stream);
        assert!(is_of_any || kinds.contains(&format!("\"{stream}\": ")), "{stream} is of no kind in {name}");
        writeln!(list, "    \"{}\": {},", known.name, known.version).expect("a string");
    }
    list.push_str("}\n");
    compare(name, &format!("{before}{begin}{list}{end}{after}"));
}

/// A bound, what it is, and what happens beyond it.
type Bound = (&'static str, String, &'static str);

fn bounds() -> Vec<(&'static str, Vec<Bound>)> {
    let counted = |number: i64| grouped(i128::from(number));
    let accounts_and_amounts = vec![
        ("amount of one transfer, in minor units", counted(MAX_MINOR), "`amount_too_large`"),
        ("digits after the point", format!("those of the currency, 0 to {MAX_EXPONENT}"), "`amount_scale`"),
        ("floor, in minor units", format!("-{} to 0", counted(MAX_MINOR)), "`invalid_limits` above, `amount_too_large` below"),
        ("ceiling, in minor units", format!("0 to {}", counted(MAX_MINOR)), "`invalid_limits` below, `amount_too_large` above"),
        (
            "all that an account debits, and all that it credits, in its whole life, open holds included, in minor units",
            format!("{} (2^61 − 1)", counted(Totals::MAX)),
            "`turnover_exhausted`, see [entries](entries.md)",
        ),
        ("what one closing sweeps to another account, in minor units", counted(MAX_MINOR), "`amount_too_large`: move a part first"),
        ("account address", "1 to 16 segments, 200 characters".into(), "`validation_failed`"),
        ("accounts in a journal", grouped(1 << 32), "the memory of the machine ends first"),
    ];
    let entries = vec![
        ("transfers of an entry", format!("1 to {}", grouped(MAX_TRANSFERS as i128)), "`validation_failed`"),
        ("instants", format!("{} to {}", Timestamp::MIN, Timestamp::MAX), "`validation_failed`"),
        (
            "`effective_at` ahead of now",
            format!("{} days, unless `POST /v1/journal/rules` said otherwise", Rules::default().max_future_days),
            "`effective_in_future_too_far`",
        ),
        ("`effective_at` in the past", "any instant".into(), "no refusal yet; periods are not closed yet"),
        ("`expires_at` of a hold", "later than now".into(), "`hold_expired`"),
        ("reference, reason, owner, chart code, value of a dimension or of metadata", "1 to 256 characters".into(), "`validation_failed`"),
        ("key of a dimension or of metadata", "1 to 64 characters of `a-z`, `0-9`, `_`, `.`, `-`".into(), "`validation_failed`"),
        ("number of dimensions of an entry, of metadata of an account", "the size of the body".into(), "`payload_too_large`"),
    ];
    let requests = vec![
        ("`Idempotency-Key`", "1 to 255 visible ASCII characters".into(), "`validation_failed`"),
        ("the same of a bulk request", "255 characters with `/` and the index of the item".into(), "`validation_failed`"),
        ("commands of a bulk request", grouped(MAX_COMMANDS as i128), "`payload_too_large`"),
        (
            "bytes that the records of a bulk request may have, counting 1,700 for each transfer",
            grouped(MOST_BYTES as i128),
            "`payload_too_large`",
        ),
        (
            "body, bulk body, times, connections",
            "see [configuration](configuration.md)".into(),
            "`payload_too_large`, `request_time_out`, `overloaded`",
        ),
        ("entries of a page of GraphQL", "500, 50 unless the query says otherwise".into(), "`BAD_USER_INPUT`"),
        ("position", format!("{} (2^53 − 1), in GraphQL", grouped((1 << 53) - 1)), "not reached in 28,000 years of 10,000 events a second"),
    ];
    vec![("Accounts and amounts", accounts_and_amounts), ("Entries", entries), ("Requests", requests)]
}

/// With a comma between each three digits.
fn grouped(number: i128) -> String {
    let digits = number.to_string();
    let grouped = digits.bytes().enumerate().flat_map(|(index, digit)| {
        let comma = index > 0 && (digits.len() - index).is_multiple_of(3);
        comma.then_some(',').into_iter().chain([char::from(digit)])
    });
    grouped.collect()
}

#[test]
fn the_reference_of_bounds_is_the_code() {
    let mut page = String::from(
        "# Bounds\n\n\
         Written from the code by `UPDATE_DOCS=1 cargo test --release -p cauri-tests --test documents`.\n\n\
         What is beyond a bound is refused with the code in the last column and changes nothing. Codes in small letters are\n\
         explained in [refusals and problems](refusals.md).\n",
    );
    for (title, bounds) in bounds() {
        writeln!(page, "\n## {title}\n\n| what | bound | beyond it |\n|---|---|---|").expect("a string");
        for (what, bound, beyond) in bounds {
            writeln!(page, "| {what} | {bound} | {beyond} |").expect("a string");
        }
    }
    compare("docs/reference/bounds.md", &page);
}

/// Those bounds of the page that are no constants of the code.
#[test]
fn every_page_of_the_reference_is_named_in_the_readme() {
    let root = Path::new(env!("CARGO_MANIFEST_DIR")).join("..");
    let readme = std::fs::read_to_string(root.join("README.md")).expect("a README");
    let pages = std::fs::read_dir(root.join("docs/reference")).expect("a folder").map(|page| page.expect("a page").file_name());
    let pages: Vec<String> = pages.map(|name| name.to_string_lossy().into_owned()).filter(|name| name.ends_with(".md")).collect();
    assert!(pages.len() > 5, "{pages:?}");
    for page in pages {
        assert!(readme.contains(&format!("(docs/reference/{page})")), "{page}");
    }
}

#[test]
fn texts_are_as_long_as_the_reference_says() {
    let fits = |longest: usize, fits: fn(&str) -> bool| {
        assert!(fits(&"a".repeat(longest)) && !fits(&"a".repeat(longest + 1)) && !fits(""), "{longest} characters");
    };
    fits(256, |text| text.parse::<ShortText>().is_ok());
    fits(64, |text| text.parse::<Key>().is_ok());
    fits(255, |text| text.parse::<CommandId>().is_ok());
    fits(200, |text| text.parse::<AccountAddress>().is_ok());
    let segments = |count: usize| vec!["a"; count].join(":").parse::<AccountAddress>().is_ok();
    assert!(segments(16) && !segments(17), "16 segments");
}

fn root() -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join("..")
}

fn compare(name: &str, expected: &str) {
    let path = root().join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} is not what the code says; write it with UPDATE_DOCS=1");
}
