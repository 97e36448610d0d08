//! Memory that is free goes back to the system once a process has become idle.
//!
//! What a busy process holds beyond its state is: SQLite's page caches, which the read models' writer gives up when it has
//! nothing to do; rows of a transaction, of which it keeps a bounded room; and blocks that are free in the two allocators,
//! mimalloc for Rust and the C library's for SQLite and zstd. One allocator for both (mimalloc's `override`) was tried and
//! given up: with it a process ends at once where a library is preloaded that looks up symbols before `main`.

use cauri_event_schemas::Position;

/// More than mimalloc takes from its own pages.
const LARGE_BLOCK: usize = 32 << 20;

/// Looks in a row at which nothing may have happened. The read models' writer frees its caches when it has had nothing to do
/// for five seconds, so that at the first look, five seconds after the last change, they may not be free yet.
const LOOKS: u32 = 2;

/// What changes while a process is busy.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
pub struct Activity {
    /// The journal's head.
    pub head: Position,
    /// The positions of all read models, added up.
    pub shown: u64,
    /// How many requests have begun.
    pub begun: u64,
}

/// Notices that a process has become idle.
#[derive(Debug, Default)]
pub struct Idleness {
    seen: Activity,
    quiet: u32,
}

impl Idleness {
    /// Looks at what has been done, and how many requests are being answered. `true` once in each idle period.
    pub fn begins(&mut self, activity: Activity, under_way: usize) -> bool {
        let is_quiet = std::mem::replace(&mut self.seen, activity) == activity && under_way == 0;
        self.quiet = if is_quiet { self.quiet.saturating_add(1) } else { 0 };
        self.quiet == LOOKS
    }
}

/// Has the allocators give free memory back to the system. It takes some milliseconds, so it is for an idle process.
///
/// mimalloc returns what was freed some time ago when a large block is allocated or freed. A process that has become idle
/// does neither, and would keep what it needed at its busiest.
pub fn return_free() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE_BLOCK)));
    trim();
}

#[cfg(all(target_os = "linux", target_env = "gnu"))]
#[expect(unsafe_code, reason = "no crate wraps this call")]
fn trim() {
    // SAFETY: it takes no pointer and changes nothing that is in use.
    unsafe { libc::malloc_trim(0) };
}

/// Only glibc keeps what is free at the end of a thread's heap.
#[cfg(not(all(target_os = "linux", target_env = "gnu")))]
fn trim() {}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_process_becomes_idle_once_and_not_while_it_answers() {
        let mut idleness = Idleness::default();
        let mut begins = |head, shown, begun, under_way| {
            let activity = Activity { head: Position::new(head), shown, begun };
            idleness.begins(activity, under_way)
        };
        // Something was appended, then read models caught up, and then nothing happened.
        let looks = [(5, 3, 0), (5, 9, 0), (5, 10, 0), (5, 10, 0), (5, 10, 0), (5, 10, 0), (5, 10, 0)];
        let found = looks.map(|(head, shown, begun)| begins(head, shown, begun, 0));
        assert_eq!(found, [false, false, false, false, true, false, false], "once, and not at the first quiet look");
        // Queries append nothing; one of them takes long.
        let found = [(7, 1), (7, 1), (7, 1), (7, 1), (7, 0), (7, 0), (7, 0)].map(|(begun, under_way)| begins(5, 10, begun, under_way));
        assert_eq!(found, [false, false, false, false, false, true, false]);
        // Requests come and go between two looks.
        let found = [8, 9, 10, 11, 11, 11].map(|begun| begins(5, 10, begun, 0));
        assert_eq!(found, [false, false, false, false, false, true]);
    }
}
