//! Shows the configuration: as `serve` would run with it, or as a page of the reference.

use std::error::Error;
use std::fmt::Write as _;

use clap::parser::ValueSource;
use clap::{Arg, ArgMatches, Command, CommandFactory as _};

use super::{Cli, ConfigArgs};

/// `cauri config`
///
/// # Errors
/// Never, for now; subcommands have one shape.
pub fn run(args: &ConfigArgs) -> Result<(), Box<dyn Error>> {
    if args.markdown {
        print!("{}", markdown());
    } else {
        print!("{}", effective(&Cli::command().get_matches()));
    }
    Ok(())
}

/// The values that `serve` would run with, as lines for an environment file.
fn effective(matches: &ArgMatches) -> String {
    let mut text = String::new();
    let Some(("config", matches)) = matches.subcommand() else { return text };
    let command = Cli::command();
    let Some(config) = command.find_subcommand("config") else { return text };
    for arg in config.get_arguments() {
        let Some(variable) = arg.get_env() else { continue };
        let id = arg.get_id().as_str();
        let source = match matches.value_source(id) {
            Some(ValueSource::CommandLine) => "command line",
            Some(ValueSource::EnvVariable) => "environment",
            _ => "default",
        };
        // An option that may be given several times is one list in its variable.
        let value = matches.get_raw(id).map(|values| values.map(|value| value.to_string_lossy()).collect::<Vec<_>>().join(","));
        let line = match value {
            Some(value) => format!("{}={value}", variable.to_string_lossy()),
            None => format!("# {} is not set", variable.to_string_lossy()),
        };
        // Writing to a string cannot fail.
        let _ = writeln!(text, "{line:<52} # {source}");
    }
    text
}

/// The reference of all options: `docs/reference/configuration.md`.
pub fn markdown() -> String {
    let mut page = String::from(
        "# Configuration\n\n\
         Written from the code by `cauri config --markdown`; a test compares. An option of the command line goes before the\n\
         variable of the environment, and that before the default. `cauri config` prints what is in effect.\n",
    );
    let mut command = Cli::command();
    command.build();
    for subcommand in command.get_subcommands().filter(|subcommand| subcommand.get_name() != "help") {
        let about = subcommand.get_about().map(ToString::to_string).unwrap_or_default();
        let _ = write!(page, "\n## `cauri {}`\n\n{about}.\n\n", subcommand.get_name());
        // Said once: what `serve` takes is not repeated where all of it is taken as well.
        let serve = command.find_subcommand("serve").filter(|serve| {
            serve.get_name() != subcommand.get_name()
                && serve.get_arguments().all(|arg| subcommand.get_arguments().any(|other| other.get_id() == arg.get_id()))
        });
        if serve.is_some() {
            page.push_str("All that `cauri serve` takes, and:\n\n");
        }
        options(&mut page, subcommand, serve);
    }
    page
}

fn options(page: &mut String, command: &Command, but: Option<&Command>) {
    page.push_str("| option | variable | default | what it is |\n|---|---|---|---|\n");
    let said = |arg: &&Arg| but.is_some_and(|but| but.get_arguments().any(|other| other.get_id() == arg.get_id()));
    for arg in command.get_arguments().filter(|arg| !matches!(arg.get_id().as_str(), "help" | "version") && !said(arg)) {
        let variable = arg.get_env().map(|name| format!("`{}`", name.to_string_lossy())).unwrap_or_default();
        let help = arg.get_help().map(ToString::to_string).unwrap_or_default();
        let _ = writeln!(page, "| {} | {variable} | {} | {} |", name(arg), default(arg), escaped(&help));
    }
}

fn name(arg: &Arg) -> String {
    let takes = arg.get_action().takes_values();
    let value = arg.get_value_names().filter(|_| takes).map(|names| names.iter().map(ToString::to_string).collect::<Vec<_>>().join(" "));
    let text = match (arg.get_long(), value) {
        (Some(long), Some(value)) => format!("--{long} {value}"),
        (Some(long), None) => format!("--{long}"),
        (None, Some(value)) => value,
        (None, None) => arg.get_id().to_string(),
    };
    format!("`{}`", escaped(&text))
}

fn default(arg: &Arg) -> String {
    let values: Vec<String> = arg.get_default_values().iter().map(|value| format!("`{}`", value.to_string_lossy())).collect();
    match values.as_slice() {
        _ if !arg.get_action().takes_values() => "off".to_owned(),
        [] if arg.is_required_set() => "needed".to_owned(),
        values => values.join(", "),
    }
}

/// A bar would end a cell.
fn escaped(text: &str) -> String {
    text.replace('|', "\\|")
}
