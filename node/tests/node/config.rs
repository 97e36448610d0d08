//! The reference of all options is what the code says.

use std::path::Path;

use cauri_node::config::show::markdown;

/// `UPDATE_DOCS=1 cargo test --release -p cauri-node config` writes the page anew.
#[test]
fn the_reference_is_what_the_code_says() {
    let page = markdown();
    let path = Path::new(env!("CARGO_MANIFEST_DIR")).join("../docs/reference/configuration.md");
    if std::env::var_os("UPDATE_DOCS").is_some() {
        std::fs::write(&path, &page).expect("written");
    }
    let committed = std::fs::read_to_string(&path).unwrap_or_default();
    let differs = page.lines().zip(committed.lines()).find(|(now, committed)| now != committed);
    assert!(page == committed, "docs/reference/configuration.md is not what the code says (UPDATE_DOCS=1 writes it): {differs:?}");
}

#[test]
fn every_option_of_serve_has_a_variable_and_a_text() {
    let page = markdown();
    let serve = page.split("## `cauri serve`").nth(1).and_then(|rest| rest.split("\n## ").next()).expect("a section");
    let rows: Vec<&str> = serve.lines().filter(|line| line.starts_with("| `")).collect();
    assert!(rows.len() > 15, "{serve}");
    for row in rows {
        // What is decided for one start must not stay in an environment.
        let is_for_one_start = row.starts_with("| `--accept-clock-gap` |");
        assert!(row.contains("`CAURI_") != is_for_one_start && !row.ends_with("|  |"), "{row}");
    }
}
