//! Reading ahead: one thread fetches and unpacks, several read batches, the caller's folds them in order.

use std::num::NonZero;
use std::ops::ControlFlow;
use std::sync::Mutex;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};

use cauri_event_schemas::Position;

use crate::reading::{self, RawBatch, ReadBatch, Seed};
use crate::source::{Piece, Source};

/// What the caller is given, in the order of the journal.
#[derive(Debug)]
pub enum Step {
    /// A batch that was read.
    Batch(Box<ReadBatch>),
    /// Positions that cannot be read at all; see [`Piece::Unreadable`].
    Unreadable {
        /// The first of them.
        from: Position,
        /// The first position behind them that can be read.
        to: Option<Position>,
        /// Why.
        why: String,
    },
}

/// Work for a reader, with the place where the caller waits for it.
type Job = (RawBatch, SyncSender<Box<ReadBatch>>);

/// What is under way, in order.
enum Coming {
    Batch(Receiver<Box<ReadBatch>>),
    Unreadable { from: Position, to: Option<Position>, why: String },
}

/// Runs a source through `each` until it ends or `each` breaks; the caller's thread runs `each`.
///
/// At most a handful of batches is in memory at once.
pub fn run<S: Source, B>(source: S, seed: &Seed, mut each: impl FnMut(Step) -> ControlFlow<B>) -> Option<B> {
    let readers = std::thread::available_parallelism().map_or(2, NonZero::get).clamp(2, 8);
    let (order, coming) = sync_channel::<Coming>(readers + 1);
    let (jobs, waiting) = sync_channel::<Job>(1);
    let waiting = Mutex::new(waiting);
    std::thread::scope(|scope| {
        scope.spawn(move || fetch(source, &order, &jobs));
        for _ in 0..readers {
            scope.spawn(|| read(&waiting, seed));
        }
        // Dropped before the scope waits for its threads, so that a break ends them.
        let coming = coming;
        for next in coming.iter() {
            let step = match next {
                Coming::Unreadable { from, to, why } => Step::Unreadable { from, to, why },
                Coming::Batch(batch) => match batch.recv() {
                    Ok(batch) => Step::Batch(batch),
                    // Its reader panicked; the scope passes the panic on.
                    Err(_) => break,
                },
            };
            if let ControlFlow::Break(value) = each(step) {
                drop(coming);
                return Some(value);
            }
        }
        None
    })
}

fn fetch<S: Source>(mut source: S, order: &SyncSender<Coming>, jobs: &SyncSender<Job>) {
    while let Some(piece) = source.next() {
        let sent = match piece {
            Piece::Unreadable { from, to, why } => order.send(Coming::Unreadable { from, to, why }).is_ok(),
            Piece::Batch(raw) => {
                let (reply, receiver) = sync_channel(1);
                order.send(Coming::Batch(receiver)).is_ok() && jobs.send((raw, reply)).is_ok()
            }
        };
        if !sent {
            return;
        }
    }
}

fn read(waiting: &Mutex<Receiver<Job>>, seed: &Seed) {
    loop {
        let job = match waiting.lock() {
            Ok(waiting) => waiting.recv(),
            Err(_) => return,
        };
        let Ok((raw, reply)) = job else { return };
        // Nobody waits any more after a break.
        let _ = reply.send(Box::new(reading::read(raw, seed)));
    }
}
