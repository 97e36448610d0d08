//! Memory that is free goes back to the system once a process has become idle.
//!
//! What a busy process holds beyond its state is: SQLite's page caches, which the read models' writer gives up when it has
//! nothing to do; rows of a transaction, of which it keeps a bounded room; and blocks that are free in the two allocators,
//! mimalloc for Rust and the C library's for SQLite and zstd. One allocator for both (mimalloc's `override`) was tried and
//! given up: with it a process ends at once where a library is preloaded that looks up symbols before `main`.

/// More than mimalloc takes from its own pages.
const LARGE_BLOCK: usize = 32 << 20;

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
