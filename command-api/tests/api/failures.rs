//! When there is no outcome: the answer says whether something may have been done.

use std::sync::Arc;
use std::time::Duration;

use cauri_command_api::HttpLimits;
use cauri_domain::LedgerCommand;
use cauri_domain::market::{Market, MarketCommand};
use cauri_engine::{CommandEnvelope, Engine, EngineConfig, Mode};
use cauri_event_schemas::{Position, StreamVersion};
use cauri_event_store::memory::{Fault, MemoryStore};
use cauri_event_store::{
    Appended, Batch, EventStore, Head, HeadWatch, Lookup, OwnedRecord, Sharing, Snapshot, StoreError, StoredBatch, Tree, Turn,
};
use serde_json::json;

use crate::support::{Api, entry};

#[tokio::test]
async fn a_full_queue_is_503_with_a_time_to_come_back() {
    let small = |config: &mut EngineConfig| (config.queue_capacity, config.max_batch) = (1, 1);
    let api = Api::with(HttpLimits::default(), small, Vec::new());
    let open = |address: &str| json!({"address": address, "kind": "asset", "currency": "XOF"});
    api.store.faults().close_gate();
    // One in the store's hands, one decided behind it, one in the queue: then nobody gets in.
    let mut taken = Vec::new();
    for number in 0.. {
        let opened = serde_json::from_value(open(&format!("a{number}"))).unwrap();
        let key = format!("test awa a{number}").parse().unwrap();
        let command = CommandEnvelope::new(LedgerCommand::open_account(opened), key, "operator:awa".parse().unwrap());
        match api.engine.enqueue(vec![command], Mode::Each) {
            Ok(answer) => taken.push(answer),
            // The sequencer takes what waits as fast as it can; at some point it cannot.
            Err(_) if api.store.faults().arrivals() == 1 && taken.len() == 3 => break,
            Err(_) => tokio::task::yield_now().await,
        }
    }
    let answer = api.post("/v1/accounts").json(&open("late")).send().await.expect_problem(503, "overloaded", "");
    assert_eq!(answer.header("retry-after"), "1");
    api.store.faults().open_gate();
    for answer in taken {
        answer.await.unwrap().unwrap();
    }
    api.post("/v1/accounts").json(&open("late")).send().await.expect(201);
    assert_eq!(api.events(), 4);
}

#[tokio::test]
async fn what_would_move_more_than_a_batch_can_hold_is_413_and_moves_nothing() {
    let api = Api::shop().await;
    let transfer = json!({"debit": "bank", "credit": "awa", "amount": {"amount": "1", "currency": "XOF"}});
    let ids: Vec<String> = (1..=201).map(|number| format!("00000000-0000-4000-8000-{number:012}")).collect();
    for half in ids.chunks(101) {
        let posts: Vec<_> = half.iter().map(|id| json!({"op": "post_entry", "id": id, "transfers": vec![&transfer; 1_000]})).collect();
        api.post("/v1/bulk").json(&json!(posts)).send().await.expect(200);
    }
    let before = api.events();
    let reversals: Vec<_> = ids.iter().map(|id| json!({"op": "reverse_entry", "id": id})).collect();
    let answer = api.post("/v1/bulk").json(&json!(reversals)).send().await.expect_problem(413, "payload_too_large", "");
    assert!(answer.body["detail"].as_str().unwrap().contains("340000000"), "{}", answer.body);
    assert_eq!(api.events(), before);
}

#[tokio::test]
async fn a_failed_write_is_503_and_the_same_key_works_afterwards() {
    let api = Api::shop().await;
    api.store.faults().inject(Fault::Fail);
    let post = || api.post("/v1/entries").key("k").json(&entry("bank", "awa", 5)).send();
    let answer = post().await.expect_problem(503, "not_done", "");
    assert_eq!(answer.header("retry-after"), "1");
    assert_eq!(post().await.expect(201).header("idempotency-replayed"), "");
}

#[tokio::test]
async fn a_lost_answer_is_504_and_the_same_key_gets_the_first_one() {
    let api = Api::shop().await;
    api.store.faults().inject(Fault::LoseAnswer);
    let post = || api.post("/v1/entries").key("k").json(&entry("bank", "awa", 5)).send();
    let answer = post().await;
    if answer.status != 201 {
        answer.expect_problem(504, "outcome_unknown", "");
    }
    let before = api.events();
    assert_eq!(post().await.expect(201).header("idempotency-replayed"), "true");
    assert_eq!(api.events(), before);
}

#[tokio::test]
async fn a_slow_write_is_504_after_the_time_out() {
    let api = Api::with(HttpLimits { time_out: Duration::from_millis(100), ..HttpLimits::default() }, |_| {}, Vec::new());
    api.store.faults().inject(Fault::Delay(Duration::from_millis(600)));
    let body = json!({"address": "awa", "kind": "asset", "currency": "XOF"});
    api.post("/v1/accounts").key("k").json(&body).send().await.expect_problem(504, "outcome_unknown", "");
    // A retry may run into the time-out as well, on a busy machine even after the write has ended.
    let deadline = std::time::Instant::now() + Duration::from_secs(60);
    loop {
        let answer = api.post("/v1/accounts").key("k").json(&body).send().await;
        if answer.status != 504 {
            assert_eq!(answer.expect(201).header("idempotency-replayed"), "true");
            return;
        }
        assert!(std::time::Instant::now() < deadline, "the write never ended");
        tokio::time::sleep(Duration::from_millis(50)).await;
    }
}

#[tokio::test]
async fn a_stopped_engine_is_503() {
    let api = Api::shop().await;
    api.engine.stop();
    let answer = api.post("/v1/entries").json(&entry("bank", "awa", 5)).send().await.expect_problem(503, "not_done", "");
    assert_eq!(answer.header("retry-after"), "5");
    let ready = api.get("/readyz").send().await.expect(503);
    assert_eq!((&ready.body["ready"], &ready.body["checks"]["engine"]["ok"]), (&json!(false), &json!(false)));
    assert_eq!(ready.body["reasons"], json!(["engine_stopped"]));
}

#[tokio::test]
async fn an_engine_that_met_what_a_newer_cauri_wrote_says_so_until_it_is_upgraded() {
    let store = MemoryStore::shared("ledger");
    let api = Api::on(store.clone(), |store| Arc::new(store), HttpLimits::default(), |_| {}, Vec::new());
    // To a ledger, what a market writes is of types that it does not know.
    let other = store.for_another_engine();
    let market = Engine::<Market>::start(Arc::new(other.clone()), EngineConfig::for_store(&other)).unwrap();
    let instrument = json!({"currency": "USD", "digits": 5, "pip": "0.0001", "symbol": "EURUSD"});
    let register = MarketCommand::Register(Arc::new(serde_json::from_value(instrument).unwrap()));
    let command = CommandEnvelope::new(register, "test awa m1".parse().unwrap(), "operator:awa".parse().unwrap());
    market.submit(vec![command], Mode::Each).await.unwrap();
    let ready = loop {
        let ready = api.get("/readyz").send().await;
        if ready.status == 503 {
            break ready;
        }
        tokio::time::sleep(Duration::from_millis(10)).await;
    };
    assert_eq!(ready.body["reasons"], json!(["journal_newer"]));
    let detail = ready.body["checks"]["engine"]["detail"].as_str().unwrap();
    assert!(detail.starts_with("written by a newer Cauri at position 1: "), "{detail}");
    for _ in 0..2 {
        let answer = api.post("/v1/accounts").json(&json!({"address": "a", "kind": "asset", "currency": "XOF"})).send().await;
        let answer = answer.expect_problem(503, "journal_newer", "");
        assert_eq!(answer.body["detail"].as_str(), Some(detail));
    }
}

/// A journal that has lost what became of entries after they were posted.
struct Forgetful(MemoryStore);

impl EventStore for Forgetful {
    fn name(&self) -> &str {
        self.0.name()
    }
    fn sharing(&self) -> Sharing {
        self.0.sharing()
    }
    fn take_turn(&self) -> Result<Turn<'_>, StoreError> {
        self.0.take_turn()
    }
    fn tree(&self) -> Result<Tree, StoreError> {
        self.0.tree()
    }
    fn append(&self, expected: Head, batch: &Batch) -> Result<Appended, StoreError> {
        self.0.append(expected, batch)
    }
    fn read_batch(&self, position: Position) -> Result<Option<StoredBatch>, StoreError> {
        self.0.read_batch(position)
    }
    fn read_stream(&self, stream: &str, from: StreamVersion) -> Result<Vec<OwnedRecord>, StoreError> {
        let mut records = self.0.read_stream(stream, from)?;
        records.truncate(1);
        Ok(records)
    }
    fn locate(&self, lookups: &[Lookup<'_>]) -> Result<Vec<Option<Position>>, StoreError> {
        self.0.locate(lookups)
    }
    fn format_1_until(&self) -> Position {
        self.0.format_1_until()
    }
    fn follow(&self) -> &HeadWatch {
        self.0.follow()
    }
    fn save_snapshot(&self, snapshot: &Snapshot) -> Result<(), StoreError> {
        self.0.save_snapshot(snapshot)
    }
    fn latest_snapshot(&self) -> Result<Option<Snapshot>, StoreError> {
        self.0.latest_snapshot()
    }
}

#[tokio::test]
async fn a_rule_that_fails_is_500_for_its_command_alone_and_nothing_of_it_is_done() {
    let store = MemoryStore::exclusive("ledger");
    let api = Api::on(store, |store| Arc::new(Forgetful(store)), HttpLimits::default(), |_| {}, Vec::new());
    for (address, kind) in [("bank", "asset"), ("awa", "liability")] {
        api.post("/v1/accounts").json(&json!({"address": address, "kind": kind, "currency": "XOF"})).send().await.expect(201);
    }
    let mut hold = entry("bank", "awa", 5);
    hold["hold"] = json!({});
    let id = "0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f";
    hold["id"] = id.into();
    api.post("/v1/entries").json(&hold).send().await.expect(201);
    api.post(&format!("/v1/entries/{id}/post")).json(&json!({})).send().await.expect(200);
    // The entry that is loaded is a hold that can be posted; the balances know that it was.
    let before = api.events();
    let post_again = || api.post(&format!("/v1/entries/{id}/post")).key("again").json(&json!({})).send();
    for _ in 0..2 {
        let answer = post_again().await.expect_problem(500, "rule_failed", "");
        assert_eq!(answer.body["idempotency_key"], "again");
    }
    let mut items = vec![json!({"op": "post_hold", "id": id, "idempotency_key": "b1"})];
    let mut posted = entry("bank", "awa", 7);
    (posted["op"], posted["idempotency_key"]) = ("post_entry".into(), "b2".into());
    items.push(posted);
    let answer = api.post("/v1/bulk").json(&json!(items)).send().await.expect(200);
    assert_eq!((&answer.body["results"][0]["status"], &answer.body["results"][1]["status"]), (&json!("failed"), &json!("accepted")));
    assert_eq!(api.events(), before + 1);
    let answer = api.post("/v1/bulk?atomic=true").json(&json!(items)).send().await;
    answer.expect_problem(500, "rule_failed", "/0");
    assert_eq!(api.events(), before + 1);
    api.get("/readyz").send().await.expect(200);
}
