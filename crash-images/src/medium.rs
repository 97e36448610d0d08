//! What is durable at a point of the log, and images of what a power cut there may leave.

use std::collections::{BTreeMap, BTreeSet};
use std::path::Path;

use fastrand::Rng;

use crate::{Event, FileId};

/// The unit in which a disk writes: a write that a power cut interrupts ends between two of them.
const SECTOR: u64 = 512;

/// The disk, as far as the log is replayed: what is durable, and what may become so.
#[derive(Clone, Debug, Default)]
pub struct Medium {
    replayed: usize,
    noted: u64,
    files: BTreeMap<FileId, Content>,
    /// Durable names.
    names: BTreeMap<String, FileId>,
    /// Changes of names that are not durable yet, in order.
    renamed: Vec<(usize, String, Option<FileId>)>,
    /// Durable directories below the recorded one.
    directories: BTreeSet<String>,
}

#[derive(Clone, Debug, Default)]
struct Content {
    durable: Vec<u8>,
    pending: Vec<(usize, Change)>,
}

#[derive(Clone, Debug)]
enum Change {
    Write(u64, Box<[u8]>),
    Truncate(u64),
}

/// Files by their names, as the next start finds them.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Image {
    files: BTreeMap<String, Vec<u8>>,
}

impl Image {
    /// Writes the files below a directory.
    pub fn write_to(&self, root: &Path) -> std::io::Result<()> {
        for (name, bytes) in &self.files {
            let path = root.join(name);
            if let Some(directory) = path.parent() {
                std::fs::create_dir_all(directory)?;
            }
            std::fs::write(path, bytes)?;
        }
        Ok(())
    }
}

/// What becomes of the changes that are not durable: one draw for each image, so that images differ in kind.
#[derive(Clone, Copy, Debug)]
struct Fate {
    /// How many of a hundred changes are kept whole.
    kept: u32,
    /// How many of a hundred of the others are torn rather than lost.
    torn: u32,
}

impl Fate {
    fn draw(random: &mut Rng) -> Self {
        // Everything kept is what a killed process leaves; everything lost is a cache that was never written back.
        let kept = [100, 97, 90, 50, 50, 10, 0, 0][random.usize(..8)];
        Self { kept, torn: [0, 20, 50, 100][random.usize(..4)] }
    }

    fn keeps(self, random: &mut Rng) -> bool {
        random.u32(..100) < self.kept
    }
}

impl Medium {
    /// Replays the next event.
    pub fn replay(&mut self, event: &Event) {
        let number = self.replayed;
        self.replayed += 1;
        match event {
            Event::Created { name, file } => {
                self.files.insert(*file, Content::default());
                self.renamed.push((number, name.clone(), Some(*file)));
            }
            Event::Removed { name } => self.renamed.push((number, name.clone(), None)),
            Event::Written { file, at, bytes } => self.change(number, *file, Change::Write(*at, bytes.clone())),
            Event::Truncated { file, size } => self.change(number, *file, Change::Truncate(*size)),
            Event::Synced { file, through } => {
                let content = self.files.entry(*file).or_default();
                let covered = content.pending.partition_point(|(number, _)| number < through);
                for (_, change) in content.pending.drain(..covered) {
                    apply(&mut content.durable, &change);
                }
            }
            Event::DirectorySynced { directory, subdirectories, through } => {
                let (names, durable) = (&mut self.names, &mut self.directories);
                self.renamed.retain(|(number, name, file)| {
                    let covered = number < through && directory_of(name) == directory;
                    if covered {
                        match file {
                            Some(file) => names.insert(name.clone(), *file),
                            None => names.remove(name),
                        };
                    }
                    !covered
                });
                durable.extend(subdirectories.iter().cloned());
            }
            Event::Noted(number) => self.noted = *number,
        }
    }

    /// How many events were replayed.
    pub fn replayed(&self) -> usize {
        self.replayed
    }

    /// What the test noted last.
    pub fn noted(&self) -> u64 {
        self.noted
    }

    /// One of the images that a power cut may leave here.
    pub fn image(&self, random: &mut Rng) -> Image {
        let fate = Fate::draw(random);
        let mut names = self.names.clone();
        let mut settled = BTreeSet::new();
        for (_, name, file) in &self.renamed {
            // What happened to one name happened in order: from the first change that is lost on, all are.
            if settled.contains(name) {
                continue;
            }
            if !fate.keeps(random) {
                settled.insert(name.clone());
                continue;
            }
            match file {
                Some(file) => names.insert(name.clone(), *file),
                None => names.remove(name),
            };
        }
        let lost: BTreeSet<String> = names
            .keys()
            .map(|name| directory_of(name).to_owned())
            .collect::<BTreeSet<_>>()
            .into_iter()
            .filter(|directory| ancestors(directory).any(|directory| !self.directories.contains(directory)) && !fate.keeps(random))
            .collect();
        names.retain(|name, _| !lost.contains(directory_of(name)));
        let files = names.into_iter().filter_map(|(name, file)| Some((name, self.files.get(&file)?.image(fate, random))));
        Image { files: files.collect() }
    }

    /// Everything that was ever written, as a killed process leaves it.
    pub fn whole(&self) -> Image {
        let mut names = self.names.clone();
        for (_, name, file) in &self.renamed {
            match file {
                Some(file) => names.insert(name.clone(), *file),
                None => names.remove(name),
            };
        }
        let whole = |content: &Content| {
            let mut bytes = content.durable.clone();
            content.pending.iter().for_each(|(_, change)| apply(&mut bytes, change));
            bytes
        };
        Image { files: names.into_iter().filter_map(|(name, file)| Some((name, whole(self.files.get(&file)?)))).collect() }
    }

    fn change(&mut self, number: usize, file: FileId, change: Change) {
        self.files.entry(file).or_default().pending.push((number, change));
    }
}

impl Content {
    fn image(&self, fate: Fate, random: &mut Rng) -> Vec<u8> {
        let mut bytes = self.durable.clone();
        for (_, change) in &self.pending {
            if fate.keeps(random) {
                apply(&mut bytes, change);
            } else if let Change::Write(at, written) = change
                && random.u32(..100) < fate.torn
            {
                tear(&mut bytes, *at, written, random);
            }
        }
        bytes
    }
}

fn apply(bytes: &mut Vec<u8>, change: &Change) {
    match change {
        Change::Write(at, written) => put(bytes, *at as usize, written),
        Change::Truncate(size) => bytes.resize(*size as usize, 0),
    }
}

fn put(bytes: &mut Vec<u8>, at: usize, written: &[u8]) {
    let end = at + written.len();
    if bytes.len() < end {
        bytes.resize(end, 0);
    }
    bytes[at..end].copy_from_slice(written);
}

/// Some sectors of a write: each with its new bytes, as it was, with garbage, or with zeros where the file grew.
fn tear(bytes: &mut Vec<u8>, at: u64, written: &[u8], random: &mut Rng) {
    let (old_end, mut from) = (bytes.len() as u64, at);
    let end = at + written.len() as u64;
    while from < end {
        let to = end.min((from / SECTOR + 1) * SECTOR);
        let new = &written[(from - at) as usize..(to - at) as usize];
        match random.u32(..8) {
            0..=2 => put(bytes, from as usize, new),
            3..=5 => {}
            6 => {
                let garbage: Vec<u8> = new.iter().map(|_| random.u8(..)).collect();
                put(bytes, from as usize, &garbage);
            }
            _ if from >= old_end => put(bytes, from as usize, &vec![0; new.len()]),
            _ => {}
        }
        from = to;
    }
}

fn directory_of(name: &str) -> &str {
    name.rsplit_once('/').map_or("", |(directory, _)| directory)
}

/// A directory below the recorded one and all that it is in, the recorded one left out.
fn ancestors(directory: &str) -> impl Iterator<Item = &str> {
    std::iter::successors((!directory.is_empty()).then_some(directory), |directory| {
        Some(directory_of(directory)).filter(|up| !up.is_empty())
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    const FILE: FileId = FileId(1);

    fn replayed(events: &[Event]) -> Medium {
        let mut medium = Medium::default();
        events.iter().for_each(|event| medium.replay(event));
        medium
    }

    fn created() -> Event {
        Event::Created { name: "file".into(), file: FILE }
    }

    fn written(at: u64, byte: u8, count: usize) -> Event {
        Event::Written { file: FILE, at, bytes: vec![byte; count].into() }
    }

    fn directory_synced(through: usize) -> Event {
        Event::DirectorySynced { directory: String::new(), subdirectories: Vec::new(), through }
    }

    fn contents(medium: &Medium) -> BTreeSet<Option<Vec<u8>>> {
        let mut random = Rng::with_seed(7);
        (0..2_000).map(|_| medium.image(&mut random).files.remove("file")).collect()
    }

    #[test]
    fn what_was_synced_is_in_every_image() {
        let synced = [created(), written(0, 1, 512), Event::Synced { file: FILE, through: 2 }, directory_synced(3)];
        assert_eq!(contents(&replayed(&synced)), [Some(vec![1; 512])].into());
    }

    #[test]
    fn a_name_whose_directory_was_not_synced_may_be_lost_with_all_its_content() {
        let found = contents(&replayed(&[created(), written(0, 1, 512), Event::Synced { file: FILE, through: 2 }]));
        assert_eq!(found, [None, Some(vec![1; 512])].into());
    }

    #[test]
    fn writes_since_the_sync_are_there_or_lost_or_torn_in_any_order() {
        let events = [created(), directory_synced(1), written(0, 1, 512), written(512, 2, 512)];
        let found = contents(&replayed(&events));
        for (bytes, what) in [
            (vec![], "both lost"),
            (vec![1; 512], "the second lost"),
            ([vec![0; 512], vec![2; 512]].concat(), "the first lost"),
            ([vec![1; 512], vec![2; 512]].concat(), "none lost"),
        ] {
            assert!(found.contains(&Some(bytes)), "{what}");
        }
        let garbage = |bytes: &Option<Vec<u8>>| bytes.as_ref().is_some_and(|bytes| bytes.iter().any(|byte| *byte > 2));
        assert!(found.iter().any(garbage), "a torn sector may hold garbage");
    }

    #[test]
    fn a_write_that_a_sync_did_not_cover_may_be_lost_although_it_came_before_its_end() {
        let events = [created(), directory_synced(1), written(0, 1, 512), written(0, 2, 512), Event::Synced { file: FILE, through: 3 }];
        let found = contents(&replayed(&events));
        assert!(found.contains(&Some(vec![1; 512])) && found.contains(&Some(vec![2; 512])), "{} images", found.len());
    }
}
