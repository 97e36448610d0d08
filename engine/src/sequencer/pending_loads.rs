//! Requests that wait until what they need was loaded.

use std::collections::{HashSet, VecDeque};
use std::hash::Hash;

use cauri_domain::kind::Kind;
use cauri_event_schemas::Position;
use cauri_event_store::StoreError;

use super::{Request, SELDOM, Sequencer};
use crate::loading::{Found, Loaded, Sought, load};
use crate::precedence::Passed;

/// A request that something is being loaded for.
pub(super) struct Loading<K: Kind> {
    pub(super) request: Request<K>,
    /// The durable position that is shown.
    as_of: Position,
    /// What has arrived.
    arrived: HashSet<Sought<K::Stream>>,
    /// The commands that something was missing for: what they need is asked again.
    unresolved: Vec<usize>,
    /// How many parts are still to come.
    parts: usize,
    /// What became durable since is not kept any more: it has to be loaded again.
    is_void: bool,
    failed: Option<StoreError>,
}

impl<K: Kind> Sequencer<K> {
    /// Begins to load what these requests need: the ones that need nothing more. Those that must be decided after one that
    /// has to wait go back to the front of the queue.
    pub(super) fn load_missing(&mut self, taken: VecDeque<Request<K>>) -> Result<VecDeque<Request<K>>, StoreError> {
        let as_of = self.durable_head.position;
        let fresh = || taken.iter().filter(|request| request.loaded.is_none());
        let missing = self.decider.missing(&*self.store, as_of, fresh().flat_map(|request| request.commands.iter()));
        if missing.is_empty() {
            return Ok(taken);
        }
        let (mut missing, mut first) = (missing.into_iter().peekable(), 0);
        let (mut ready, mut passed_over) = (VecDeque::with_capacity(taken.len()), Passed::default());
        for request in taken {
            let mut of_request = Vec::new();
            if request.loaded.is_none() {
                let end = first + request.commands.len();
                while let Some((index, sought)) = missing.next_if(|(index, _)| *index < end) {
                    of_request.push((index - first, sought));
                }
                first = end;
            }
            let Some(mut request) = passed_over.if_free(request, &self.ahead, &self.journal_name) else { continue };
            // A large request meets a false answer of the store's memory now and then: to look those few up takes less time
            // than to have the request wait, and others with it.
            let are_few = SELDOM * of_request.len() <= request.commands.len();
            if of_request.is_empty() {
                ready.push_back(request);
            } else if self.loaders.is_some() && !are_few {
                self.ahead.add(&request, &self.journal_name);
                self.load(request, as_of, HashSet::new(), of_request)?;
            } else {
                match self.load_now(&mut request, as_of, of_request) {
                    Ok(()) => ready.push_back(request),
                    Err(error) => self.fail(vec![request], error)?,
                }
            }
        }
        passed_over.back_to(&mut self.waiting);
        Ok(ready)
    }

    /// Has loaded what is missing for a request, for which other things have arrived before.
    fn load(
        &mut self,
        request: Request<K>,
        as_of: Position,
        arrived: HashSet<Sought<K::Stream>>,
        missing: Vec<(usize, Sought<K::Stream>)>,
    ) -> Result<(), StoreError> {
        let Some(loaders) = &mut self.loaders else { return Ok(()) };
        let (unresolved, sought) = each_once(missing);
        let number = self.next_loading;
        self.next_loading += 1;
        match loaders.load(number, as_of, sought) {
            Ok(parts) => {
                self.loading.insert(number, Loading { request, as_of, arrived, unresolved, parts, is_void: false, failed: None });
                Ok(())
            }
            Err(error) => {
                self.ahead.remove(&request, &self.journal_name);
                self.decider.release(arrived.iter());
                self.fail(vec![request], error)
            }
        }
    }

    /// Loads in this thread what is missing for a request.
    fn load_now(
        &mut self,
        request: &mut Request<K>,
        as_of: Position,
        mut missing: Vec<(usize, Sought<K::Stream>)>,
    ) -> Result<(), StoreError> {
        let mut arrived = HashSet::new();
        while !missing.is_empty() {
            let (unresolved, sought) = each_once(missing);
            let found = load::<K>(&*self.store, as_of, sought).inspect_err(|_| self.decider.release(arrived.iter()))?;
            arrived.extend(found.iter().map(Found::sought));
            self.decider.take_loaded(found);
            let again = unresolved.iter().map(|index| (*index, &request.commands[*index]));
            missing = self.decider.still_missing(&*self.store, as_of, &arrived, again);
        }
        request.loaded = Some((as_of, arrived));
        Ok(())
    }

    /// A part of what a request needs has arrived.
    pub(super) fn take_loaded(&mut self, Loaded { request: number, found }: Loaded<K>) -> Result<(), StoreError> {
        let Some(loading) = self.loading.get_mut(&number) else { return Ok(()) };
        loading.parts -= 1;
        match found {
            Ok(found) if !loading.is_void => {
                loading.arrived.extend(found.iter().map(Found::sought));
                self.decider.take_loaded(found);
            }
            Ok(_) => {}
            Err(error) => loading.failed = Some(error),
        }
        if loading.parts > 0 {
            return Ok(());
        }
        let Some(loading) = self.loading.remove(&number) else { return Ok(()) };
        let Loading { mut request, as_of, arrived, unresolved, is_void, failed, .. } = loading;
        if is_void {
            self.ahead.remove(&request, &self.journal_name);
            self.waiting.push_front(request);
            return Ok(());
        }
        if let Some(error) = failed {
            self.ahead.remove(&request, &self.journal_name);
            self.decider.release(arrived.iter());
            return self.fail(vec![request], error);
        }
        let again = unresolved.iter().map(|index| (*index, &request.commands[*index]));
        let missing = self.decider.still_missing(&*self.store, as_of, &arrived, again);
        if missing.is_empty() {
            // From here on its place at the front keeps it before the others.
            self.ahead.remove(&request, &self.journal_name);
            request.loaded = Some((as_of, arrived));
            self.waiting.push_front(request);
        } else {
            self.load(request, as_of, arrived, missing)?;
        }
        Ok(())
    }

    /// The oldest position that something shows which was loaded, or is being loaded, for a request that is not decided yet.
    pub(super) fn oldest_loaded(&self) -> Position {
        let loading = self.loading.values().filter(|loading| !loading.is_void).map(|loading| loading.as_of);
        let ready = self.waiting.iter().filter_map(|request| request.loaded.as_ref().map(|(as_of, _)| *as_of));
        loading.chain(ready).min().unwrap_or(Position::new(u64::MAX))
    }

    /// What was loaded so far does not show what is durable now: it is loaded again.
    pub(super) fn load_again(&mut self) {
        self.decider.drop_loaded();
        for request in &mut self.waiting {
            request.loaded = None;
        }
        for loading in self.loading.values_mut() {
            loading.is_void = true;
        }
    }
}

/// The commands that something is missing for, and what is missing, each once.
fn each_once<S: Clone + Eq + Hash>(missing: Vec<(usize, Sought<S>)>) -> (Vec<usize>, Vec<Sought<S>>) {
    let mut commands: Vec<usize> = missing.iter().map(|(index, _)| *index).collect();
    commands.dedup();
    let mut seen = HashSet::new();
    let each = missing.into_iter().filter_map(|(_, sought)| seen.insert(sought.clone()).then_some(sought));
    (commands, each.collect())
}
