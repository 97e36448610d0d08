//! `verify` as a library: every check over a store or an export.

use std::ops::ControlFlow;
use std::path::PathBuf;
use std::sync::Arc;
use std::time::Instant;

use cauri_event_schemas::Position;
use cauri_event_store::{Corruption, EventStore, Failure, Head, StoreError, Tree};

use crate::audit::Audit;
use crate::checks::expected_heads::ExpectedHead;
use crate::checks::{Check, index, read_models, snapshots};
use crate::finding::Findings;
use crate::pipeline::{self, Step};
use crate::progress::Progress;
use crate::reading::Seed;
use crate::report::{CheckReport, Report, Verdict};
use crate::source::{ExportError, ExportHeader, ExportSource, Source, StoreSource};

/// What an audit is asked to do beyond its checks.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Heads that were noted earlier.
    pub expected: Vec<ExpectedHead>,
    /// The read store whose models are compared with a replay; `None` to leave them alone.
    pub read_store: Option<PathBuf>,
    /// Where progress is shown.
    pub show_progress: bool,
}

/// Notes of checks that were not, or not only, made in the one pass.
#[derive(Default)]
struct Notes {
    not_applicable: Vec<(Check, &'static str)>,
    notes: Vec<(Check, String)>,
}

/// Audits the journal in a store, up to the head that it has now.
///
/// The store may be written to meanwhile: what comes after that head is left for the next audit.
pub fn verify_store(store: &Arc<dyn EventStore>, wanted: &Wanted) -> Result<Report, Failure> {
    let began = Instant::now();
    let mut early = Findings::default();
    let mut notes = Notes::default();
    let tree = match store.tree() {
        Ok(tree) => Some(tree),
        Err(StoreError::Corruption(Corruption { position, what })) => {
            early.at(Check::Roots, position, what);
            None
        }
        Err(StoreError::Failure(failure)) => return Err(failure),
    };
    let snapshot = store.latest_snapshot().unwrap_or_else(|error| {
        early.add(Check::Snapshots, None, format!("the snapshot cannot be read: {error}"));
        None
    });
    if snapshot.is_none() && early.count(Check::Snapshots) == 0 {
        notes.not_applicable.push((Check::Snapshots, "there is none"));
    }
    let mut audit = Audit::new(Seed::default(), &wanted.expected, snapshot.clone());
    audit.findings.append(early);
    let head = tree.as_ref().map(Tree::head);
    match head {
        Some(head) => replay(StoreSource::new(store.clone(), head.position), &mut audit, wanted, Some(head.position)),
        None => replay(StoreSource::without_head(store.clone()), &mut audit, wanted, None),
    }
    audit.end(head.as_ref(), tree.as_ref(), &wanted.expected, Some(&**store));
    beyond_head(&**store, head, &mut audit);
    if let Some(snapshot) = &snapshot {
        if audit.stopped(Check::Roots).is_none() {
            let last = audit.last();
            let mut found = Findings::default();
            snapshots::belongs(snapshot, audit.roots(), last, &mut found);
            audit.findings.append(found);
        }
    }
    look_up(&**store, &mut audit, &mut notes);
    compare_read_models(store, wanted, &mut audit, &mut notes);
    Ok(report(store.name(), audit, &wanted.expected, notes, began))
}

/// Audits an export.
pub fn verify_export<R: std::io::BufRead + Send>(lines: R, wanted: &Wanted) -> Result<Report, ExportError> {
    let began = Instant::now();
    let (ExportHeader { head, journal, .. }, source) = ExportSource::new(lines)?;
    let mut audit = Audit::new(Seed::default(), &wanted.expected, None);
    replay(source, &mut audit, wanted, Some(head.position));
    audit.end(Some(&head), None, &wanted.expected, None);
    let mut notes = Notes::default();
    for check in [Check::Checksums, Check::Index, Check::Snapshots, Check::ReadModels] {
        notes.not_applicable.push((check, "an export has none"));
    }
    Ok(report(&journal, audit, &wanted.expected, notes, began))
}

/// Runs every batch past the checks.
fn replay(source: impl Source, audit: &mut Audit, wanted: &Wanted, end: Option<Position>) {
    let progress = if wanted.show_progress { Progress::to("verify", end) } else { Progress::default() };
    let seed = audit.seed().clone();
    pipeline::run(source, &seed, |step: Step| -> ControlFlow<()> {
        audit.step(step);
        progress.at(audit.last());
        ControlFlow::Continue(())
    });
    progress.done();
}

/// Are there records behind the head? An append moves both at once, so the head is read again after the record.
fn beyond_head(store: &dyn EventStore, head: Option<Head>, audit: &mut Audit) {
    let Some(head) = head else { return };
    let Ok(Some(batch)) = store.read_batch(head.position.next()) else { return };
    let moved_on = store.tree().is_ok_and(|tree| tree.size() >= batch.last.get());
    if !moved_on {
        let what = format!("records stand up to {}, though the head is at {}", batch.last, head.position);
        audit.findings.at(Check::Positions, head.position.next(), what);
    }
}

fn look_up(store: &dyn EventStore, audit: &mut Audit, notes: &mut Notes) {
    if audit.findings.count(Check::Checksums) + audit.findings.count(Check::Positions) + audit.findings.count(Check::Schemas) > 0 {
        notes.notes.push((Check::Index, "not looked at: the records themselves are damaged".into()));
        return;
    }
    let mut found = Findings::default();
    match index::check(store, audit.sample(), &mut found) {
        Ok(note) => notes.notes.push((Check::Index, note)),
        Err(StoreError::Corruption(Corruption { position, what })) => found.at(Check::Index, position, what),
        Err(StoreError::Failure(failure)) => found.add(Check::Index, None, format!("the look-ups cannot be read: {failure}")),
    }
    audit.findings.append(found);
}

fn compare_read_models(store: &Arc<dyn EventStore>, wanted: &Wanted, audit: &mut Audit, notes: &mut Notes) {
    match &wanted.read_store {
        None => notes.not_applicable.push((Check::ReadModels, "not asked for")),
        Some(path) if !path.exists() => notes.not_applicable.push((Check::ReadModels, "there is no read store")),
        Some(_) if audit.stopped(Check::ReadModels).is_some() => {}
        Some(path) => {
            let mut found = Findings::default();
            let note = read_models::check(path, store, audit.last(), wanted.show_progress, &mut found);
            notes.notes.push((Check::ReadModels, note));
            audit.findings.append(found);
        }
    }
}

fn report(journal: &str, audit: Audit, expected: &[ExpectedHead], mut notes: Notes, began: Instant) -> Report {
    if expected.is_empty() {
        notes.not_applicable.push((Check::ExpectedHeads, "none was given"));
    }
    if let Some(note) = audit.snapshot_note() {
        notes.notes.push((Check::Snapshots, note.to_owned()));
    }
    let checks: Vec<CheckReport> = Check::ALL
        .into_iter()
        .map(|check| {
            let findings = audit.findings.count(check);
            let stopped = audit.stopped(check);
            let absent = notes.not_applicable.iter().find(|(of, _)| *of == check);
            let note = notes.notes.iter().find(|(of, _)| *of == check).map(|(_, note)| note.clone());
            let (verdict, note) = match (findings, absent, stopped) {
                (1.., _, None) => (Verdict::Failed, note),
                (1.., _, Some((position, why))) => (Verdict::Failed, Some(format!("and not looked at from {position} on: {why}"))),
                (0, Some((_, why)), _) => (Verdict::NotApplicable, Some((*why).to_owned())),
                (0, None, Some((position, why))) => (Verdict::Stopped, Some(format!("not looked at from {position} on: {why}"))),
                (0, None, None) if check == Check::Index && note.as_deref().is_some_and(|note| note.starts_with("not ")) => {
                    (Verdict::Stopped, note)
                }
                (0, None, None) => (Verdict::Ok, note),
            };
            CheckReport { check, verdict, findings, note }
        })
        .collect();
    let ok = checks.iter().all(|check| matches!(check.verdict, Verdict::Ok | Verdict::NotApplicable));
    let head = audit.stopped(Check::Roots).is_none().then(|| audit.roots().tree().head());
    Report {
        cauri_verify: 1,
        journal: journal.to_owned(),
        ok,
        head,
        figures: audit.figures(),
        checks,
        findings: audit.findings.into_told(),
        seconds: began.elapsed().as_secs_f64(),
    }
}
