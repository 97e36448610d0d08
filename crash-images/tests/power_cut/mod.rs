//! A store's life under the recorder, the images that it leaves, and what is asked of each.

use std::collections::BTreeMap;
use std::fmt;
use std::path::{Path, PathBuf};
use std::time::{Duration, Instant};

use cauri_crash_images::{Event, Honesty, Image, Medium, Recorder};
use cauri_event_schemas::Position;
use cauri_event_store::conformance::material::{Author, Commit, address, append, check};
use cauri_event_store::embedded::{EmbeddedStore, IndexSize, OpenError};
use cauri_event_store::{EventStore, Head, OwnedRecord, Snapshot};
use fastrand::Rng;
use rusqlite::Connection;
use tempfile::TempDir;

/// The journal's directory; its parents are created with it.
pub const JOURNAL: &str = "data/journals/ledger";
/// So small that every batch or two fills a table, and runs are merged.
const SIZE: IndexSize = IndexSize { keys_in_memory: 60, keys_a_chunk: 8, fan_in: 3, keys_a_slice: 32, key_bits: 64 };

/// How much is tried.
pub struct Draws {
    pub seed: u64,
    /// Images of one life.
    pub images: usize,
    seconds: Option<u64>,
}

/// What the environment asks for: a fixed seed and so many images without it.
pub fn draws(images: usize) -> Draws {
    let number = |variable: &str| std::env::var(variable).ok().map(|text| text.parse::<u64>().expect("a number"));
    let seconds = number("CAURI_FUZZ_SECONDS");
    Draws { seed: number("CAURI_SEED").unwrap_or(1), images: if seconds.is_some() { 4 * images } else { images }, seconds }
}

impl Draws {
    pub fn go_on(&self, began: Instant) -> bool {
        self.seconds.is_some_and(|seconds| began.elapsed() < Duration::from_secs(seconds))
    }
}

/// What was written, and where its batches ended.
#[derive(Debug, Default)]
pub struct History {
    records: Vec<OwnedRecord>,
    heads: BTreeMap<u64, Head>,
    snapshots: Vec<Snapshot>,
}

impl History {
    /// The last position.
    pub fn last(&self) -> u64 {
        self.heads.keys().next_back().copied().unwrap_or(0)
    }
}

/// A recorded life.
pub struct Life {
    pub history: History,
    events: Vec<Event>,
    /// Cuts come after so many events.
    from: usize,
    _root: TempDir,
}

/// An image in a directory of its own.
pub struct Left {
    root: TempDir,
    image: Image,
    drawn: String,
}

/// What is wrong with an image.
#[derive(Debug)]
pub enum Fault {
    DoesNotOpen(String),
    Lost { acknowledged: u64, found: u64 },
    OtherHistory(Head),
    OtherRecords(Head),
    OtherSnapshot(Head),
}

impl fmt::Display for Fault {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Fault::DoesNotOpen(why) => write!(f, "the store does not open: {why}"),
            Fault::Lost { acknowledged, found } => write!(f, "position {acknowledged} was acknowledged, the head is at {found}"),
            Fault::OtherHistory(head) => write!(f, "no batch ended at {head}"),
            Fault::OtherRecords(head) => write!(f, "the records up to {head} are not those that were written"),
            Fault::OtherSnapshot(head) => write!(f, "nobody saved the snapshot at {head}"),
        }
    }
}

pub fn open(dir: &Path) -> Result<EmbeddedStore, OpenError> {
    EmbeddedStore::open_with(dir, "ledger", SIZE)
}

/// Everything that is asked of an image.
pub fn examine(left: &Left, history: &History, acknowledged: u64) -> Result<(), Fault> {
    let dir = left.journal();
    let store = open(&dir).map_err(|error| Fault::DoesNotOpen(error.to_string()))?;
    let head = store.head().map_err(|error| Fault::DoesNotOpen(error.to_string()))?;
    let found = head.position.get();
    if found < acknowledged {
        return Err(Fault::Lost { acknowledged, found });
    }
    if found > 0 && history.heads.get(&found) != Some(&head) {
        return Err(Fault::OtherHistory(head));
    }
    let records = store.read_journal(Position::ZERO, found as usize).map_err(|error| Fault::DoesNotOpen(error.to_string()))?;
    if records[..] != history.records[..found as usize] {
        return Err(Fault::OtherRecords(head));
    }
    let snapshot = store.latest_snapshot().map_err(|error| Fault::DoesNotOpen(error.to_string()))?;
    if let Some(snapshot) = snapshot.filter(|snapshot| !history.snapshots.contains(snapshot)) {
        return Err(Fault::OtherSnapshot(snapshot.head));
    }
    check(&store);
    append(&store, &[Author::numbered("afterwards", found).entry()]);
    drop(store);
    let store = open(&dir).map_err(|error| Fault::DoesNotOpen(format!("the second time: {error}")))?;
    assert_eq!(store.head().expect("a head").position.get(), found + 1, "the journal goes on");
    Ok(())
}

impl Life {
    /// Opens a new journal, writes batches of many sizes with flushes, merges, snapshots and checkpoints between them,
    /// closes it and opens it again.
    pub fn live(seed: u64, honesty: Honesty) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        let recorder = Recorder::start(root.path(), honesty);
        let mut random = Rng::with_seed(seed);
        let mut history = History::default();
        let mut author = Author::new("a");
        let dir = root.path().join(JOURNAL);
        for _ in 0..3 {
            let store = open(&dir).expect("a store");
            recorder.note(history.last());
            for _ in 0..12 {
                let commits = commits(&mut author, &mut random);
                let head = append(&store, &commits);
                recorder.note(head.position.get());
                history.heads.insert(head.position.get(), head);
                match random.u32(..8) {
                    0 => {
                        let snapshot = Snapshot { head, state: vec![random.u8(..); random.usize(1..20_000)] };
                        history.snapshots.push(snapshot.clone());
                        store.save_snapshot(&snapshot).expect("a snapshot");
                    }
                    1 => checkpoint(&dir.join("journal.sqlite"), &mut random),
                    2 => checkpoint(&dir.join("index.sqlite"), &mut random),
                    _ => {}
                }
            }
            history.records = store.read_journal(Position::ZERO, usize::MAX).expect("a journal");
        }
        let events = recorder.events();
        Self { history, events, from: 0, _root: root }
    }

    /// Cuts the power at so many points and hands over an image of each, with what was acknowledged before; their number.
    pub fn cut(&self, images: usize, seed: u64, examine: &mut dyn FnMut(&Left, u64)) -> usize {
        let mut random = Rng::with_seed(seed);
        let points = (0..images).map(|_| random.usize(self.from..=self.events.len())).collect();
        self.cut_at(points, seed, examine)
    }

    /// The same at every point before the first start has ended, so often each.
    pub fn cut_the_first_start(&self, draws: usize, seed: u64, examine: &mut dyn FnMut(&Left, u64)) -> usize {
        let ended = self.events.iter().position(|event| matches!(event, Event::Noted(_))).expect("a first start");
        self.cut_at((0..=ended).flat_map(|point| std::iter::repeat_n(point, draws)).collect(), seed, examine)
    }

    fn cut_at(&self, points: Vec<usize>, seed: u64, examine: &mut dyn FnMut(&Left, u64)) -> usize {
        let (images, mut random) = (points.len(), Rng::with_seed(seed));
        self.at_points(points, &mut |medium, drawn| {
            examine(&Left::of(&medium.image(&mut random), format!("{drawn}, seed {seed}")), medium.noted());
        });
        images
    }

    /// Kills the process at so many points, starts another on what it left, and cuts the power a little later.
    pub fn kill_and_cut(&self, images: usize, seed: u64, examine: &mut dyn FnMut(&Left, &History, u64)) -> usize {
        let mut random = Rng::with_seed(seed);
        let kills = images.div_ceil(8);
        let points = (0..kills).map(|_| random.usize(..=self.events.len())).collect();
        self.at_points(points, &mut |medium, drawn| {
            let left = Left::of(&medium.whole(), drawn.to_owned());
            let recorder = Recorder::go_on_after(left.root.path(), &self.events[..medium.replayed()]);
            let life = left.lived(recorder, &self.history, medium.replayed());
            life.cut(8, random.u64(..), &mut |left, acknowledged| examine(left, &life.history, acknowledged));
        });
        8 * kills
    }

    fn at_points(&self, mut points: Vec<usize>, at: &mut dyn FnMut(&Medium, &str)) {
        points.sort_unstable();
        let mut medium = Medium::default();
        for point in points {
            self.events[medium.replayed()..point].iter().for_each(|event| medium.replay(event));
            at(&medium, &format!("cut at event {point} of {}", self.events.len()));
        }
    }

    /// What a killed process would leave at the end.
    pub fn whole(&self) -> Left {
        let mut medium = Medium::default();
        self.events.iter().for_each(|event| medium.replay(event));
        Left::of(&medium.whole(), "everything".into())
    }

    /// Directories below the recorded one that were durable when the first batch was acknowledged.
    pub fn directories_at_the_first_acknowledgement(&self) -> Vec<String> {
        let first = self.events.iter().position(|event| matches!(event, Event::Noted(1..))).expect("an acknowledgement");
        let synced = self.events[..first].iter().filter_map(|event| match event {
            Event::DirectorySynced { subdirectories, .. } => Some(subdirectories.clone()),
            _ => None,
        });
        synced.flatten().collect()
    }
}

/// What one to a few hundred commands write; now and then something large.
fn commits(author: &mut Author, random: &mut Rng) -> Vec<Commit> {
    let count = [1, 1, 2, 3, 7, 20][random.usize(..6)];
    (0..count)
        .map(|_| match random.u32(..8) {
            0 => author.refusal(),
            1 | 2 => author.account(&address(&format!("customers:{}", random.u32(..5)))),
            3 => author.hold_and_void(),
            4 if random.u32(..6) == 0 => author.entry_with(random.usize(50..400), "payroll"),
            _ => author.entry(),
        })
        .collect()
}

/// What the store does by itself once the log has 64 MiB.
fn checkpoint(path: &Path, random: &mut Rng) {
    let mode = ["PASSIVE", "FULL", "RESTART", "TRUNCATE"][random.usize(..4)];
    let connection = Connection::open(path).expect("a database");
    connection.query_row(&format!("PRAGMA wal_checkpoint({mode})"), [], |_| Ok(())).expect("a checkpoint");
}

impl Left {
    fn of(image: &Image, drawn: String) -> Self {
        let root = tempfile::tempdir().expect("a directory");
        image.write_to(root.path()).expect("an image");
        Self { root, image: image.clone(), drawn }
    }

    /// The journal's directory in the image.
    pub fn journal(&self) -> PathBuf {
        self.root.path().join(JOURNAL)
    }

    /// The same image in another directory.
    pub fn copied(&self) -> Self {
        Self::of(&self.image, self.drawn.clone())
    }

    /// The life that goes on from this image, of which all is durable.
    pub fn goes_on(self, history: &History) -> Life {
        let recorder = Recorder::start(self.root.path(), Honesty::Honest);
        // The first events say what is there already.
        let from = recorder.events().len();
        self.lived(recorder, history, from)
    }

    /// A start, one more batch, an end.
    fn lived(self, recorder: Recorder, before: &History, from: usize) -> Life {
        let store = open(&self.journal()).expect("the image opens");
        let head = store.head().expect("a head");
        // Whoever asks now is shown this head, and a retried command is answered from it.
        recorder.note(head.position.get());
        let next = append(&store, &[Author::numbered("later", head.position.get()).entry()]);
        recorder.note(next.position.get());
        let records = store.read_journal(Position::ZERO, usize::MAX).expect("a journal");
        drop(store);
        let mut heads = before.heads.clone();
        heads.retain(|position, _| *position <= head.position.get());
        heads.insert(next.position.get(), next);
        let events = recorder.events();
        drop(recorder);
        Life { history: History { records, heads, snapshots: before.snapshots.clone() }, events, from, _root: self.root }
    }

    /// Fails the test, and leaves a copy of the image as it is now for whoever looks for the cause.
    pub fn keep_and_fail(&self, fault: &Fault) -> ! {
        let kept = tempfile::tempdir().expect("a directory").keep();
        for entry in std::fs::read_dir(self.journal()).into_iter().flatten().flatten() {
            let _ = std::fs::copy(entry.path(), kept.join(entry.file_name()));
        }
        panic!("{fault} ({}; the files after the attempt are in {})", self.drawn, kept.display());
    }
}
