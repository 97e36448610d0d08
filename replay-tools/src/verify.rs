//! `verify` as a library: every check over a store or an export.

use std::ops::ControlFlow;
use std::path::{Path, PathBuf};
use std::sync::Arc;
use std::time::Instant;

use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use cauri_event_store::embedded::{EmbeddedStore, IndexAudit, OpenError};
use cauri_event_store::{Corruption, EventStore, Failure, NewerRecord, StoreError, Tree};

use crate::audit::{Audit, WRITTEN_BY_A_NEWER};
use crate::checks::expected_heads::ExpectedHead;
use crate::checks::{Check, index, read_models, snapshots};
use crate::finding::Findings;
use crate::frames::Frames;
use crate::pipeline::{self, Step};
use crate::progress::Progress;
use crate::reading::{JournalKind, Seed};
use crate::remembered::RememberedExport;
use crate::report::{CheckReport, Newer, Report, Verdict};
use crate::source::{ExportError, ExportHeader, ExportSource, Journal, Source};

/// What an audit is asked to do beyond its checks.
#[derive(Clone, Debug, Default)]
pub struct Wanted {
    /// Heads that were noted earlier.
    pub expected: Vec<ExpectedHead>,
    /// Exports that were made earlier.
    pub exports: Vec<PathBuf>,
    /// The read store whose models are compared with a replay; `None` to leave them alone.
    pub read_store: Option<PathBuf>,
    /// What the time is: records that are later lie in the future. `None` where that is not to be said.
    pub now: Option<Timestamp>,
    /// Where progress is shown.
    pub show_progress: bool,
}

/// Notes of checks that were not, or not only, made in the one pass.
#[derive(Default)]
struct Notes {
    not_applicable: Vec<(Check, &'static str)>,
    stopped: Vec<(Check, String)>,
    notes: Vec<(Check, String)>,
}

/// Audits the journal in a store, up to the head that it has now.
///
/// The store may be written to meanwhile: what comes after that head is left for the next audit.
pub fn verify_store(store: &Arc<dyn EventStore>, wanted: &Wanted) -> Result<Report, Failure> {
    verify(store, Ok(Some(store.clone())), None, wanted)
}

/// Audits the embedded journal `name` in the directory `dir`, up to the head that it has now.
///
/// The frames are read without the store's help, so that damage does not stop the audit at its first sight.
pub fn verify_directory(dir: &Path, name: &str, wanted: &Wanted) -> Result<Report, OpenError> {
    let frames = match Frames::open(dir, name) {
        Ok(frames) => frames,
        Err(OpenError::Store(StoreError::Corruption(corruption))) => return Ok(nothing_readable(name, &corruption, wanted)),
        Err(error) => return Err(error),
    };
    // Without its file the look-ups would be built from the journal, and only be compared with themselves.
    let has_index = dir.join("index.sqlite").exists();
    let store = if has_index {
        EmbeddedStore::open_read_only(dir, name).map(|store| Some(Arc::new(store) as Arc<dyn EventStore>))
    } else {
        Ok(None)
    };
    let index = has_index.then(|| EmbeddedStore::audit_index(dir, name).map_err(|error| error.to_string()));
    Ok(verify(&frames, store.map_err(|error| error.to_string()), index, wanted).map_err(StoreError::from)?)
}

/// The report on a journal whose file is damaged as a whole: one finding, and no other check could be made.
fn nothing_readable(name: &str, corruption: &Corruption, wanted: &Wanted) -> Report {
    let began = Instant::now();
    let mut audit = Audit::new(Seed::default(), &wanted.expected, Vec::new(), None, wanted.now);
    audit.findings.at(Check::Checksums, corruption.position, corruption.what.clone());
    let unread = Check::ALL.into_iter().filter(|check| *check != Check::Checksums);
    let stopped = unread.map(|check| (check, "not looked at: the file of the journal cannot be read".to_owned()));
    report(name, audit, &wanted.expected, Notes { stopped: stopped.collect(), ..Notes::default() }, began)
}

impl Wanted {
    /// Opens the exports; their heads are expected, too.
    fn remembered(&self) -> Result<(Vec<ExpectedHead>, Vec<RememberedExport>), ExportError> {
        let exports: Vec<RememberedExport> = self.exports.iter().map(|path| RememberedExport::open(path)).collect::<Result<_, _>>()?;
        let expected = self.expected.iter().copied().chain(exports.iter().map(RememberedExport::head)).collect();
        Ok((expected, exports))
    }
}

/// A stored head that contradicts itself is a finding; one that cannot be read at all ends the audit.
fn stored_tree(tree: Result<Tree, StoreError>) -> Result<Result<Tree, Corruption>, Failure> {
    match tree {
        Ok(tree) => Ok(Ok(tree)),
        Err(StoreError::Corruption(corruption)) => Ok(Err(corruption)),
        Err(StoreError::Failure(failure)) => Err(failure),
        Err(StoreError::Newer(newer)) => Err(Failure::NotDone(newer.to_string())),
    }
}

/// The audit of anything that has a stored head. `store` gives look-ups and snapshots, if there are any; `index` is what
/// was found in the file of the look-ups, where they have one.
fn verify(
    journal: &dyn Journal,
    store: Result<Option<Arc<dyn EventStore>>, String>,
    index: Option<Result<IndexAudit, String>>,
    wanted: &Wanted,
) -> Result<Report, Failure> {
    let began = Instant::now();
    let (expected, exports) = wanted.remembered().map_err(|error| Failure::NotDone(error.to_string()))?;
    let mut early = Findings::default();
    let mut notes = Notes::default();
    let (store, unopened) = match store {
        Ok(store) => (store, None),
        Err(why) => (None, Some(why)),
    };
    // Before the head: beside a running server a snapshot may be taken at any time, and it must not lie beyond the head.
    let snapshot = store.as_ref().map_or(Ok(None), |store| store.latest_snapshot()).unwrap_or_else(|error| {
        early.add(Check::Snapshots, None, format!("the snapshot cannot be read: {error}"));
        None
    });
    if snapshot.is_none() && early.count(Check::Snapshots) == 0 {
        notes.not_applicable.push((Check::Snapshots, "there is none"));
    }
    let tree = stored_tree(journal.tree())?;
    let source = journal.source(tree.as_ref().ok().map(|tree| tree.head().position))?;
    let (tree, torn_head) = match tree {
        Ok(tree) => (Some(tree), None),
        Err(corruption) => (None, Some(corruption.what)),
    };
    let head = tree.as_ref().map(Tree::head);
    let mut audit = Audit::new(Seed::default(), &expected, exports, snapshot.clone(), wanted.now);
    audit.findings.append(early);
    replay(source, &mut audit, wanted, head.map(|head| head.position));
    audit.end(head.as_ref(), tree.as_ref(), &expected, store.as_deref());
    if let Some(until) = journal.format_1_until() {
        audit.format_1_ends(until);
    }
    for what in journal.torn_structure() {
        audit.findings.add(Check::Checksums, None, format!("the file's own structure: {what}"));
    }
    if let Some(what) = torn_head {
        // What a head says that contradicts itself is no place to point to: the last record is.
        audit.findings.at(Check::Roots, audit.last(), what);
    }
    if let Some(head) = head {
        match journal.behind(head.position) {
            Ok(None) => {}
            Ok(Some(last)) => {
                let what = format!("records stand up to {last}, though the head is at {}", head.position);
                audit.findings.at(Check::Positions, head.position.next(), what);
            }
            Err(error) => audit.findings.at(Check::Positions, head.position.next(), error.to_string()),
        }
    }
    if let Some(snapshot) = snapshot.as_ref().filter(|_| audit.stopped(Check::Roots).is_none()) {
        let mut found = Findings::default();
        snapshots::belongs(snapshot, audit.roots(), audit.last(), &mut found);
        audit.findings.append(found);
    }
    look_up(store.as_deref(), unopened, index, &mut audit, &mut notes);
    compare_read_models(journal, wanted, &mut audit, &mut notes);
    Ok(report(journal.name(), audit, &expected, notes, began))
}

/// Audits an export.
pub fn verify_export<R: std::io::BufRead + Send>(lines: R, wanted: &Wanted) -> Result<Report, ExportError> {
    let began = Instant::now();
    let (expected, exports) = wanted.remembered()?;
    let (ExportHeader { head, journal, .. }, source) = ExportSource::new(lines)?;
    let mut audit = Audit::new(Seed::default(), &expected, exports, None, wanted.now);
    replay(source, &mut audit, wanted, Some(head.position));
    audit.end(Some(&head), None, &expected, None);
    let mut notes = Notes::default();
    for check in [Check::Checksums, Check::Index, Check::Snapshots, Check::ReadModels] {
        notes.not_applicable.push((check, "an export has none"));
    }
    Ok(report(&journal, audit, &expected, notes, began))
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

fn look_up(
    store: Option<&dyn EventStore>,
    unopened: Option<String>,
    index: Option<Result<IndexAudit, String>>,
    audit: &mut Audit,
    notes: &mut Notes,
) {
    // The file first: a store that finds it damaged builds its look-ups from the journal, and would only be compared with itself.
    match index {
        None => {}
        Some(Ok(found)) => {
            for what in &found.damage {
                audit.findings.add(Check::Index, None, format!("{what}; the server rebuilds it when it starts or meets this"));
            }
        }
        Some(Err(why)) => audit.findings.add(Check::Index, None, why),
    }
    if audit.newer().is_some() {
        notes.stopped.push((Check::Index, format!("not looked at: {WRITTEN_BY_A_NEWER}")));
        return;
    }
    if audit.findings.count(Check::Checksums) + audit.findings.count(Check::Positions) + audit.findings.count(Check::Schemas) > 0 {
        notes.stopped.push((Check::Index, "not looked at: the records themselves are damaged".into()));
        return;
    }
    let Some(store) = store else {
        match unopened {
            Some(why) => audit.findings.add(Check::Index, None, format!("the store cannot be opened: {why}")),
            None => notes.not_applicable.push((Check::Index, "there is none; the server builds it when it starts")),
        }
        return;
    };
    let mut found = Findings::default();
    let sound = audit.findings.count(Check::Versions) == 0;
    match index::check(store, audit.sample(), sound, &mut found) {
        Ok(note) => notes.notes.push((Check::Index, note)),
        Err(StoreError::Corruption(Corruption { position, what })) => found.at(Check::Index, position, what),
        Err(StoreError::Failure(failure)) => found.add(Check::Index, None, format!("the look-ups cannot be read: {failure}")),
        // A record behind the head that was audited.
        Err(StoreError::Newer(newer)) => notes.stopped.push((Check::Index, newer.to_string())),
    }
    audit.findings.append(found);
}

fn compare_read_models(journal: &dyn Journal, wanted: &Wanted, audit: &mut Audit, notes: &mut Notes) {
    match &wanted.read_store {
        None => notes.not_applicable.push((Check::ReadModels, "not asked for")),
        Some(path) if !path.exists() => notes.not_applicable.push((Check::ReadModels, "there is no read store")),
        Some(_) if audit.stopped(Check::ReadModels).is_some() => {}
        Some(_) if audit.kind() == Some(JournalKind::Market) => notes.not_applicable.push((Check::ReadModels, "a market has none")),
        Some(path) => {
            let mut found = Findings::default();
            let note = read_models::check(path, journal, None, wanted.show_progress, &mut found);
            notes.notes.push((Check::ReadModels, note));
            audit.findings.append(found);
        }
    }
}

fn report(journal: &str, audit: Audit, expected: &[ExpectedHead], mut notes: Notes, began: Instant) -> Report {
    if expected.is_empty() {
        notes.not_applicable.push((Check::ExpectedHeads, "none was given"));
    }
    let kind = audit.kind();
    if let Some(note) = audit.snapshot_note() {
        notes.notes.push((Check::Snapshots, note.to_owned()));
    }
    if let Some(NewerRecord { position, .. }) = audit.newer() {
        for check in [Check::Canonical, Check::Schemas] {
            notes.stopped.push((check, format!("not looked at from {position} on: {WRITTEN_BY_A_NEWER}")));
        }
    }
    // A journal in which nothing of any kind happened may become a ledger.
    let of_journal = kind.unwrap_or(JournalKind::Ledger);
    let checks: Vec<CheckReport> = Check::ALL
        .into_iter()
        .filter(|check| check.of_kind().is_none_or(|kind| kind == of_journal))
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
                (0, None, None) => match notes.stopped.iter().find(|(of, _)| *of == check) {
                    Some((_, why)) => (Verdict::Stopped, Some(why.clone())),
                    None => (Verdict::Ok, note),
                },
            };
            CheckReport { check, verdict, findings, note }
        })
        .collect();
    let ok = checks.iter().all(|check| matches!(check.verdict, Verdict::Ok | Verdict::NotApplicable));
    let was_read = notes.stopped.iter().all(|(of, _)| *of != Check::Roots);
    let head = (was_read && audit.stopped(Check::Roots).is_none()).then(|| audit.roots().tree().head());
    Report {
        cauri_verify: 1,
        journal: journal.to_owned(),
        kind: kind.map(JournalKind::name),
        ok,
        newer: audit.newer().cloned().map(|NewerRecord { position, what }| Newer { position, what }),
        head,
        figures: audit.figures().clone(),
        checks,
        findings: audit.findings.into_told(),
        seconds: began.elapsed().as_secs_f64(),
    }
}
