//! The journal, decoded once for all who follow it.
//!
//! Followers at about the same place share a tail: one thread decodes ahead of them and keeps what the slowest has not taken.
//! A follower that takes nothing for a while is let go, so that it holds up nobody; it goes on with a tail of its own, and joins
//! the others again where it has caught up with them.

use std::collections::VecDeque;
use std::fmt;
use std::sync::atomic::{AtomicUsize, Ordering};
use std::sync::{Arc, Condvar, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::{Duration, Instant};

use cauri_domain::ledger::Ledger;
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::Recorded;
use cauri_event_store::{Corruption, EventStore, Hash, NewerRecord, StoreError};

/// Events that are handed on together, where there are so many.
const CHUNK: usize = if cfg!(test) { 16 } else { 4_096 };
/// How long a tail with nothing to read sleeps before it looks whether it is still wanted.
const IDLE: Duration = Duration::from_millis(50);
/// How long it waits before it asks a store that failed again, at first and at most.
const RETRY: (Duration, Duration) = (Duration::from_millis(100), Duration::from_secs(5));
/// Events that a tail keeps though everybody has taken them, for whoever comes from a little behind.
const KEPT: usize = 2 * CHUNK;
/// How long a tail waits for a follower that takes nothing while the others wait.
const PATIENCE: Duration = if cfg!(test) { Duration::from_millis(100) } else { Duration::from_secs(3) };

/// Some events in order, all of those at their positions.
#[derive(Debug)]
pub struct Chunk {
    /// The events.
    pub events: Arc<Vec<Recorded>>,
    /// Position of the last event.
    pub last: Position,
    /// The journal's root there, where a batch ends and the store keeps one.
    pub root: Option<Hash>,
}

/// Why nothing follows.
#[derive(Clone, Debug)]
pub enum End {
    /// The journal contradicts itself.
    Corrupt(Corruption),
    /// A newer program wrote what follows.
    Newer(NewerRecord),
    /// No thread could be started to read it.
    NoThread(String),
}

/// What a follower gets.
#[derive(Debug)]
pub enum Next {
    /// What follows.
    Chunk(Arc<Chunk>),
    /// Nothing so far.
    Nothing,
    /// Nothing will.
    Ended(End),
}

/// All tails of one journal.
pub struct Tails {
    store: Arc<dyn EventStore>,
    /// Events that a tail decodes ahead of its slowest follower at most.
    ahead: usize,
    tails: Mutex<Vec<Arc<Tail>>>,
    count: AtomicUsize,
    threads: Mutex<Vec<JoinHandle<()>>>,
}

impl Tails {
    /// The tails of a journal; each decodes at most so many events ahead of its slowest follower.
    pub fn of(store: Arc<dyn EventStore>, ahead: usize) -> Arc<Self> {
        let (tails, count, threads) = (Mutex::default(), AtomicUsize::new(0), Mutex::default());
        Arc::new(Self { store, ahead, tails, count, threads })
    }

    /// Follows the journal behind a position.
    pub fn follow(self: &Arc<Self>, position: Position) -> Follower {
        Follower { tails: self.clone(), seat: None, position }
    }

    /// Forgets what was decoded: everybody goes on with a new tail, at the place where they are.
    pub(crate) fn renew(&self) {
        lock(&self.tails).iter().for_each(|tail| tail.leave_all());
    }

    /// Ends all tails, whoever follows them; blocks until their threads have ended.
    pub(crate) fn join(&self) {
        self.renew();
        let threads = std::mem::take(&mut *lock(&self.threads));
        for thread in threads {
            if thread.join().is_err() {
                tracing::error!("a thread that reads the journal panicked");
            }
        }
    }

    /// A seat at a tail that has what follows `position`, or at a new one that begins there.
    fn seat(self: &Arc<Self>, position: Position) -> Result<Seat, End> {
        let mut tails = lock(&self.tails);
        for tail in tails.iter() {
            if let Some(number) = tail.join(position) {
                return Ok(Seat { tail: tail.clone(), number });
            }
        }
        let tail = Arc::new(Tail::behind(position));
        let number = tail.join(position).ok_or_else(|| End::NoThread("a new tail has no room".into()))?;
        let reader = Reader { tails: self.clone(), tail: tail.clone(), next: position.next(), spent: Vec::new() };
        let thread = std::thread::Builder::new().name("cauri-tail".into()).spawn(move || reader.run());
        lock(&self.threads).push(thread.map_err(|error| End::NoThread(error.to_string()))?);
        tails.push(tail.clone());
        self.count.store(tails.len(), Ordering::Relaxed);
        Ok(Seat { tail, number })
    }

    /// A seat at an older tail that has what follows `position` and is ahead of this one.
    fn better_seat(&self, than: &Arc<Tail>, position: Position) -> Option<Seat> {
        let tails = lock(&self.tails);
        let end = than.lock().end();
        for tail in tails.iter().take_while(|tail| !Arc::ptr_eq(tail, than)) {
            if tail.lock().end() >= end
                && let Some(number) = tail.join(position)
            {
                return Some(Seat { tail: tail.clone(), number });
            }
        }
        None
    }

    fn remove(&self, tail: &Arc<Tail>) {
        let mut tails = lock(&self.tails);
        tails.retain(|other| !Arc::ptr_eq(other, tail));
        self.count.store(tails.len(), Ordering::Relaxed);
        // Threads that have ended by themselves are not waited for.
        lock(&self.threads).retain(|thread| !thread.is_finished());
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

impl fmt::Debug for Tails {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Tails").field("journal", &self.store.name()).finish_non_exhaustive()
    }
}

/// Whoever takes the events of a journal one after the other.
pub struct Follower {
    tails: Arc<Tails>,
    seat: Option<Seat>,
    position: Position,
}

impl fmt::Debug for Follower {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.debug_struct("Follower").field("position", &self.position).finish_non_exhaustive()
    }
}

struct Seat {
    tail: Arc<Tail>,
    number: u64,
}

impl Drop for Seat {
    fn drop(&mut self) {
        self.tail.leave(self.number);
    }
}

impl Follower {
    /// What follows, waited for as long as `patience`.
    pub fn next(&mut self, patience: Duration) -> Next {
        loop {
            if self.tails.count.load(Ordering::Relaxed) > 1
                && let Some(seat) = &self.seat
                && let Some(better) = self.tails.better_seat(&seat.tail, self.position)
            {
                self.seat = Some(better);
            }
            let seat = match &self.seat {
                Some(seat) => seat,
                None => match self.tails.seat(self.position) {
                    Ok(seat) => self.seat.insert(seat),
                    Err(end) => return Next::Ended(end),
                },
            };
            match seat.tail.take(seat.number, patience) {
                Taken::Chunk(chunk) => {
                    self.position = chunk.last;
                    return Next::Chunk(chunk);
                }
                Taken::Nothing => return Next::Nothing,
                Taken::Ended(end) => {
                    // Whoever asks again wants to know whether it is still so.
                    self.seat = None;
                    return Next::Ended(end);
                }
                Taken::LetGo => self.seat = None,
            }
        }
    }

    /// Gives events back that are no longer needed: taking them apart costs a tenth of writing them, and the thread that
    /// decodes has more time than the one that writes.
    pub fn give_back(&self, events: Vec<Arc<Vec<Recorded>>>) {
        if let Some(seat) = &self.seat {
            seat.tail.lock().spent.extend(events);
        }
    }
}

struct Tail {
    state: Mutex<State>,
    /// There is more to take, or the end.
    filled: Condvar,
    /// There is more room, or nobody is left.
    taken: Condvar,
}

struct State {
    /// What at least one follower has not taken, and as much of what was taken as fits.
    chunks: VecDeque<Arc<Chunk>>,
    events: usize,
    /// The last position before the first chunk.
    begins_behind: Position,
    /// The position that each follower has taken, by number.
    followers: Vec<(u64, Position)>,
    last_number: u64,
    ended: Option<End>,
    /// The reader is gone, or will be: nobody may join.
    closed: bool,
    spent: Vec<Arc<Vec<Recorded>>>,
}

enum Taken {
    Chunk(Arc<Chunk>),
    Nothing,
    Ended(End),
    LetGo,
}

impl State {
    /// The last position that was decoded.
    fn end(&self) -> Position {
        self.chunks.back().map_or(self.begins_behind, |chunk| chunk.last)
    }

    /// Forgets chunks that everybody has taken while there are more events than `most`; true if that was enough.
    fn make_room(&mut self, most: usize) -> bool {
        let slowest = self.followers.iter().map(|(_, position)| *position).min().unwrap_or(Position::ZERO);
        while self.events > most {
            let Some(first) = self.chunks.front().filter(|first| first.last <= slowest) else { return false };
            self.begins_behind = first.last;
            self.events -= first.events.len();
            // The thread that decodes takes them apart.
            self.spent.push(first.events.clone());
            self.chunks.pop_front();
        }
        true
    }
}

impl Tail {
    fn behind(position: Position) -> Self {
        let state = State {
            chunks: VecDeque::new(),
            events: 0,
            begins_behind: position,
            followers: Vec::new(),
            last_number: 0,
            ended: None,
            closed: false,
            spent: Vec::new(),
        };
        Self { state: Mutex::new(state), filled: Condvar::new(), taken: Condvar::new() }
    }

    fn lock(&self) -> MutexGuard<'_, State> {
        lock(&self.state)
    }

    /// A number for a follower at a position, if what follows it is here or comes next.
    fn join(&self, position: Position) -> Option<u64> {
        let mut state = self.lock();
        let is_here = state.begins_behind <= position && position <= state.end();
        // A position inside a chunk is none that this tail can go on from.
        let is_an_edge = position == state.begins_behind || state.chunks.iter().any(|chunk| chunk.last == position);
        if state.closed || state.ended.is_some() || !is_here || !is_an_edge {
            return None;
        }
        state.last_number += 1;
        let number = state.last_number;
        state.followers.push((number, position));
        Some(number)
    }

    fn leave(&self, number: u64) {
        let mut state = self.lock();
        state.followers.retain(|(other, _)| *other != number);
        state.closed |= state.followers.is_empty();
        self.taken.notify_all();
    }

    fn leave_all(&self) {
        let mut state = self.lock();
        state.followers.clear();
        state.closed = true;
        self.taken.notify_all();
        self.filled.notify_all();
    }

    fn take(&self, number: u64, patience: Duration) -> Taken {
        let until = Instant::now() + patience;
        let mut state = self.lock();
        loop {
            let Some(index) = state.followers.iter().position(|(other, _)| *other == number) else { return Taken::LetGo };
            let position = state.followers[index].1;
            let next = state.chunks.partition_point(|chunk| chunk.last <= position);
            if let Some(chunk) = state.chunks.get(next).cloned() {
                state.followers[index].1 = chunk.last;
                state.make_room(KEPT);
                self.taken.notify_all();
                return Taken::Chunk(chunk);
            }
            if let Some(end) = &state.ended {
                return Taken::Ended(end.clone());
            }
            let left = until.saturating_duration_since(Instant::now());
            if left.is_zero() {
                return Taken::Nothing;
            }
            state = self.filled.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
    }

    /// Waits until there is room for more events. Followers that take nothing are let go after a while.
    fn wait_for_room(&self, ahead: usize) -> bool {
        let mut state = self.lock();
        let mut until = None;
        while !state.closed {
            if state.make_room(ahead) {
                return true;
            }
            let until = *until.get_or_insert_with(|| Instant::now() + PATIENCE);
            let left = until.saturating_duration_since(Instant::now());
            // With everybody at the same place nobody waits for anybody.
            let furthest = state.followers.iter().map(|(_, position)| *position).max();
            if left.is_zero() && furthest == Some(state.end()) {
                let first = state.chunks.front().map_or(Position::ZERO, |first| first.last);
                state.followers.retain(|(_, position)| *position >= first);
                self.filled.notify_all();
                continue;
            }
            let left = left.max(Duration::from_millis(1));
            state = self.taken.wait_timeout(state, left).unwrap_or_else(PoisonError::into_inner).0;
        }
        false
    }

    fn push(&self, chunk: Chunk) {
        let mut state = self.lock();
        state.events += chunk.events.len();
        state.chunks.push_back(Arc::new(chunk));
        self.filled.notify_all();
    }
}

/// The thread that decodes for a tail.
struct Reader {
    tails: Arc<Tails>,
    tail: Arc<Tail>,
    next: Position,
    spent: Vec<Arc<Vec<Recorded>>>,
}

impl Reader {
    fn run(mut self) {
        let mut retry = RETRY.0;
        let ended = loop {
            match self.read() {
                Ok(true) => retry = RETRY.0,
                Ok(false) => break None,
                Err(StoreError::Failure(failure)) => {
                    tracing::warn!(position = %self.next, %failure, "the journal cannot be read; it is tried again");
                    std::thread::sleep(retry);
                    retry = (retry * 2).min(RETRY.1);
                }
                Err(StoreError::Newer(newer)) => break Some(End::Newer(newer)),
                Err(StoreError::Corruption(corruption)) => {
                    self.tails.store.health().note_damage(&corruption);
                    break Some(End::Corrupt(corruption));
                }
            }
        };
        let mut state = self.tail.lock();
        state.closed = true;
        state.ended = ended;
        self.tail.filled.notify_all();
        drop(state);
        self.tails.remove(&self.tail);
    }

    /// Decodes what follows up to the head, or nothing after a while without any; false once nobody wants it.
    fn read(&mut self) -> Result<bool, StoreError> {
        self.take_apart();
        if self.tail.lock().closed {
            return Ok(false);
        }
        let before = Position::new(self.next.get() - 1);
        let mut head = self.tails.store.follow().head().position;
        if head <= before {
            head = self.tails.store.follow().wait_beyond(before, IDLE).position;
        }
        let mut events = Vec::new();
        let mut end = (before, None);
        let read = self.read_to(head, &mut events, &mut end);
        // What was decoded before something went wrong is sound.
        let is_wanted = events.is_empty() || self.hand_on(events, end);
        read.map(|wanted| wanted && is_wanted)
    }

    fn read_to(&mut self, head: Position, events: &mut Vec<Recorded>, end: &mut (Position, Option<Hash>)) -> Result<bool, StoreError> {
        while end.0 < head {
            let next = end.0.next();
            let Some(batch) = self.tails.store.read_checked(next)? else {
                // The head was told before it can be read; soon it can.
                std::thread::sleep(Duration::from_millis(1));
                break;
            };
            if batch.at(next).is_none() {
                let what = format!("the store gave the batch from {} to {} for it", batch.first(), batch.last());
                return Err(Corruption::new(next, what).into());
            }
            events.reserve(batch.records().len().min(CHUNK));
            for record in batch.records().filter(|record| record.position() >= next) {
                record.decode_into::<Ledger>(events).map_err(StoreError::from)?;
                *end = (record.position(), batch.root().filter(|_| record.position() == batch.last()));
                if events.len() >= CHUNK && !self.hand_on(std::mem::take(events), *end) {
                    return Ok(false);
                }
            }
        }
        Ok(true)
    }

    fn hand_on(&mut self, events: Vec<Recorded>, (last, root): (Position, Option<Hash>)) -> bool {
        self.take_apart();
        if !self.tail.wait_for_room(self.tails.ahead) {
            return false;
        }
        self.next = last.next();
        self.tail.push(Chunk { events: Arc::new(events), last, root });
        true
    }

    fn take_apart(&mut self) {
        // Not under the lock: it is what takes time.
        std::mem::swap(&mut self.tail.lock().spent, &mut self.spent);
        self.spent.clear();
    }
}

#[cfg(test)]
mod tests {
    use cauri_domain::account::AccountKind;

    use super::*;
    use crate::ledger::Ledger;

    /// A journal of so many events.
    fn ledger(events: u64) -> Ledger {
        let mut ledger = Ledger::new();
        ledger.open("a", AccountKind::Asset);
        ledger.open("b", AccountKind::Liability);
        go_on(&mut ledger, events - 2);
        ledger
    }

    fn go_on(ledger: &mut Ledger, events: u64) {
        for number in 0..events {
            ledger.pay("a", "b", 1, ledger.now);
            if number % 7 == 0 {
                ledger.commit();
            }
        }
        ledger.commit();
    }

    /// Takes what comes up to `end`, and looks that it is all of it, in order, once.
    fn follow(follower: &mut Follower, from: Position, end: Position, pause: Duration) {
        let mut next = from.next();
        while next <= end {
            match follower.next(Duration::from_secs(10)) {
                Next::Chunk(chunk) => {
                    for event in &*chunk.events {
                        assert_eq!(event.position, next);
                        next = next.next();
                    }
                    assert_eq!(chunk.last.next(), next);
                    std::thread::sleep(pause);
                }
                other => panic!("{other:?} at {next}"),
            }
        }
    }

    #[test]
    fn everybody_gets_every_event_once_and_in_order_wherever_they_begin_and_however_slow_they_are() {
        let mut ledger = ledger(2_000);
        let tails = Tails::of(Arc::new(ledger.store.clone()), 64);
        let end = ledger.position();
        std::thread::scope(|scope| {
            for (begin, pause) in [(0, 0), (0, 1), (0, 20), (1_000, 0), (1_990, 1), (777, 3)] {
                let tails = &tails;
                scope.spawn(move || {
                    let begin = Position::new(begin);
                    follow(&mut tails.follow(begin), begin, end, Duration::from_millis(pause));
                });
            }
        });
        // At the head followers share one tail.
        let mut followers: Vec<Follower> = (0..20).map(|_| tails.follow(end)).collect();
        assert!(matches!(followers[0].next(Duration::ZERO), Next::Nothing));
        go_on(&mut ledger, 100);
        followers.iter_mut().for_each(|follower| follow(follower, end, ledger.position(), Duration::ZERO));
        let until = Instant::now() + Duration::from_secs(10);
        while lock(&tails.tails).len() > 1 {
            assert!(Instant::now() < until, "followers at one place stay with several tails");
            assert!(followers.iter_mut().all(|follower| matches!(follower.next(Duration::from_millis(1)), Next::Nothing)));
        }
        drop(followers);
        tails.join();
    }

    #[test]
    fn whoever_takes_nothing_holds_up_nobody_and_goes_on_later() {
        let ledger = ledger(1_000);
        let tails = Tails::of(Arc::new(ledger.store.clone()), 64);
        let (mut quick, mut asleep) = (tails.follow(Position::ZERO), tails.follow(Position::ZERO));
        assert!(matches!(asleep.next(Duration::from_secs(10)), Next::Chunk(_)));
        let began = Instant::now();
        follow(&mut quick, Position::ZERO, ledger.position(), Duration::ZERO);
        assert!(began.elapsed() < Duration::from_secs(5), "{:?}", began.elapsed());
        follow(&mut asleep, Position::new(16), ledger.position(), Duration::ZERO);
    }

    #[test]
    fn what_was_decoded_is_forgotten_where_the_journal_is_not_the_same_any_more() {
        let ledger = ledger(50);
        let tails = Tails::of(Arc::new(ledger.store.clone()), 64);
        let mut follower = tails.follow(Position::ZERO);
        assert!(matches!(follower.next(Duration::from_secs(10)), Next::Chunk(_)));
        tails.renew();
        follow(&mut follower, Position::new(16), ledger.position(), Duration::ZERO);
    }
}
