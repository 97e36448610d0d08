//! `manual`: the manual entries of commands and checks.

use std::io::Write;

use clap::Args;

use super::{CommandError, Exit};
use crate::Check;
use crate::shown::{Lean, Table};

#[derive(Debug, Args)]
pub(super) struct Arguments {
    /// A command or a check; all of them with a sentence each if absent.
    name: Option<String>,
}

/// Every command's manual, by name.
const COMMANDS: [(&str, &str); 10] = [
    ("verify", include_str!("verify.md")),
    ("show", include_str!("show.md")),
    ("balances", include_str!("balances.md")),
    ("trial-balance", include_str!("trial_balance.md")),
    ("head", include_str!("head.md")),
    ("export", include_str!("export.md")),
    ("import", include_str!("import.md")),
    ("rebuild", include_str!("rebuild.md")),
    ("repack", include_str!("repack.md")),
    ("manual", include_str!("manual.md")),
];

pub(super) fn run(arguments: &Arguments, out: &mut dyn Write) -> Result<Exit, CommandError> {
    let Some(name) = &arguments.name else {
        let mut commands = Table::new(&[("command", Lean::Left), ("what it does", Lean::Left)]);
        for (name, manual) in COMMANDS {
            commands.row([name, first_sentence(manual)]);
        }
        let mut checks = Table::new(&[("check", Lean::Left), ("what holds where it is silent", Lean::Left)]);
        for check in Check::ALL {
            checks.row([check.name(), check.promise()]);
        }
        write!(out, "{}\n{}", commands.text(""), checks.text(""))?;
        return Ok(Exit::Well);
    };
    let command = COMMANDS.iter().find(|(command, _)| command == name).map(|(_, manual)| *manual);
    let check = Check::ALL.into_iter().find(|check| check.name() == name).map(Check::manual);
    match command.or(check) {
        Some(manual) => write!(out, "{manual}")?,
        None => {
            return Err(CommandError::Usage(format!("there is neither a command nor a check {name:?}; `cauri-replay manual` lists them")));
        }
    }
    Ok(Exit::Well)
}

/// The first line behind the title.
fn first_sentence(manual: &str) -> &str {
    manual.lines().skip(1).find(|line| !line.is_empty()).unwrap_or_default()
}
