//! The spike of a Postgres store keeps the port's promises on a real server. `cargo test -p cauri-event-store --features postgres`.
#![cfg(feature = "postgres")]
#![expect(clippy::unwrap_used, reason = "tests")]

mod postgres {
    pub mod cluster;
}

use std::cell::Cell;

use std::time::Duration;

use cauri_event_schemas::Position;
use cauri_event_store::conformance::material::{Author, all, batch_after, check};
use cauri_event_store::conformance::{Backend, run};
use cauri_event_store::postgres::PostgresStore;
use cauri_event_store::{EventStore, Failure, Lookup, StoreError};
use postgres::cluster::Cluster;

struct Database {
    cluster: Cluster,
    made: Cell<u32>,
}

impl Backend for Database {
    type Store = PostgresStore;

    /// Every journal in a database of its own.
    fn create(&self, name: &str) -> PostgresStore {
        self.made.set(self.made.get() + 1);
        let database = format!("db{}", self.made.get());
        let mut client = ::postgres::Client::connect(&self.cluster.config("postgres"), ::postgres::NoTls).unwrap();
        client.batch_execute(&format!("CREATE DATABASE {database}")).unwrap();
        PostgresStore::open(&self.cluster.config(&database), name).unwrap()
    }

    fn reopen(&self, store: PostgresStore) -> PostgresStore {
        let (config, name) = (store.config().to_owned(), store.name().to_owned());
        drop(store);
        PostgresStore::open(&config, &name).unwrap()
    }

    /// The server loses its connections, as where the process is killed.
    fn crash(&self, store: PostgresStore) -> PostgresStore {
        let mut client = ::postgres::Client::connect(store.config(), ::postgres::NoTls).unwrap();
        let others =
            "SELECT pg_terminate_backend(pid) FROM pg_stat_activity WHERE datname = current_database() AND pid <> pg_backend_pid()";
        client.query(others, &[]).unwrap();
        let (config, name) = (store.config().to_owned(), store.name().to_owned());
        drop(store);
        PostgresStore::open(&config, &name).unwrap()
    }

    fn another(&self, store: &PostgresStore) -> Option<PostgresStore> {
        Some(PostgresStore::open(store.config(), store.name()).unwrap())
    }
}

#[test]
fn a_turn_is_one_transaction_that_the_others_wait_for() {
    let backend = Database { cluster: Cluster::start(), made: Cell::new(0) };
    let (mut left, mut right) = (Author::new("left"), Author::new("right"));
    let first = backend.create("turns");
    let second = backend.another(&first).unwrap();
    let long = Duration::from_secs(60);
    let turn = first.begin_turn(Position::ZERO, long).unwrap();
    assert!(turn.tail().is_empty() && turn.now_micros() > 1_700_000_000_000_000);
    assert!(matches!(second.begin_turn(Position::ZERO, Duration::from_millis(50)), Err(StoreError::Failure(Failure::NotDone(_)))));
    let batch = batch_after(turn.tree().clone(), &[left.entry(), left.hold_and_void()]);
    let head = turn.append(&batch).unwrap();
    // Whoever comes next sees what was appended, and a turn in which nobody appends leaves nothing behind.
    let mut turn = second.begin_turn(Position::ZERO, long).unwrap();
    assert_eq!(turn.tree().head(), head);
    let first_record = all(&first)[0].as_record().envelope().unwrap().stream.to_string();
    let found = turn.locate(&[Lookup::Stream(&first_record), Lookup::Stream("entry/never")]).unwrap();
    assert_eq!(found, [Some(Position::new(1)), None]);
    assert_eq!(turn.tail().iter().map(|batch| batch.last).collect::<Vec<_>>(), [head.position]);
    drop(turn);
    let turn = second.begin_turn(head.position, long).unwrap();
    assert!(turn.tail().is_empty());
    let batch = batch_after(turn.tree().clone(), &[right.entry()]);
    turn.append(&batch).unwrap();
    check(&first);
    check(&second);
}

#[test]
fn the_postgres_store_conforms() {
    run(Database { cluster: Cluster::start(), made: Cell::new(0) });
}
