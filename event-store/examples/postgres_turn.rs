//! What a turn on a real PostgreSQL server costs, beside a bare connection that writes the same bytes.
//! `cargo run --release -p cauri-event-store --features postgres --example postgres_turn`
#![expect(clippy::unwrap_used, reason = "a measurement")]

#[path = "../tests/postgres/cluster.rs"]
mod cluster;

use std::time::{Duration, Instant};

use cauri_event_store::conformance::material::{Author, append, batch_after};
use cauri_event_store::postgres::PostgresStore;
use cluster::Cluster;
use postgres::{Client, NoTls};

fn median(mut figures: Vec<f64>) -> f64 {
    figures.sort_by(f64::total_cmp);
    figures[figures.len() / 2]
}

fn main() {
    let cluster = Cluster::start();
    let store = PostgresStore::open(&cluster.config("postgres"), "ledger").unwrap();
    let mut bare = Client::connect(&cluster.config("postgres"), NoTls).unwrap();
    bare.batch_execute("CREATE TABLE bare (position bigserial PRIMARY KEY, record json NOT NULL)").unwrap();
    let mut author = Author::new("a");
    let mut known = append(&store, &[author.entry()]).position;
    let turns: Vec<f64> = (0..200)
        .map(|_| {
            let began = Instant::now();
            drop(store.begin_turn(known, Duration::from_secs(60)).unwrap());
            began.elapsed().as_secs_f64() * 1e6
        })
        .collect();
    println!("a turn in which nobody appends: {:.0} µs", median(turns));
    println!("| events a turn | turn, tail, append | events/s | bare insert of the same bytes | ratio |\n|---|---|---|---|---|");
    for size in [1, 10, 100, 1_000, 8_189] {
        let (mut ours, mut theirs) = (Vec::new(), Vec::new());
        for _ in 0..if size > 1_000 { 7 } else { 41 } {
            let commits: Vec<_> = (0..size).map(|_| author.entry()).collect();
            let began = Instant::now();
            let turn = store.begin_turn(known, Duration::from_secs(60)).unwrap();
            let batch = batch_after(turn.tree().clone(), &commits);
            known = turn.append(&batch).unwrap().position;
            ours.push(began.elapsed().as_secs_f64());
            let records: Vec<String> = String::from_utf8(batch.lines().to_vec()).unwrap().lines().map(str::to_owned).collect();
            let began = Instant::now();
            bare.execute("INSERT INTO bare (record) SELECT r::json FROM unnest($1::text[]) AS t(r)", &[&records]).unwrap();
            theirs.push(began.elapsed().as_secs_f64());
        }
        let (ours, theirs) = (median(ours), median(theirs));
        println!("| {size} | {:.2} ms | {:.0} | {:.2} ms | {:.2} |", ours * 1e3, size as f64 / ours, theirs * 1e3, theirs / ours);
    }
}
