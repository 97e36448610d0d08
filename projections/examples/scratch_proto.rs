//! scratch
use rusqlite::{Connection, types::ToSql};
use std::time::Instant;
fn rng(s: &mut u64) -> u64 { *s ^= *s << 13; *s ^= *s >> 7; *s ^= *s << 17; *s }
fn sql(table: &str, cols: usize, rows: usize) -> String {
    let one = format!("({})", vec!["?"; cols].join(","));
    format!("INSERT INTO {table} VALUES {}", vec![one; rows].join(","))
}
fn insert<F: Fn(usize, usize, &mut dyn FnMut(&dyn ToSql))>(db: &Connection, table: &str, cols: usize, n: usize, multi: usize, f: F) {
    let mut big = db.prepare_cached(&sql(table, cols, multi)).unwrap();
    let mut small = db.prepare_cached(&sql(table, cols, 1)).unwrap();
    let mut i = 0;
    while i < n {
        let m = if n - i >= multi { multi } else { 1 };
        let st = if m == multi { &mut big } else { &mut small };
        let mut at = 0;
        for r in 0..m { for c in 0..cols { f(i + r, c, &mut |v| { at += 1; st.raw_bind_parameter(at, v).unwrap(); }); } }
        st.raw_execute().unwrap();
        i += m;
    }
}
fn main() {
    let args: Vec<usize> = std::env::args().skip(1).map(|a| a.parse().unwrap()).collect();
    let (page, batch, multi, accounts) = (args[0], args[1], args[2], args[3] as u64);
    let dir = tempfile::tempdir_in("/work").unwrap();
    let db = Connection::open(dir.path().join("x.sqlite")).unwrap();
    db.execute_batch(&format!("PRAGMA page_size={page}; PRAGMA journal_mode=WAL; PRAGMA synchronous=NORMAL; PRAGMA cache_size=-262144; PRAGMA wal_autocheckpoint=16384;
    CREATE TABLE postings(a INTEGER, p INTEGER, l INTEGER, e INTEGER, s INTEGER, po INTEGER, pe INTEGER, dp INTEGER, cp INTEGER, dd INTEGER, cc INTEGER, PRIMARY KEY(a,p,l)) WITHOUT ROWID, STRICT;
    CREATE TABLE entries(position INTEGER PRIMARY KEY, id BLOB, state INTEGER, eff INTEGER, peff INTEGER, exp INTEGER, rec INTEGER, ref TEXT, dims TEXT, transfers TEXT, reverses BLOB, reversed BLOB, last INTEGER, version INTEGER) STRICT;
    CREATE TABLE events(position INTEGER PRIMARY KEY, type INTEGER, sk INTEGER, stream ANY, version INTEGER, schema INTEGER, rec INTEGER, command TEXT, actor TEXT) STRICT;")).unwrap();
    let mut s = 88172645463325252u64;
    let total = 1_000_000;
    let (mut tp, mut te, mut tj, mut tc, mut tsort) = (0.0, 0.0, 0.0, 0.0, 0.0);
    let start = Instant::now();
    let mut pos = 0i64;
    for _ in 0..total / batch {
        let mut rows: Vec<(i64, i64, i64, i64, [i64; 4])> = Vec::new();
        let mut ids = Vec::new();
        for i in 0..batch as i64 {
            let amount = (rng(&mut s) % 100000) as i64;
            let (d, c) = (rng(&mut s) % accounts, rng(&mut s) % accounts);
            rows.push((d as i64, pos + i, 0, amount, [amount * 100, amount * 90, 0, 0]));
            rows.push((c as i64, pos + i, 1, amount, [amount * 100, amount * 90, 0, 0]));
            ids.push((((rng(&mut s) as u128) << 64) | rng(&mut s) as u128).to_be_bytes());
        }
        let t = Instant::now();
        rows.sort_unstable_by_key(|r| (r.0, r.1, r.2));
        tsort += t.elapsed().as_secs_f64();
        db.execute_batch("BEGIN IMMEDIATE").unwrap();
        let t = Instant::now();
        rows.dedup_by_key(|r| (r.0, r.1, r.2));
        insert(&db, "postings", 11, rows.len(), multi, |i, c, b| { let r = &rows[i]; match c { 0 => b(&r.0), 1 => b(&r.1), 2 => b(&r.2), 3 => b(&(1790000000000000i64 + r.1 * 1000)), 4 => b(&(r.2 & 1)), 5 => b(&r.3), 6 => b(&0), 7.. => b(&r.4[c - 7]) , } });
        tp += t.elapsed().as_secs_f64();
        let t = Instant::now();
        let transfers = r#"[{"debit":"merchants:m012345:available","credit":"customers:c0123456:wallet","minor":123456,"currency":"XOF"}]"#;
        insert(&db, "entries", 14, batch, multi, |i, c, b| match c { 0 => b(&(pos + i as i64)), 1 => b(&&ids[i][..]), 2 => b(&0), 3 | 4 | 6 => b(&(1790000000000000i64 + pos)), 7 => b(&"invoice-0123456"), 9 => b(&transfers), 12 => b(&(pos + i as i64)), 13 => b(&1), _ => b(&Option::<i64>::None) });
        te += t.elapsed().as_secs_f64();
        let t = Instant::now();
        insert(&db, "events", 9, batch, multi, |i, c, b| match c { 0 => b(&(pos + i as i64)), 1 | 2 => b(&1), 3 => b(&&ids[i][..]), 4 | 5 => b(&1), 6 => b(&(1790000000000000i64 + pos)), 7 => b(&"0190f1c2-7e4b-7cc3-98c4-dc0c0c07398f"), _ => b(&"client:merchant-api") });
        tj += t.elapsed().as_secs_f64();
        let t = Instant::now();
        db.execute_batch("COMMIT").unwrap();
        tc += t.elapsed().as_secs_f64();
        pos += batch as i64;
    }
    let all = start.elapsed().as_secs_f64();
    println!("page {page} batch {batch} multi {multi} accounts {accounts}: {:.0} ev/s; us/event: sort {tsort:.2} postings {tp:.2} entries {te:.2} events {tj:.2} commit {tc:.2}", total as f64 / all);
    for sql in ["CREATE UNIQUE INDEX e1 ON entries(id)", "CREATE INDEX e2 ON entries(ref, position) WHERE ref IS NOT NULL"] {
        let t = Instant::now(); db.execute_batch(sql).unwrap(); println!("  {sql}: {:.2} s", t.elapsed().as_secs_f64());
    }
    println!("  size {} MB", std::fs::metadata(dir.path().join("x.sqlite")).unwrap().len() / 1_000_000);
}
