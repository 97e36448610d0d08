//! The root of every subscription: entries as they become visible.

use std::collections::VecDeque;
use std::sync::Arc;
use std::time::Duration;

use async_graphql::{Context, Subscription as GraphqlSubscription};
use cauri_domain::ids::{AccountAddress as Address, EntryId};
use cauri_domain::ledger::Ledger;
use cauri_event_schemas::ledger::StreamId;
use cauri_event_schemas::{Position as Place, StreamVersion};
use cauri_event_store::{CheckedBatch, EventStore, StoreError, Unreadable};
use cauri_projections::read::EntryRow;
use cauri_projections::{ACCOUNTS, ENTRIES};
use futures::Stream;
use futures::stream;
use tokio::sync::watch;

use crate::error::QueryError;
use crate::feed::{Found, NewEntry, Subscribed};
use crate::scalars::{AccountAddress, Position};
use crate::scope::{Caller, Sources, blocking};
use crate::types::Entry;

/// The root of every subscription.
#[derive(Debug)]
pub struct Subscription;

/// How long the read models may stand still before a subscription that waits for them gives up.
const STANDSTILL: Duration = Duration::from_secs(30);
/// Looks at the journal at least this often, should a notice ever be missed.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// Entries that are found in the journal before the first of them is shown. It bounds what a subscription holds, however
/// many entries one stored batch has.
const AHEAD: usize = 256;
/// Records that are looked through in one go: a subscription that nobody waits for any more ends behind them.
const STRETCH: usize = 100_000;

/// What happens, as it happens: over WebSocket with the protocol `graphql-transport-ws`.
#[GraphqlSubscription]
impl Subscription {
    /// Every entry once, in the order of the journal, as soon as the read models show it: what was recorded from position `from` on, then whatever is recorded next. After a broken connection go on with `from` one more than the `position` of the last entry that arrived, and nothing is lost or seen twice. A client that takes nothing of what it is sent for ten seconds is disconnected.
    #[graphql(complexity = "50 + child_complexity")]
    async fn entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only entries with a transfer that debits or credits this account.")] account: Option<AccountAddress>,
        #[graphql(desc = "Begin at this position; if absent, behind what the read models show now.")] from: Option<Position>,
    ) -> Result<impl Stream<Item = Result<Entry, QueryError>> + use<>, QueryError> {
        let sources = ctx.data_opt::<Sources>().ok_or_else(|| QueryError::internal("a subscription runs without sources"))?.clone();
        let caller = ctx.data_opt::<Caller>().ok_or_else(|| QueryError::internal("a subscription runs without a caller"))?.clone();
        let account = account.map(|account| account.0);
        if caller.reach().is_some() {
            let Some(account) = account.clone() else { return Err(QueryError::OutOfReach("a subscription that names no account")) };
            let (sees, _) = sources.live_scope(Place::ZERO, &caller).read(&[ACCOUNTS], move |snapshot| snapshot.sees(&account)).await?;
            if !sees {
                return Err(QueryError::OutOfReach("a subscription to an account that it does not reach"));
            }
        }
        let next = match from {
            Some(from) => from.0.max(Place::ZERO.next()),
            None => {
                let (reads, turn) = (sources.reads.clone(), sources.look().await?);
                let position = move || {
                    let position = reads.group(ENTRIES).map(|entries| entries.position());
                    drop(turn);
                    position
                };
                blocking(position).await??.next()
            }
        };
        let gate = ctx.data_opt::<Gate>().cloned();
        let subscribed = sources.entries.subscribe(&*sources.store);
        let feed = Feed { sources, subscribed, caller, gate, account, next, found: VecDeque::new() };
        // An error ends the stream: going on behind it would lose an entry.
        Ok(stream::unfold(Some(feed), |feed| async {
            let mut feed = feed?;
            match feed.next_entry().await {
                Ok(entry) => Some((Ok(entry), Some(feed))),
                Err(error) => Some((Err(error), None)),
            }
        }))
    }
}

/// Whether the client of a subscription takes what it is sent. While it does not, the subscription reads no further.
#[derive(Clone)]
pub(crate) struct Gate(pub(crate) watch::Receiver<bool>);

impl Gate {
    async fn open(&mut self) {
        if self.0.wait_for(|open| *open).await.is_err() {
            // The connection is gone, and this with it in a moment.
            std::future::pending::<()>().await;
        }
    }
}

/// Where one subscription is. It waits for its client before it reads on, and not while it reads: a slow client holds no
/// snapshot and no turn, and costs no memory.
struct Feed {
    sources: Sources,
    subscribed: Subscribed,
    caller: Caller,
    gate: Option<Gate>,
    account: Option<Address>,
    /// The first position of the journal that was not looked at yet.
    next: Place,
    /// Entries that were found in the journal and not shown yet.
    found: VecDeque<Ahead>,
}

/// An entry that was found and not shown yet.
enum Ahead {
    /// One that all subscriptions share.
    Shared(Arc<NewEntry>),
    /// One that this subscription looked for by itself: it holds many of these, and little of each.
    Own(Place, EntryId),
}

impl Feed {
    async fn next_entry(&mut self) -> Result<Entry, QueryError> {
        loop {
            if let Some(gate) = &mut self.gate {
                gate.open().await;
            }
            if let Some(ahead) = self.found.pop_front() {
                let (position, id) = match &ahead {
                    Ahead::Shared(new) => (new.position, new.id),
                    Ahead::Own(position, id) => (*position, *id),
                };
                self.wait_until_shown(position).await?;
                let (row, position) = match &ahead {
                    // Whoever shows it first reads its row for all others who see all of it.
                    Ahead::Shared(new) if self.caller.reach().is_none() => {
                        new.row.get_or_try_init(|| self.read(position, id)).await?.clone()
                    }
                    Ahead::Shared(_) | Ahead::Own(..) => self.read(position, id).await?,
                };
                // Each entry has a scope of its own, which opens what is asked of it and is closed when the entry was sent.
                return Ok(Entry::new(row, self.sources.live_scope(position, &self.caller)));
            }
            self.look().await?;
        }
    }

    async fn read(&self, position: Place, id: EntryId) -> Result<(EntryRow, Place), QueryError> {
        let (row, scope) = self.sources.live_scope(position, &self.caller).read(&[ENTRIES], move |snapshot| snapshot.entry(id)).await?;
        let row =
            row.ok_or_else(|| QueryError::internal(format_args!("the read models do not show the entry {id} of position {position}")))?;
        Ok((row, scope.position()))
    }

    /// Takes the next entry that it wants, or waits until there may be one.
    async fn look(&mut self) -> Result<(), QueryError> {
        let account = self.account.as_ref();
        match self.subscribed.find(self.next, |new| account.is_none_or(|account| new.touches(account))) {
            Found::Entry(new) => {
                self.next = new.position.next();
                self.found.push_back(Ahead::Shared(new));
                Ok(())
            }
            Found::NoneUpTo(looked_to) => {
                self.next = self.next.max(looked_to.next());
                let has_more = self.subscribed.changed(LONGEST_SLEEP).await;
                // More was announced, but does not come: the journal itself says why.
                let head = self.sources.store.follow().head().position;
                if has_more || head < self.next { Ok(()) } else { self.look_into_the_journal().await }
            }
            Found::NotKept => self.look_into_the_journal().await,
        }
    }

    /// Looks for entries in what the journal has by now, or waits until it has more.
    async fn look_into_the_journal(&mut self) -> Result<(), QueryError> {
        // Subscribed before looking: what is appended in between wakes it.
        let mut heads = self.sources.store.follow().subscribe();
        let (store, account, from) = (self.sources.store.clone(), self.account.clone(), self.next);
        let turn = self.sources.look().await?;
        let look = move || {
            let seen = first_events(&*store, account.as_ref(), from);
            drop(turn);
            seen
        };
        let seen = blocking(look).await??;
        let stood_still = seen.next == self.next;
        self.next = seen.next;
        // It was empty, or nothing would have been looked for; so nothing is copied.
        self.found = seen.found.into_iter().map(|(position, id)| Ahead::Own(position, id)).collect();
        if stood_still {
            // Both outcomes mean: look again.
            let _ = tokio::time::timeout(LONGEST_SLEEP, heads.changed()).await;
        }
        Ok(())
    }

    async fn wait_until_shown(&self, wanted: Place) -> Result<(), QueryError> {
        let reads = &self.sources.reads;
        let mut reached = Place::ZERO;
        while !reads.wait_for(&[ENTRIES], wanted, STANDSTILL).await {
            let asked = reads.clone();
            let position = blocking(move || asked.group(ENTRIES).map(|entries| entries.position())).await??;
            if position >= wanted {
                break;
            }
            if position <= reached {
                return Err(QueryError::PositionNotReached { wanted, reached: position, group: ENTRIES.name() });
            }
            reached = position;
        }
        Ok(())
    }
}

struct Seen {
    found: Vec<(Place, EntryId)>,
    next: Place,
}

/// Entries that were first written at or after `from`, a stored block at a time.
fn first_events(store: &dyn EventStore, account: Option<&Address>, from: Place) -> Result<Seen, StoreError> {
    let mut seen = Seen { found: Vec::new(), next: from };
    while seen.found.len() < AHEAD && seen.next < from.after(STRETCH) {
        let Some(block) = store.read_checked_block(seen.next)? else { break };
        find(&block, account, &mut seen).inspect_err(|unreadable| {
            if let Unreadable::Corrupt(corruption) = unreadable {
                store.health().note_damage(corruption);
            }
        })?;
        if seen.found.len() < AHEAD {
            // To its end, so that a store that gives the wrong block cannot keep this going.
            seen.next = seen.next.max(block.last().next());
        }
    }
    Ok(seen)
}

/// Looks through a block, to its end or until enough was found; then `seen.next` lies inside it.
fn find(block: &CheckedBatch, account: Option<&Address>, seen: &mut Seen) -> Result<(), Unreadable> {
    let from = seen.next;
    for record in block.records().filter(|record| record.position() >= from) {
        if seen.found.len() == AHEAD {
            return Ok(());
        }
        seen.next = record.position().next();
        let envelope = record.envelope()?;
        let Ok(StreamId::Entry(id)) = envelope.stream.parse() else { continue };
        if envelope.version != StreamVersion::new(1) {
            continue;
        }
        let wanted = match account {
            None => true,
            Some(account) => record.decode::<Ledger>()?.iter().find_map(NewEntry::of).is_some_and(|new| new.touches(account)),
        };
        if wanted {
            seen.found.push((record.position(), id));
        }
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use cauri_domain::LedgerCommand;
    use cauri_engine::{CommandEnvelope, Engine, EngineConfig, Mode};
    use cauri_event_store::memory::MemoryStore;
    use serde_json::json;

    use super::*;

    #[test]
    fn what_a_subscription_holds_does_not_grow_with_the_stored_batch() {
        let store = Arc::new(MemoryStore::exclusive("ledger"));
        let engine = Engine::<Ledger>::start(store.clone(), EngineConfig::default()).expect("an engine");
        let envelope = |number: usize, command: LedgerCommand| {
            let id = format!("command-{number}").parse().expect("an id");
            CommandEnvelope::new(command, id, "operator:awa".parse().expect("an actor"))
        };
        let accounts = ["a:b", "a:c"].map(|address| {
            let open = json!({ "address": address, "kind": "asset", "currency": "XOF" });
            LedgerCommand::open_account(serde_json::from_value(open).expect("an account"))
        });
        let posts = (0..3 * AHEAD).map(|number| {
            let transfer = json!({ "debit": "a:b", "credit": "a:c", "amount": { "amount": "1", "currency": "XOF" } });
            let post = serde_json::from_value(json!({ "transfers": [transfer] })).expect("an entry");
            LedgerCommand::post_entry(post, &format!("command-{}", number + 2).parse().expect("an id"))
        });
        let commands = accounts.into_iter().chain(posts).enumerate().map(|(number, command)| envelope(number, command)).collect();
        engine.submit_blocking(commands, Mode::Each).expect("outcomes");
        engine.stop();

        let mut next = Place::ZERO.next();
        let mut found = Vec::new();
        for _ in 0..3 {
            let seen = first_events(&*store, None, next).expect("read");
            assert!(seen.found.len() <= AHEAD, "{} of one batch are held", seen.found.len());
            next = seen.next;
            found.extend(seen.found);
        }
        let positions: Vec<u64> = found.iter().map(|(position, _)| position.get()).collect();
        assert_eq!(positions, (3..3 + 3 * AHEAD as u64).collect::<Vec<_>>(), "each entry once, in order");
    }
}
