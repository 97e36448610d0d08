//! Temporary: time of each stage on one thread.
#[path = "../tests/scribe/mod.rs"]
mod scribe;
use cauri_domain::account::AccountKind;
use cauri_event_store::{Hash, Tree};
use cauri_replay_tools::reading::{self, Body, RawBatch, Seed};
use scribe::{Scribe, id, transfer, xof};
use std::time::Instant;
fn main() {
    let mut scribe = Scribe::new();
    scribe.open("clients:c000001", AccountKind::Asset);
    for n in 1..100_000u64 {
        scribe.post(
            id(u128::from(n).wrapping_mul(0x9e37_79b9_7f4a_7c15) & 0x3fff_ffff_ffff_ffff),
            vec![transfer("clients:c000001", "clients:c000002", xof(100 + n as i64 % 1_000))],
        );
    }
    let store = scribe.store();
    let batch = store.batches[0].as_ref().expect("ok");
    let zpacked = zstd::bulk::compress(&batch.lines, 1).expect("zstd");
    let seed = Seed::default();
    let n = 100_000.0;
    for _ in 0..3 {
        let t = Instant::now();
        let lines = zstd::bulk::decompress(&zpacked, batch.lines.len()).expect("z");
        println!("unpack {:.0} ns", t.elapsed().as_secs_f64() * 1e9 / n);
        let t = Instant::now();
        let leaves: Vec<Hash> = lines.split(|b| *b == b'\n').map(Hash::of_leaf).collect();
        println!("leaf+split {:.0} ns", t.elapsed().as_secs_f64() * 1e9 / n);
        let t = Instant::now();
        let mut c = 0;
        for l in memchr::memchr_iter(b'\n', &lines) {
            c += l;
        }
        println!("memchr {:.0} ns {c}", t.elapsed().as_secs_f64() * 1e9 / n);
        let t = Instant::now();
        let mut c = 0u32;
        let mut s = 0;
        for l in memchr::memchr_iter(b'\n', &lines) {
            c ^= crc32fast::hash(&lines[s..l]);
            s = l + 1;
        }
        println!("crc {:.0} ns {c}", t.elapsed().as_secs_f64() * 1e9 / n);
        let t = Instant::now();
        let mut tree = Tree::empty();
        for l in &leaves {
            tree.push(*l);
        }
        println!("tree {:.0} ns {}", t.elapsed().as_secs_f64() * 1e9 / n, tree.root());
        let raw = RawBatch {
            first: batch.first,
            last: batch.last,
            root: None,
            checksums: Some(batch.checksums.clone()),
            body: Body::Lines(lines),
        };
        let t = Instant::now();
        let read = reading::read(raw, &seed);
        println!("read total {:.0} ns, {} facts", t.elapsed().as_secs_f64() * 1e9 / n, read.facts.len());
    }
}
