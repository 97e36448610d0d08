//! Requests for one stream or one key are decided in the order in which they came, though some have to wait.

use std::collections::VecDeque;
use std::hash::BuildHasher;

use cauri_domain::kind::Kind;
use cauri_domain::text::ShortText;
use hashbrown::hash_map::Entry;
use hashbrown::{DefaultHashBuilder, HashMap};

use crate::decider::EnvelopeOf;
use crate::sequencer::Request;

/// What requests are for that must be decided before others for the same: the hashes of streams and of commands' keys, with
/// how often each is named. Two that have one hash by chance make a request wait a little in vain.
#[derive(Default)]
pub(crate) struct Ahead {
    hasher: DefaultHashBuilder,
    named: HashMap<u64, u32>,
}

impl Ahead {
    /// What a request is for.
    fn hashes<K: Kind>(&self, request: &Request<K>, journal: &ShortText) -> impl Iterator<Item = u64> {
        request.commands.iter().flat_map(|command| self.of_command::<K>(command, journal))
    }

    fn of_command<K: Kind>(&self, command: &EnvelopeOf<K>, journal: &ShortText) -> [u64; 2] {
        [self.hasher.hash_one(&command.key), self.hasher.hash_one(K::target(&command.command, journal))]
    }

    pub(crate) fn add<K: Kind>(&mut self, request: &Request<K>, journal: &ShortText) {
        self.named.reserve(2 * request.commands.len());
        for command in &request.commands {
            for hash in self.of_command::<K>(command, journal) {
                *self.named.entry(hash).or_default() += 1;
            }
        }
    }

    pub(crate) fn remove<K: Kind>(&mut self, request: &Request<K>, journal: &ShortText) {
        for command in &request.commands {
            for hash in self.of_command::<K>(command, journal) {
                if let Entry::Occupied(mut named) = self.named.entry(hash) {
                    *named.get_mut() -= 1;
                    if *named.get() == 0 {
                        named.remove();
                    }
                }
            }
        }
    }

    /// Whether a request is for something that they are for.
    fn holds_up<K: Kind>(&self, request: &Request<K>, journal: &ShortText) -> bool {
        !self.named.is_empty() && self.hashes(request, journal).any(|hash| self.named.contains_key(&hash))
    }
}

/// Requests that have to wait for others that are ahead of them, in order.
pub(crate) struct Passed<K: Kind> {
    requests: Vec<Request<K>>,
    ahead: Ahead,
}

impl<K: Kind> Default for Passed<K> {
    fn default() -> Self {
        Self { requests: Vec::new(), ahead: Ahead::default() }
    }
}

impl<K: Kind> Passed<K> {
    /// Gives the request back if nothing is ahead of it: neither `loading` nor one that was passed over before it.
    pub(crate) fn if_free(&mut self, request: Request<K>, loading: &Ahead, journal: &ShortText) -> Option<Request<K>> {
        if request.is_next || !(loading.holds_up(&request, journal) || self.ahead.holds_up(&request, journal)) {
            return Some(request);
        }
        self.ahead.add(&request, journal);
        self.requests.push(request);
        None
    }

    pub(crate) fn back_to(self, waiting: &mut VecDeque<Request<K>>) {
        for request in self.requests.into_iter().rev() {
            waiting.push_front(request);
        }
    }
}
