//! Memory that is free goes back to the system once a process has become idle.
//!
//! What a busy process holds beyond its state is: SQLite's page caches, which the read models' writer gives up when it has
//! nothing to do; rows of a transaction, of which it keeps a bounded room; and blocks that are free in the two allocators,
//! mimalloc for Rust and the C library's for SQLite and zstd. One allocator for both (mimalloc's `override`) was tried and
//! given up: with it a process ends at once where a library is preloaded that looks up symbols before `main`.

use cauri_event_schemas::Position;

/// More than mimalloc takes from its own pages.
const LARGE_BLOCK: usize = 32 << 20;

/// Notices that a process has become idle: since the last look nothing was appended and no request has begun, and none is
/// being answered.
#[derive(Debug, Default)]
pub struct Idleness {
    seen: (Position, u64),
    noticed: bool,
}

impl Idleness {
    /// Looks at the journal's head, the number of requests that have begun, and how many are being answered. `true` once in
    /// each idle period.
    pub fn begins(&mut self, head: Position, begun: u64, under_way: usize) -> bool {
        let is_idle = std::mem::replace(&mut self.seen, (head, begun)) == (head, begun) && under_way == 0;
        !std::mem::replace(&mut self.noticed, is_idle) && is_idle
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
        let mut begins = |head, begun, under_way| idleness.begins(Position::new(head), begun, under_way);
        assert!(!begins(5, 0, 0), "something was appended since the last look");
        assert!(begins(5, 0, 0));
        assert!(!begins(5, 0, 0), "once is enough");
        assert!(!begins(5, 7, 1), "queries append nothing");
        assert!(!begins(5, 7, 1), "a long one is being answered");
        assert!(begins(5, 7, 0));
        assert!(!begins(6, 8, 0) && !begins(6, 9, 0), "requests came and went between two looks");
        assert!(begins(6, 9, 0));
    }
}
