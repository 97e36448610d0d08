//! The root of every subscription: entries as they become visible.

use std::collections::VecDeque;
use std::time::Duration;

use async_graphql::{Context, Subscription as GraphqlSubscription};
use cauri_domain::entry::EntryEvent;
use cauri_domain::ids::{AccountAddress as Address, EntryId};
use cauri_event_schemas::{Event, Position as Place, StreamId, StreamVersion};
use cauri_event_store::{CheckedBatch, Corruption, EventStore, StoreError};
use futures::Stream;
use futures::stream;

use crate::error::QueryError;
use crate::scalars::{AccountAddress, Position};
use crate::scope::{Sources, blocking};
use crate::types::Entry;

/// The root of every subscription.
#[derive(Debug)]
pub struct Subscription;

/// How long the read models may stand still before a subscription that waits for them gives up.
const STANDSTILL: Duration = Duration::from_secs(30);
/// Looks at the journal at least this often, should a notice ever be missed.
const LONGEST_SLEEP: Duration = Duration::from_secs(5);
/// Entries that are found in the journal before the first of them is shown.
const AHEAD: usize = 256;
/// Records that are looked through in one go: a subscription that nobody waits for any more ends behind them.
const STRETCH: usize = 100_000;

/// What happens, as it happens: over WebSocket with the protocol `graphql-transport-ws`.
#[GraphqlSubscription]
impl Subscription {
    /// Every entry once, in the order of the journal, as soon as the read models show it: what was recorded from position `from` on, then whatever is recorded next. After a broken connection go on with `from` one more than the `position` of the last entry that arrived, and nothing is lost or seen twice. A client that does not take what it is sent for ten seconds is disconnected.
    #[graphql(complexity = "50 + child_complexity")]
    async fn entries(
        &self,
        ctx: &Context<'_>,
        #[graphql(desc = "Only entries with a transfer that debits or credits this account.")] account: Option<AccountAddress>,
        #[graphql(desc = "Begin at this position; if absent, behind what the read models show now.")] from: Option<Position>,
    ) -> Result<impl Stream<Item = Result<Entry, QueryError>> + use<>, QueryError> {
        let sources = ctx.data_opt::<Sources>().ok_or_else(|| QueryError::internal("a subscription runs without sources"))?.clone();
        let next = match from {
            Some(from) => from.0.max(Place::ZERO.next()),
            None => {
                let reads = sources.reads.clone();
                blocking(move || reads.snapshot().map(|snapshot| snapshot.position())).await??.next()
            }
        };
        let feed = Feed { sources, account: account.map(|account| account.0), next, found: VecDeque::new() };
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

/// Where one subscription is. Nothing runs while nobody polls it, so a slow client holds up nobody and costs no memory.
struct Feed {
    sources: Sources,
    account: Option<Address>,
    /// The first position of the journal that was not looked at yet.
    next: Place,
    /// Entries that were found in the journal and not shown yet.
    found: VecDeque<(Place, EntryId)>,
}

impl Feed {
    async fn next_entry(&mut self) -> Result<Entry, QueryError> {
        loop {
            if let Some((position, id)) = self.found.pop_front() {
                self.wait_until_shown(position).await?;
                // Each entry has a scope of its own, opened now and closed when the entry was sent.
                let scope = self.sources.scope();
                let entry = Entry::load(id, &scope).await?;
                return entry.ok_or_else(|| {
                    QueryError::internal(format_args!("the read models do not show the entry {id} of position {position}"))
                });
            }
            self.look().await?;
        }
    }

    /// Looks for entries in what the journal has by now, or waits until it has more.
    async fn look(&mut self) -> Result<(), QueryError> {
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
        self.found.extend(seen.found);
        if stood_still {
            // Both outcomes mean: look again.
            let _ = tokio::time::timeout(LONGEST_SLEEP, heads.changed()).await;
        }
        Ok(())
    }

    async fn wait_until_shown(&self, wanted: Place) -> Result<(), QueryError> {
        let reads = &self.sources.reads;
        let mut reached = Place::ZERO;
        while !reads.wait_for(wanted, STANDSTILL).await {
            let asked = reads.clone();
            let position = blocking(move || asked.snapshot().map(|snapshot| snapshot.position())).await??;
            if position >= wanted {
                break;
            }
            if position <= reached {
                return Err(QueryError::PositionNotReached { wanted, reached: position });
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

/// Entries that were first written at or after `from`, a stored batch at a time.
fn first_events(store: &dyn EventStore, account: Option<&Address>, from: Place) -> Result<Seen, StoreError> {
    let mut seen = Seen { found: Vec::new(), next: from };
    while seen.found.len() < AHEAD && seen.next < from.after(STRETCH) {
        let Some(batch) = store.read_checked(seen.next)? else { break };
        find(&batch, account, &mut seen).inspect_err(|corruption| store.health().note_damage(corruption))?;
        seen.next = batch.last().next();
    }
    Ok(seen)
}

fn find(batch: &CheckedBatch, account: Option<&Address>, seen: &mut Seen) -> Result<(), Corruption> {
    for record in batch.records().filter(|record| record.position() >= seen.next) {
        let envelope = record.envelope()?;
        let StreamId::Entry(id) = envelope.stream else { continue };
        if envelope.version == StreamVersion::new(1) && (account.is_none() || touches(&record, account)?) {
            seen.found.push((record.position(), id));
        }
    }
    Ok(())
}

/// Whether the entry that this record writes has a transfer with the account.
fn touches(record: &cauri_event_store::Record<'_>, account: Option<&Address>) -> Result<bool, Corruption> {
    let touched = record.decode()?.into_iter().any(|recorded| {
        let transfers = match &recorded.event {
            Event::Entry(EntryEvent::Posted(posted)) => &posted.transfers,
            Event::Entry(EntryEvent::Held(held)) => &held.transfers,
            Event::Entry(EntryEvent::HoldPosted(_) | EntryEvent::HoldVoided(_) | EntryEvent::HoldExpired(_) | EntryEvent::Reversed(_))
            | Event::Account(_)
            | Event::Command(_)
            | Event::Journal(_) => return false,
        };
        transfers.iter().any(|transfer| Some(&transfer.debit) == account || Some(&transfer.credit) == account)
    });
    Ok(touched)
}
