//! Progress on anything long, on standard error and only where a person looks.

use std::io::IsTerminal;

use cauri_event_schemas::Position;
use indicatif::{ProgressBar, ProgressStyle};

/// A bar, or nothing.
#[derive(Clone, Debug, Default)]
pub struct Progress(Option<ProgressBar>);

impl Progress {
    /// A bar up to a position, if standard error is a terminal.
    pub fn to(what: &'static str, end: Option<Position>) -> Self {
        if !std::io::stderr().is_terminal() {
            return Self(None);
        }
        let bar = match end {
            Some(end) => ProgressBar::new(end.get()),
            None => ProgressBar::no_length(),
        };
        let form = "{prefix} {wide_bar} {human_pos}/{human_len} records, {per_sec}, {eta} left";
        if let Ok(style) = ProgressStyle::with_template(form) {
            bar.set_style(style);
        }
        bar.set_prefix(what);
        Self(Some(bar))
    }

    /// Everything up to `position` is done.
    pub fn at(&self, position: Position) {
        if let Some(bar) = &self.0 {
            bar.set_position(position.get());
        }
    }

    /// The work is done; the bar goes.
    pub fn done(&self) {
        if let Some(bar) = &self.0 {
            bar.finish_and_clear();
        }
    }
}
