//! Memory that is free goes back to the system once a process has become idle.
//!
//! What a busy process holds beyond its state is: SQLite's page caches, which the read models' writer gives up when it has
//! nothing to do; rows of a transaction, of which it keeps a bounded room; and blocks that are free in the allocator. SQLite
//! allocates from the same allocator (mimalloc's `override`), so there is one place from which they are returned.

/// More than mimalloc takes from its own pages.
const LARGE_BLOCK: usize = 32 << 20;

/// Has the allocator give free memory back to the system.
///
/// mimalloc returns what was freed some time ago when a large block is allocated or freed. A process that has become idle
/// does neither, and would keep what it needed at its busiest.
pub fn return_free() {
    drop(std::hint::black_box(Vec::<u8>::with_capacity(LARGE_BLOCK)));
}
