//! All connections: who may have a place, who has waited longest, and whose time is over.

use std::collections::HashMap;
use std::net::{IpAddr, Ipv6Addr};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::time::{Duration, Instant};

use metrics::{Gauge, counter, gauge};
use tokio::sync::Notify;

use super::Bounds;
use super::connection::{Link, Order, Phase};

/// Places besides those of `Bounds::connections`, for newcomers while nobody can be closed.
pub(crate) const RESERVE: usize = 64;
/// A newcomer in a reserved place says at once what it wants.
const HEAD_IN_RESERVE: Duration = Duration::from_secs(2);
/// A head that is being sent when the end is asked for is waited for this long.
const HEAD_AT_THE_END: Duration = Duration::from_secs(2);
/// A connection younger than this may still be sending its first request; idle ones are closed before it.
const YOUNG: Duration = Duration::from_secs(1);
/// A newcomer waits for what is being closed; it is looked at again after this time at the latest.
const WAIT: Duration = Duration::from_millis(50);
/// How often the times of connections are looked at.
const SWEEP: Duration = Duration::from_millis(250);

/// Who is at the other end: whoever has one address of an IPv6 network has all of them.
#[derive(Clone, Copy, Debug, PartialEq, Eq, Hash)]
pub(super) struct Peer(IpAddr);

impl Peer {
    pub(super) fn of(address: IpAddr) -> Self {
        match address.to_canonical() {
            IpAddr::V6(v6) => {
                let [a, b, c, d, ..] = v6.segments();
                Self(IpAddr::V6(Ipv6Addr::new(a, b, c, d, 0, 0, 0, 0)))
            }
            v4 @ IpAddr::V4(_) => Self(v4),
        }
    }
}

/// All connections of a listener.
pub(super) struct Table {
    bounds: Bounds,
    began: Instant,
    places: Mutex<Places>,
    /// A place became free, or a task ended.
    freed: Notify,
    open: Gauge,
}

#[derive(Default)]
struct Places {
    next: u64,
    /// Connections whose tasks run; a WebSocket has left its own.
    links: HashMap<u64, Arc<Link>>,
    all: Count,
    in_reserve: Count,
    peers: HashMap<Peer, Count>,
    ending: Option<Duration>,
}

/// Places that are taken, and how many of those are being given up.
#[derive(Clone, Copy, Default)]
struct Count {
    taken: usize,
    leaving: usize,
}

impl Count {
    const fn staying(self) -> usize {
        self.taken.saturating_sub(self.leaving)
    }

    fn leave(&mut self, left: bool) {
        self.taken -= 1;
        if left {
            self.leaving -= 1;
        }
    }
}

/// A connection that has a place.
pub(super) struct Entered {
    pub(super) link: Arc<Link>,
    /// Given up when the socket is closed.
    pub(super) place: Place,
    /// Given up when the connection's task ends.
    pub(super) registered: Registered,
}

impl Table {
    pub(super) fn new(bounds: Bounds) -> Arc<Self> {
        metrics::describe_gauge!("cauri_http_connections", "Connections that are open, WebSockets included");
        metrics::describe_counter!("cauri_http_connections_closed_total", "Connections that the server closed, by the reason");
        let open = gauge!("cauri_http_connections");
        Arc::new(Self { bounds, began: Instant::now(), places: Mutex::default(), freed: Notify::new(), open })
    }

    fn places(&self) -> MutexGuard<'_, Places> {
        self.places.lock().unwrap_or_else(PoisonError::into_inner)
    }

    /// A place for a newcomer. It waits only for sockets that are being closed.
    pub(super) async fn enter(self: &Arc<Self>, address: IpAddr) -> Entered {
        let peer = Peer::of(address);
        loop {
            let freed = self.freed.notified();
            if let Some(entered) = self.try_enter(peer) {
                return entered;
            }
            let _ = tokio::time::timeout(WAIT, freed).await;
        }
    }

    fn try_enter(self: &Arc<Self>, peer: Peer) -> Option<Entered> {
        let Bounds { connections, per_peer, .. } = self.bounds;
        let now = self.began.elapsed();
        let mut places = self.places();
        // Several at a time: under an attack looking for them costs more than closing them.
        if places.of(peer).staying() >= per_peer {
            places.close_waiting(|link| link.peer == peer && !link.in_reserve, 1 + per_peer / 64, now);
        }
        if places.ordinary() >= connections {
            places.close_waiting(|link| !link.in_reserve, 1 + connections / 64, now);
        }
        let in_reserve = places.ordinary() >= connections || places.of(peer).staying() >= per_peer;
        if in_reserve && places.in_reserve.staying() >= RESERVE {
            places.close_waiting(|link| link.in_reserve, RESERVE / 8, now);
        }
        let (used, most) = match in_reserve {
            true => (places.in_reserve.taken, RESERVE),
            false => (places.all.taken - places.in_reserve.taken, connections),
        };
        if used >= most {
            return None;
        }
        let link = Link::new(peer, in_reserve, self.began);
        places.all.taken += 1;
        places.peers.entry(peer).or_default().taken += 1;
        if in_reserve {
            places.in_reserve.taken += 1;
        }
        let id = places.next;
        places.next += 1;
        places.links.insert(id, Arc::clone(&link));
        self.open.set(places.all.taken as f64);
        let place = Place { table: Arc::clone(self), link: Arc::clone(&link) };
        Some(Entered { link, place, registered: Registered { table: Arc::clone(self), id } })
    }

    /// Closes some of those who wait, where the system has no room for another.
    pub(super) fn make_room(&self) {
        let now = self.began.elapsed();
        self.places().close_waiting(|_| true, 1 + self.bounds.connections / 64, now);
    }

    /// Asks every connection to finish what it is answering.
    pub(super) fn end(&self) {
        let mut places = self.places();
        places.ending = Some(self.began.elapsed());
        for link in places.links.values() {
            link.tell(Order::Finish);
        }
    }

    /// Completes when no connection's task is left.
    pub(super) async fn all_closed(&self) {
        loop {
            let freed = self.freed.notified();
            if self.places().links.is_empty() {
                return;
            }
            let _ = tokio::time::timeout(WAIT, freed).await;
        }
    }

    /// Closes every connection whose time is over.
    fn close_late(&self) {
        let now = self.began.elapsed();
        let mut places = self.places();
        let ending = places.ending;
        let late: Vec<(Arc<Link>, &'static str)> = places
            .links
            .values()
            .filter_map(|link| {
                let (phase, since) = link.phase();
                let lasted = now.saturating_sub(since);
                let head = if link.in_reserve { HEAD_IN_RESERVE.min(self.bounds.head) } else { self.bounds.head };
                let late = match phase {
                    Phase::New | Phase::Head if lasted >= head => "head_time_out",
                    Phase::New | Phase::Head if ending.is_some_and(|ended| now.saturating_sub(ended) >= HEAD_AT_THE_END) => "ending",
                    Phase::Idle if lasted >= self.bounds.idle => "idle",
                    Phase::New | Phase::Idle | Phase::Head | Phase::Busy => return None,
                };
                Some((Arc::clone(link), late))
            })
            .collect();
        for (link, reason) in late {
            places.close(&link, reason);
        }
    }
}

impl Places {
    fn of(&self, peer: Peer) -> Count {
        self.peers.get(&peer).copied().unwrap_or_default()
    }

    /// Ordinary places that stay taken.
    fn ordinary(&self) -> usize {
        self.all.staying().saturating_sub(self.in_reserve.staying())
    }

    /// Closes up to `count` connections that wait for a request: first those that never sent one, then those that are in
    /// the middle of one, then idle ones; of each the oldest first.
    fn close_waiting(&mut self, among: impl Fn(&Link) -> bool, count: usize, now: Duration) {
        // By number where the times are equal: it rises with every connection.
        let mut waiting: Vec<(u8, Duration, u64, Arc<Link>)> = self
            .links
            .iter()
            .filter(|(_, link)| !link.is_leaving() && among(link))
            .filter_map(|(number, link)| {
                let (phase, since) = link.phase();
                let rank = match phase {
                    Phase::New if now.saturating_sub(since) >= YOUNG => 0,
                    Phase::Head => 1,
                    Phase::Idle => 2,
                    Phase::New => 3,
                    Phase::Busy => return None,
                };
                Some((rank, since, *number, Arc::clone(link)))
            })
            .collect();
        waiting.sort_unstable_by_key(|(rank, since, number, _)| (*rank, *since, *number));
        for (_, _, _, link) in waiting.into_iter().take(count) {
            self.close(&link, "no_place");
        }
    }

    fn close(&mut self, link: &Link, reason: &'static str) {
        if !link.leave() {
            return;
        }
        self.all.leaving += 1;
        if link.in_reserve {
            self.in_reserve.leaving += 1;
        }
        if let Some(count) = self.peers.get_mut(&link.peer) {
            count.leaving += 1;
        }
        counter!("cauri_http_connections_closed_total", "reason" => reason).increment(1);
        link.tell(Order::Close);
    }
}

/// Looks at the times of all connections for as long as it is polled.
pub(super) async fn sweep(table: Arc<Table>) {
    let mut every = tokio::time::interval(SWEEP);
    every.set_missed_tick_behavior(tokio::time::MissedTickBehavior::Delay);
    loop {
        every.tick().await;
        table.close_late();
    }
}

/// A place of a connection, for as long as its socket is open.
pub(super) struct Place {
    table: Arc<Table>,
    link: Arc<Link>,
}

impl Drop for Place {
    fn drop(&mut self) {
        let mut places = self.table.places();
        // The task may outlive the socket, as when a WebSocket ends first. Marked as leaving, it is not counted as one when
        // it is chosen to be closed later.
        let left = !self.link.leave();
        places.all.leave(left);
        if self.link.in_reserve {
            places.in_reserve.leave(left);
        }
        if let Some(count) = places.peers.get_mut(&self.link.peer) {
            count.leave(left);
            if count.taken == 0 {
                places.peers.remove(&self.link.peer);
            }
        }
        self.table.open.set(places.all.taken as f64);
        drop(places);
        self.table.freed.notify_waiters();
    }
}

/// A connection whose task runs.
pub(super) struct Registered {
    table: Arc<Table>,
    id: u64,
}

impl Drop for Registered {
    fn drop(&mut self) {
        self.table.places().links.remove(&self.id);
        self.table.freed.notify_waiters();
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn bounds(connections: usize, per_peer: usize) -> Bounds {
        let time = Duration::from_secs(60);
        Bounds { connections, per_peer, head: time, idle: time, untaken: time, ending: time }
    }

    fn enter(table: &Arc<Table>, address: &str) -> Option<Entered> {
        table.try_enter(Peer::of(address.parse().expect("an address")))
    }

    #[test]
    fn the_addresses_of_an_ipv6_network_are_one_peer_and_those_of_ipv4_are_not() {
        let peer = |text: &str| Peer::of(text.parse().expect("an address"));
        assert_eq!(peer("2001:db8:0:1::1"), peer("2001:db8:0:1:ffff::2"));
        assert_ne!(peer("2001:db8:0:1::1"), peer("2001:db8:0:2::1"));
        assert_ne!(peer("192.0.2.1"), peer("192.0.2.2"));
        assert_eq!(peer("::ffff:192.0.2.1"), peer("192.0.2.1"));
    }

    #[test]
    fn a_newcomer_gets_the_place_of_the_one_that_waited_longest() {
        let table = Table::new(bounds(2, 2));
        let first = enter(&table, "192.0.2.1").expect("a place");
        let second = enter(&table, "192.0.2.2").expect("a place");
        assert!(enter(&table, "192.0.2.3").is_none(), "it waits for the one that is being closed");
        assert!(first.link.is_leaving() && !second.link.is_leaving());
        drop(first);
        let third = enter(&table, "192.0.2.3").expect("the place of the first");
        assert!(!third.link.in_reserve);
    }

    #[test]
    fn where_nobody_waits_a_newcomer_gets_a_reserved_place() {
        let table = Table::new(bounds(1, 1));
        let only = enter(&table, "192.0.2.1").expect("a place");
        let _request = super::super::connection::Answering::of(&only.link, None);
        let mut held = Vec::new();
        for _ in 0..RESERVE {
            let newcomer = enter(&table, "192.0.2.2").expect("a reserved place");
            assert!(newcomer.link.in_reserve);
            held.push(newcomer);
        }
        assert!(!only.link.is_leaving(), "what is being answered is not cut off");
        assert!(enter(&table, "192.0.2.2").is_none());
        held.retain(|newcomer| !newcomer.link.is_leaving());
        assert!(held.len() < RESERVE, "the oldest of them make room");
        assert!(enter(&table, "192.0.2.2").is_some());
    }

    #[test]
    fn a_peer_that_has_all_its_places_takes_none_from_others() {
        let table = Table::new(bounds(10, 2));
        let other = enter(&table, "192.0.2.1").expect("a place");
        let mut held: Vec<Entered> = (0..2).map(|_| enter(&table, "192.0.2.2").expect("a place")).collect();
        for _ in 0..10 {
            let newcomer = enter(&table, "192.0.2.2").expect("a place");
            held.retain(|entered| !entered.link.is_leaving());
            assert!(!newcomer.link.in_reserve, "its own oldest makes room");
            held.push(newcomer);
        }
        assert!(!other.link.is_leaving());
        assert!(held.len() <= 2);
    }

    #[test]
    fn a_connection_whose_socket_ended_first_does_not_count_as_leaving() {
        let table = Table::new(Bounds { idle: Duration::ZERO, head: Duration::ZERO, ..bounds(2, 2) });
        let Entered { place, registered, .. } = enter(&table, "192.0.2.1").expect("a place");
        drop(place);
        table.close_late();
        table.make_room();
        drop(registered);
        let counts = |count: Count| (count.taken, count.leaving);
        assert_eq!(counts(table.places().all), (0, 0));
        // With a count that has gone wrong there would be three places for two connections.
        let _held = [enter(&table, "192.0.2.1").expect("a place"), enter(&table, "192.0.2.1").expect("a place")];
        assert_eq!(counts(table.places().all), (2, 0));
        assert_eq!(table.places().ordinary(), 2);
    }
}
