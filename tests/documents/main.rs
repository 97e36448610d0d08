//! The reference says what the code does: its lists are written from the code, and compared with it here.
//! `UPDATE_DOCS=1 cargo test --release -p cauri-tests --test documents` writes them.

use std::fmt::Write;
use std::path::Path;

use cauri_command_api::problem::PROBLEMS;
use cauri_command_api::readiness::REASONS;
use cauri_domain::RefusalCode;

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

fn compare(name: &str, expected: &str) {
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("..").join(name);
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, expected).expect("written");
    }
    let found = std::fs::read_to_string(&path).unwrap_or_default();
    assert!(found == expected, "{name} is not what the code says; write it with UPDATE_DOCS=1");
}
