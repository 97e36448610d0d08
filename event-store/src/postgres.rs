//! A journal in PostgreSQL: one row an event, and a turn that is one transaction.
//!
//! **This is a spike** (decision 0016): it keeps the port's promises and says what a turn costs. It knows no reconnecting, no
//! limits of time and no migrations.
//!
//! The row of the journal in `journals` is the lock, the head and the source of positions, so that no position is given before
//! it is certain, and none is skipped. The columns of `events` that `postgres-es` has too have its names and types.

use std::borrow::Cow;
use std::sync::atomic::{AtomicBool, Ordering};
use std::sync::{Arc, Mutex, MutexGuard, PoisonError};
use std::thread::JoinHandle;
use std::time::Duration;

use cauri_event_schemas::{Position, StreamVersion};
use fallible_iterator::FallibleIterator;
use postgres::{Client, NoTls, Row};
use serde::Deserialize;
use serde_json::value::RawValue;

use crate::batch::Batch;
use crate::follow::HeadWatch;
use crate::merkle::{Hash, Tree};
use crate::port::{Appended, Corruption, EventStore, Failure, Head, Lookup, Sharing, Snapshot, StoreError, Turn};
use crate::stored::{OwnedRecord, StoredBatch};

const SCHEMA: &str = "
    CREATE TABLE IF NOT EXISTS journals (
        id serial PRIMARY KEY, name text UNIQUE NOT NULL, position bigint NOT NULL, peaks bytea NOT NULL,
        format_1_until bigint NOT NULL DEFAULT 0
    );
    CREATE TABLE IF NOT EXISTS batches (
        journal int NOT NULL, first bigint NOT NULL, last bigint NOT NULL, root bytea NOT NULL, PRIMARY KEY (journal, last)
    );
    CREATE TABLE IF NOT EXISTS events (
        journal int NOT NULL, position bigint NOT NULL,
        aggregate_type text NOT NULL, aggregate_id text NOT NULL, sequence bigint NOT NULL,
        event_type text NOT NULL, event_version text NOT NULL, payload json NOT NULL, metadata json NOT NULL,
        envelope int NOT NULL, recorded_at text NOT NULL, checksum bigint NOT NULL, command text,
        PRIMARY KEY (journal, position)
    );
    CREATE UNIQUE INDEX IF NOT EXISTS events_by_aggregate ON events (journal, aggregate_type, aggregate_id, sequence);
    CREATE INDEX IF NOT EXISTS events_by_command ON events (journal, command) WHERE command IS NOT NULL;
    CREATE TABLE IF NOT EXISTS snapshots (
        journal int NOT NULL, position bigint NOT NULL, root bytea NOT NULL, state bytea NOT NULL, PRIMARY KEY (journal)
    );";

const COLUMNS: &str = "position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload::text, metadata::text, envelope, \
    recorded_at, checksum";

/// A journal in a PostgreSQL database.
pub struct PostgresStore {
    name: String,
    journal: i32,
    config: String,
    idle: Mutex<Vec<Client>>,
    /// The transaction of the turn that was taken and is not ended.
    turn: Mutex<Option<Client>>,
    heads: Arc<HeadWatch>,
    stopping: Arc<AtomicBool>,
    listener: Option<JoinHandle<()>>,
}

/// The members of a record that are columns as they stand.
#[derive(Deserialize)]
struct Members<'a> {
    #[serde(borrow)]
    data: &'a RawValue,
    #[serde(default)]
    envelope: Option<i32>,
    #[serde(borrow)]
    metadata: &'a RawValue,
    #[serde(borrow)]
    recorded_at: Cow<'a, str>,
    schema: u32,
    #[serde(borrow)]
    stream: Cow<'a, str>,
    #[serde(borrow, rename = "type")]
    event_type: Cow<'a, str>,
    version: i64,
}

impl PostgresStore {
    /// Opens a journal of a database, which is made if it is not there. `config` as libpq has it: `host=/tmp user=postgres`.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub fn open(config: &str, name: &str) -> Result<Self, StoreError> {
        let mut client = Client::connect(config, NoTls).map_err(not_done)?;
        // Two that begin at once would both make the tables.
        let schema = format!("SELECT pg_advisory_lock(1); {SCHEMA} SELECT pg_advisory_unlock(1);");
        client.batch_execute(&schema).map_err(not_done)?;
        let insert = "INSERT INTO journals (name, position, peaks) VALUES ($1, 0, '') ON CONFLICT DO NOTHING";
        client.execute(insert, &[&name]).map_err(not_done)?;
        let journal: i32 = client.query_one("SELECT id FROM journals WHERE name = $1", &[&name]).map_err(not_done)?.get(0);
        let head = tree(&mut client, journal, "")?.0.head();
        let heads = Arc::new(HeadWatch::new(head));
        let stopping = Arc::new(AtomicBool::new(false));
        let mut listening = Client::connect(config, NoTls).map_err(not_done)?;
        listening.batch_execute(&format!("LISTEN journal_{journal}")).map_err(not_done)?;
        let listener = std::thread::spawn({
            let (heads, stopping) = (heads.clone(), stopping.clone());
            move || listen(listening, journal, &heads, &stopping)
        });
        Ok(Self {
            name: name.to_owned(),
            journal,
            config: config.to_owned(),
            idle: Mutex::new(vec![client]),
            turn: Mutex::new(None),
            heads,
            stopping,
            listener: Some(listener),
        })
    }

    /// The connection that it was opened with.
    pub fn config(&self) -> &str {
        &self.config
    }

    fn connection(&self) -> Result<Client, StoreError> {
        let idle = lock(&self.idle).pop();
        idle.map_or_else(|| Client::connect(&self.config, NoTls).map_err(not_done), Ok)
    }

    fn with<T>(&self, ask: impl FnOnce(&mut Client) -> Result<T, StoreError>) -> Result<T, StoreError> {
        let mut client = self.connection()?;
        let answer = ask(&mut client)?;
        // After an error the connection may be in any state, and is not used again.
        lock(&self.idle).push(client);
        Ok(answer)
    }

    fn write(&self, client: &mut Client, expected: Head, batch: &Batch) -> Result<Appended, StoreError> {
        let (tree, format_1_until) = tree(client, self.journal, "FOR UPDATE")?;
        if tree.head() != expected {
            return Ok(Appended::Conflict(tree.head()));
        }
        if batch.is_empty() {
            return Ok(Appended::Done(tree.head()));
        }
        let (first, head) = (batch.first(), batch.head());
        let mut rows = Rows::default();
        let mut commands = batch.commands().peekable();
        for ((line, checksum), position) in batch.lines().split(|byte| *byte == b'\n').zip(batch.checksums()).zip(first.get()..) {
            let members: Members<'_> = serde_json::from_slice(line).map_err(not_done)?;
            let command = commands.next_if(|(at, _)| at.get() == position).map(|(_, metadata)| metadata.key().to_string());
            rows.push(position, &members, *checksum, command);
        }
        rows.insert(client, self.journal)?;
        let (first, last) = (first.get() as i64, head.position.get() as i64);
        let until = if batch.has_format_1() { last } else { format_1_until };
        client
            .execute("INSERT INTO batches VALUES ($1, $2, $3, $4)", &[&self.journal, &first, &last, &head.root.0.as_slice()])
            .map_err(unknown)?;
        client
            .execute(
                "UPDATE journals SET position = $2, peaks = $3, format_1_until = $4 WHERE id = $1",
                &[&self.journal, &last, &peaks(batch.tree()), &until],
            )
            .map_err(unknown)?;
        client.batch_execute(&format!("NOTIFY journal_{}; COMMIT", self.journal)).map_err(unknown)?;
        self.heads.publish(head);
        Ok(Appended::Done(head))
    }

    fn batch(&self, client: &mut Client, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        let select = "SELECT first, last, root FROM batches WHERE journal = $1 AND last >= $2 ORDER BY last LIMIT 1";
        let wanted = i64::try_from(position.get()).unwrap_or(i64::MAX);
        let Some(row) = client.query_opt(select, &[&self.journal, &wanted]).map_err(not_done)? else { return Ok(None) };
        let (first, last): (i64, i64) = (row.get(0), row.get(1));
        if first > wanted {
            return Ok(None);
        }
        let records = self.records(client, "position BETWEEN $1 AND $2 ORDER BY position", &[&first, &last])?;
        let checksums = records.iter().map(|record| record.checksum).collect();
        let lines = records.into_iter().flat_map(|record| record.line.into_bytes().into_iter().chain([b'\n'])).collect();
        let (first, last) = (Position::new(first as u64), Position::new(last as u64));
        Ok(Some(StoredBatch { first, last, root: Hash::from_slice(row.get(2)), checksums, lines }))
    }

    fn located(&self, client: &mut Client, lookups: &[Lookup<'_>]) -> Result<Vec<Option<Position>>, StoreError> {
        // All in one round trip.
        let mut commands: Vec<Option<String>> = Vec::new();
        let (mut types, mut ids) = (Vec::new(), Vec::new());
        for lookup in lookups {
            let (command, stream) = match lookup {
                Lookup::Command(key) => (Some(key.to_string()), None),
                Lookup::Stream(stream) => (None, stream.split_once('/')),
            };
            commands.push(command);
            types.push(stream.map(|(aggregate_type, _)| aggregate_type));
            ids.push(stream.map(|(_, id)| id));
        }
        let select = "SELECT coalesce(
                (SELECT min(position) FROM events e WHERE e.journal = $1 AND e.command = t.command),
                (SELECT position FROM events e WHERE e.journal = $1 AND e.aggregate_type = t.type AND e.aggregate_id = t.id AND e.sequence = 1))
            FROM unnest($2::text[], $3::text[], $4::text[]) WITH ORDINALITY AS t(command, type, id, number) ORDER BY number";
        let rows = client.query(select, &[&self.journal, &commands, &types, &ids]).map_err(not_done)?;
        Ok(rows.iter().map(|row| row.get::<_, Option<i64>>(0).map(|position| Position::new(position as u64))).collect())
    }

    fn records(
        &self,
        client: &mut Client,
        condition: &str,
        key: &[&(dyn postgres::types::ToSql + Sync)],
    ) -> Result<Vec<Stored>, StoreError> {
        let select = format!("SELECT {COLUMNS} FROM events WHERE journal = {} AND {condition}", self.journal);
        client.query(&select, key).map_err(not_done)?.iter().map(stored).collect()
    }
}

impl Drop for PostgresStore {
    fn drop(&mut self) {
        self.stopping.store(true, Ordering::Relaxed);
        if let Some(listener) = self.listener.take() {
            // Its panic, if any, was reported when it happened.
            let _ = listener.join();
        }
    }
}

/// Columns of many rows.
#[derive(Default)]
struct Rows {
    positions: Vec<i64>,
    types: Vec<String>,
    ids: Vec<String>,
    sequences: Vec<i64>,
    event_types: Vec<String>,
    versions: Vec<String>,
    payloads: Vec<String>,
    metadata: Vec<String>,
    envelopes: Vec<i32>,
    recorded: Vec<String>,
    checksums: Vec<i64>,
    commands: Vec<Option<String>>,
}

impl Rows {
    fn push(&mut self, position: u64, members: &Members<'_>, checksum: u32, command: Option<String>) {
        let (aggregate_type, id) = members.stream.split_once('/').unwrap_or((&members.stream, ""));
        self.positions.push(position as i64);
        self.types.push(aggregate_type.to_owned());
        self.ids.push(id.to_owned());
        self.sequences.push(members.version);
        self.event_types.push(members.event_type.to_string());
        self.versions.push(members.schema.to_string());
        self.payloads.push(members.data.get().to_owned());
        self.metadata.push(members.metadata.get().to_owned());
        self.envelopes.push(members.envelope.unwrap_or(1));
        self.recorded.push(members.recorded_at.to_string());
        self.checksums.push(i64::from(checksum));
        self.commands.push(command);
    }

    fn insert(&self, client: &mut Client, journal: i32) -> Result<(), StoreError> {
        let insert =
            "INSERT INTO events SELECT $1, position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload::json,
            metadata::json, envelope, recorded_at, checksum, command
            FROM unnest($2::bigint[], $3::text[], $4::text[], $5::bigint[], $6::text[], $7::text[], $8::text[], $9::text[], $10::int[],
                $11::text[], $12::bigint[], $13::text[])
            AS t(position, aggregate_type, aggregate_id, sequence, event_type, event_version, payload, metadata, envelope, recorded_at,
                checksum, command)";
        let Self { positions, types, ids, sequences, event_types, versions, payloads, metadata, envelopes, recorded, checksums, commands } =
            self;
        let columns: [&(dyn postgres::types::ToSql + Sync); 13] = [
            &journal,
            positions,
            types,
            ids,
            sequences,
            event_types,
            versions,
            payloads,
            metadata,
            envelopes,
            recorded,
            checksums,
            commands,
        ];
        client.execute(insert, &columns).map(drop).map_err(unknown)
    }
}

/// A record as its row gives it again.
struct Stored {
    position: Position,
    line: String,
    checksum: u32,
}

/// The canonical bytes of a record from its columns; its checksum says whether they are what was stored.
fn stored(row: &Row) -> Result<Stored, StoreError> {
    let (position, sequence): (i64, i64) = (row.get(0), row.get(3));
    let (aggregate_type, id): (&str, &str) = (row.get(1), row.get(2));
    let (event_type, schema, payload, metadata): (&str, &str, &str, &str) = (row.get(4), row.get(5), row.get(6), row.get(7));
    let envelope = match row.get::<_, i32>(8) {
        1 => String::new(),
        version => format!("\"envelope\":{version},"),
    };
    let stream = serde_json::to_string(&format!("{aggregate_type}/{id}")).map_err(not_done)?;
    let recorded_at: &str = row.get(9);
    let line = format!(
        "{{\"data\":{payload},{envelope}\"metadata\":{metadata},\"position\":{position},\"recorded_at\":\"{recorded_at}\",\"schema\":{schema},\
         \"stream\":{stream},\"type\":\"{event_type}\",\"version\":{sequence}}}"
    );
    Ok(Stored { position: Position::new(position as u64), line, checksum: row.get::<_, i64>(10) as u32 })
}

fn peaks(tree: &Tree) -> Vec<u8> {
    tree.peaks().iter().flat_map(|peak| peak.0).collect()
}

/// The tree of a journal and where its format 1 ends.
fn tree(client: &mut Client, journal: i32, lock: &str) -> Result<(Tree, i64), StoreError> {
    let select = format!("SELECT position, peaks, format_1_until FROM journals WHERE id = $1 {lock}");
    let row = client.query_one(&select, &[&journal]).map_err(not_done)?;
    let (position, peaks): (i64, &[u8]) = (row.get(0), row.get(1));
    let torn = || Corruption::new(Position::new(position as u64), "the peaks of the journal's tree are not those of its size");
    let peaks: Vec<Hash> = peaks.chunks(32).filter_map(Hash::from_slice).collect();
    Ok((Tree::from_parts(position as u64, peaks).ok_or_else(torn)?, row.get(2)))
}

fn listen(mut client: Client, journal: i32, heads: &HeadWatch, stopping: &AtomicBool) {
    while !stopping.load(Ordering::Relaxed) {
        let heard = client.notifications().timeout_iter(Duration::from_millis(20)).next();
        match heard {
            Ok(Some(_)) => match tree(&mut client, journal, "") {
                Ok((tree, _)) => heads.publish(tree.head()),
                Err(error) => return tracing::error!(%error, "the journal is not followed any more"),
            },
            Ok(None) => {}
            Err(error) => return tracing::error!(%error, "the journal is not followed any more"),
        }
    }
}

fn lock<T>(mutex: &Mutex<T>) -> MutexGuard<'_, T> {
    mutex.lock().unwrap_or_else(PoisonError::into_inner)
}

fn not_done(error: impl std::fmt::Display) -> StoreError {
    Failure::NotDone(error.to_string()).into()
}

/// It went wrong between the first row and the commit's answer.
fn unknown(error: postgres::Error) -> StoreError {
    Failure::Unknown(error.to_string()).into()
}

/// A turn as one transaction: what the others appended since a known head, the server's time, look-ups, and an append that
/// ends it. While it lasts nobody else appends; dropped, it ends without a trace. It is the shape that decision 0016 proposes
/// for the port.
pub struct PostgresTurn<'a> {
    store: &'a PostgresStore,
    client: Option<Client>,
    tail: Vec<StoredBatch>,
    tree: Tree,
    now_micros: i64,
}

impl PostgresStore {
    /// Waits for a turn, at most so long; `known` is the position up to which the caller knows the journal.
    ///
    /// # Errors
    /// When it does not come in time, or the server cannot be asked.
    pub fn begin_turn(&self, known: Position, within: Duration) -> Result<PostgresTurn<'_>, StoreError> {
        let mut client = self.connection()?;
        let begin = format!("BEGIN; SET LOCAL lock_timeout = {}", within.as_millis().max(1));
        client.batch_execute(&begin).map_err(not_done)?;
        let (tree, _) = tree(&mut client, self.journal, "FOR UPDATE")?;
        let now = client.query_one("SELECT (extract(epoch FROM clock_timestamp()) * 1000000)::bigint", &[]).map_err(not_done)?;
        let mut tail = Vec::new();
        let mut next = known.next();
        while next.get() <= tree.size() {
            let ends_early = || Corruption::new(next, format!("the journal ends before its head, {}", tree.size()));
            let batch = self.batch(&mut client, next)?.ok_or_else(ends_early)?;
            next = batch.last.next();
            tail.push(batch);
        }
        Ok(PostgresTurn { store: self, client: Some(client), tail, tree, now_micros: now.get(0) })
    }
}

impl PostgresTurn<'_> {
    /// What others appended since the known head.
    pub fn tail(&self) -> &[StoredBatch] {
        &self.tail
    }

    /// The tree of the journal: what a batch continues.
    pub fn tree(&self) -> &Tree {
        &self.tree
    }

    /// The server's time, in microseconds since 1970: one clock for all who take turns.
    pub fn now_micros(&self) -> i64 {
        self.now_micros
    }

    /// Looks up within the turn: what is found is so until it ends.
    ///
    /// # Errors
    /// When the server cannot be asked.
    pub fn locate(&mut self, lookups: &[Lookup<'_>]) -> Result<Vec<Option<Position>>, StoreError> {
        let client = self.client.as_mut().ok_or_else(|| not_done("the turn has ended"))?;
        self.store.located(client, lookups)
    }

    /// Appends and ends the turn.
    ///
    /// # Errors
    /// When the server does not confirm it: it may have been written.
    pub fn append(mut self, batch: &Batch) -> Result<Head, StoreError> {
        let Some(mut client) = self.client.take() else { return Err(not_done("the turn has ended")) };
        let appended = self.store.write(&mut client, self.tree.head(), batch)?;
        match appended {
            Appended::Done(head) => {
                lock(&self.store.idle).push(client);
                Ok(head)
            }
            // The row is locked: nobody else can have.
            Appended::Conflict(head) => Err(Corruption::new(head.position, "the head moved within a turn").into()),
        }
    }
}

impl Drop for PostgresTurn<'_> {
    fn drop(&mut self) {
        if let Some(mut client) = self.client.take()
            && client.batch_execute("ROLLBACK").is_ok()
        {
            lock(&self.store.idle).push(client);
        }
    }
}

/// Ends a turn in which nobody appended.
struct EndOfTurn<'a>(&'a PostgresStore);

impl Drop for EndOfTurn<'_> {
    fn drop(&mut self) {
        if let Some(mut client) = lock(&self.0.turn).take()
            && client.batch_execute("ROLLBACK").is_ok()
        {
            lock(&self.0.idle).push(client);
        }
    }
}

impl EventStore for PostgresStore {
    fn name(&self) -> &str {
        &self.name
    }

    fn sharing(&self) -> Sharing {
        Sharing::Shared
    }

    fn take_turn(&self) -> Result<Turn<'_>, StoreError> {
        let mut client = self.connection()?;
        // One round trip: the transaction begins and waits for the row.
        let begin = format!("BEGIN; SELECT position FROM journals WHERE id = {} FOR UPDATE", self.journal);
        client.batch_execute(&begin).map_err(not_done)?;
        *lock(&self.turn) = Some(client);
        Ok(Turn::held(EndOfTurn(self)))
    }

    fn tree(&self) -> Result<Tree, StoreError> {
        self.with(|client| Ok(tree(client, self.journal, "")?.0))
    }

    fn append(&self, expected: Head, batch: &Batch) -> Result<Appended, StoreError> {
        let in_turn = lock(&self.turn).take();
        let mut client = match in_turn {
            Some(client) => client,
            None => {
                let mut client = self.connection()?;
                client.batch_execute("BEGIN").map_err(not_done)?;
                client
            }
        };
        let appended = self.write(&mut client, expected, batch)?;
        if matches!(appended, Appended::Conflict(_)) || batch.is_empty() {
            client.batch_execute("ROLLBACK").map_err(not_done)?;
        }
        lock(&self.idle).push(client);
        Ok(appended)
    }

    fn read_batch(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        self.with(|client| self.batch(client, position))
    }

    fn read_stream(&self, stream: &str, from: StreamVersion) -> Result<Vec<OwnedRecord>, StoreError> {
        let (aggregate_type, id) = stream.split_once('/').unwrap_or((stream, ""));
        let condition = "aggregate_type = $1 AND aggregate_id = $2 AND sequence >= $3 ORDER BY sequence";
        let records = self.with(|client| self.records(client, condition, &[&aggregate_type, &id, &(from.get() as i64)]))?;
        let owned = |Stored { position, line, checksum }: Stored| {
            let lines = [line.as_bytes(), b"\n"].concat();
            let batch = StoredBatch { first: position, last: position, root: None, checksums: vec![checksum], lines }.check()?;
            Ok(batch.records().next().ok_or_else(|| Corruption::new(position, "the record is empty"))?.to_owned())
        };
        records.into_iter().map(owned).collect()
    }

    fn locate(&self, lookups: &[Lookup<'_>]) -> Result<Vec<Option<Position>>, StoreError> {
        self.with(|client| self.located(client, lookups))
    }

    fn format_1_until(&self) -> Position {
        // Asked for with every request: a port to Postgres keeps it with the head.
        self.with(|client| Ok(Position::new(tree(client, self.journal, "")?.1 as u64))).unwrap_or_default()
    }

    fn follow(&self) -> &HeadWatch {
        &self.heads
    }

    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        let upsert = "INSERT INTO snapshots VALUES ($1, $2, $3, $4) ON CONFLICT (journal) DO UPDATE
            SET position = excluded.position, root = excluded.root, state = excluded.state WHERE snapshots.position <= excluded.position";
        let position = snapshot.head.position.get() as i64;
        self.with(|client| {
            let values: [&(dyn postgres::types::ToSql + Sync); 4] =
                [&self.journal, &position, &snapshot.head.root.0.as_slice(), &snapshot.state];
            client.execute(upsert, &values).map(drop).map_err(not_done)
        })
    }

    fn latest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        self.with(|client| {
            let select = "SELECT position, root, state FROM snapshots WHERE journal = $1";
            let row = client.query_opt(select, &[&self.journal]).map_err(not_done)?;
            Ok(row.and_then(|row| {
                let position = Position::new(row.get::<_, i64>(0) as u64);
                Some(Snapshot { head: Head { position, root: Hash::from_slice(row.get(1))? }, state: row.get(2) })
            }))
        })
    }
}
