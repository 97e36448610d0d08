//! Each check has journals in which exactly that check speaks. Test names begin with the check's.
#![expect(clippy::unwrap_used, reason = "tests")]

mod scribe;

use cauri_domain::account::{AccountEvent, AccountFrozen, AccountKind, LimitsChanged};
use cauri_domain::account_set::{AccountSetCreated, AccountSetEvent, Member, MemberAdded, MemberRemoved};
use cauri_domain::entry::{EntryAnnotated, EntryEvent};
use cauri_domain::journal::{JournalClosed, JournalEvent};
use cauri_domain::limits::Limits;
use cauri_domain::money::{Currency, Money};
use cauri_domain::time::Timestamp;
use cauri_event_schemas::Position;
use cauri_event_schemas::ledger::{Event, StreamId};
use cauri_event_store::{Hash, Head, Snapshot, StoredBatch};
use cauri_replay_tools::report::{Report, Verdict};
use cauri_replay_tools::verify::{Wanted, verify_store};
use cauri_replay_tools::{Check, ExpectedHead};
use scribe::{PaperStore, Scribe, account, at, id, shop, transfer, xof};

fn audit(store: PaperStore) -> Report {
    verify_store(&store.shared(), &Wanted::default()).unwrap()
}

/// Exactly `check` speaks, first at `position`, and says `what`.
#[track_caller]
fn speaks(store: PaperStore, check: Check, position: u64, what: &str) {
    speaks_in(&audit(store), check, Some(position), what);
}

#[track_caller]
fn speaks_in(report: &Report, check: Check, position: Option<u64>, what: &str) {
    assert_eq!(report.failed(), [check], "{report}");
    assert!(!report.ok, "{report}");
    let finding = &report.findings[0];
    assert_eq!(finding.position.map(Position::get), position, "{report}");
    assert!(finding.what.contains(what), "{report}");
}

fn verdict(report: &Report, check: Check) -> Verdict {
    report.checks.iter().find(|of| of.check == check).unwrap().verdict.clone()
}

/// Two accounts with a floor of nothing and a ceiling, and 1,000 on the first.
fn wallets() -> Scribe {
    let mut scribe = Scribe::new();
    let limits = Limits { ceiling: Some(xof(2_000)), floor: Some(xof(0)) };
    scribe
        .open("bank", AccountKind::Asset)
        .open_with("kofi", AccountKind::Liability, Currency::XOF, limits)
        .open_with("awa", AccountKind::Liability, Currency::XOF, limits)
        .post(id(1), vec![transfer("bank", "kofi", xof(1_000))])
        .end_batch();
    scribe
}

fn kofi_pays(amount: i64) -> Vec<cauri_domain::entry::Transfer> {
    vec![transfer("kofi", "awa", xof(amount))]
}

#[test]
fn a_sound_journal_leaves_every_check_silent() {
    let report = audit(shop().store());
    assert!(report.ok && report.findings.is_empty(), "{report}");
    let idle: Vec<Check> = report.checks.iter().filter(|check| check.verdict == Verdict::NotApplicable).map(|check| check.check).collect();
    assert_eq!(idle, [Check::ExpectedHeads, Check::Snapshots, Check::ReadModels]);
    let (figures, head) = (report.figures, report.head.unwrap());
    assert_eq!((figures.records, figures.batches, figures.of("open_holds"), head.position.get()), (22, 4, 1, 22));
}

#[test]
fn an_empty_journal_is_sound() {
    let report = audit(Scribe::new().store());
    assert!(report.ok, "{report}");
    assert_eq!(report.head, Some(Head::default()));
}

#[test]
fn checksums_a_stored_checksum_is_another() {
    let mut store = shop().store();
    store.batch(1).checksums[2] ^= 1;
    speaks(store, Check::Checksums, 9, "the record's checksum is");
}

#[test]
fn checksums_a_checksum_is_missing() {
    let mut store = shop().store();
    store.batch(1).checksums.pop();
    speaks(store, Check::Checksums, 7, "a batch from 7 to 10 has 3 checksums");
}

#[test]
fn checksums_a_batch_goes_on_after_its_last_record() {
    let mut store = shop().store();
    store.batch(1).lines.extend_from_slice(b"{}\n");
    speaks(store, Check::Checksums, 10, "goes on after its last record");
}

#[test]
fn checksums_a_batch_that_cannot_be_read_stops_what_needs_it_and_nothing_else() {
    let mut store = shop().store();
    store.batches[1] = Err("the disk gave nothing".into());
    store.batch(3).checksums[0] ^= 1;
    let report = audit(store);
    assert_eq!(report.failed(), [Check::Checksums], "{report}");
    let found: Vec<(u64, &str)> = report.findings.iter().map(|finding| (finding.position.unwrap().get(), finding.what.as_str())).collect();
    assert!(
        matches!(found[..], [(7, first), (18, second)] if first.contains("7 to 10 cannot be read") && second.contains("checksum")),
        "{report}"
    );
    assert_eq!([Check::Limits, Check::Roots, Check::Index].map(|check| verdict(&report, check)), [const { Verdict::Stopped }; 3]);
    assert_eq!([Check::Time, Check::Canonical].map(|check| verdict(&report, check)), [const { Verdict::Ok }; 2]);
    assert_eq!(report.head, None);
}

#[test]
fn positions_a_record_says_that_it_stands_elsewhere() {
    let mut scribe = shop();
    scribe.forge(9, "\"position\":9", "\"position\":8");
    speaks(scribe.store(), Check::Positions, 9, "says that it stands at 8");
}

#[test]
fn positions_records_stand_behind_the_head() {
    let mut store = shop().store();
    let older = PaperStore::of(&shop().records[..10], &[6, 10]);
    store.tree = older.tree;
    // Look-ups of what comes later lead beyond the head as well, so this one is judged by its text.
    let report = audit(store);
    assert_eq!(report.findings[0].check, Check::Positions, "{report}");
    assert!(report.findings[0].what.contains("stand up to 17, though the head is at 10"), "{report}");
}

#[test]
fn positions_the_journal_ends_before_its_head() {
    let mut store = shop().store();
    store.batches.pop();
    let report = audit(store);
    assert_eq!(report.failed()[0], Check::Checksums, "{report}");
    assert_eq!(report.first_untrusted().map(Position::get), Some(18), "{report}");
    assert!(report.findings[0].what.contains("no batch holds it"), "{report}");
}

#[test]
fn positions_a_batch_stands_twice() {
    let mut store = shop().store();
    let StoredBatch { lines, checksums, root, .. } = store.batch(1).clone();
    // The same four records again, where others should follow.
    *store.batch(2) = StoredBatch { first: Position::new(11), last: Position::new(14), root, checksums, lines };
    let report = audit(store);
    assert!(report.failed().contains(&Check::Positions), "{report}");
    assert_eq!(report.first_untrusted().map(Position::get), Some(11), "{report}");
}

#[test]
fn roots_a_stored_root_is_another() {
    let mut store = shop().store();
    store.batch(1).root = Some(Hash([1; 32]));
    speaks(store, Check::Roots, 7, "0101");
}

#[test]
fn roots_the_head_is_of_another_journal() {
    let mut store = shop().store();
    let mut other = shop();
    other.forge(22, "\"recorded_at\":\"2026", "\"recorded_at\":\"2027");
    store.tree = other.store().tree;
    speaks(store, Check::Roots, 22, "the head's stored root is");
}

#[test]
fn roots_a_change_with_a_fitting_checksum_is_found_from_its_batch_on() {
    let mut scribe = shop();
    let roots: Vec<_> = scribe.store().batches.iter().map(|batch| batch.as_ref().unwrap().root).collect();
    scribe.forge(8, "1234.56", "1234.57");
    let mut store = scribe.store();
    let tree = shop().store().tree;
    for (index, root) in roots.into_iter().enumerate() {
        store.batch(index).root = root;
    }
    store.tree = tree;
    let report = audit(store);
    assert!(report.failed().starts_with(&[Check::Roots]), "{report}");
    assert_eq!(report.first_untrusted().map(Position::get), Some(7), "{report}");
    assert!(report.findings[0].what.contains("nor do those of 2 batches after it"), "{report}");
}

#[test]
fn expected_heads_a_journal_with_another_past_is_told_by_a_root_that_was_noted() {
    let head = shop().store().tree.head();
    let noted = |position: u64, root: &str| format!("{position}:{root}").parse::<ExpectedHead>().unwrap();
    let at_ten = PaperStore::of(&shop().records[..10], &[10]).tree.head();
    let sound = Wanted { expected: vec![noted(10, &at_ten.root.to_string()), noted(22, &head.root.to_string())], ..Wanted::default() };
    let report = verify_store(&shop().store().shared(), &sound).unwrap();
    assert!(report.ok && verdict(&report, Check::ExpectedHeads) == Verdict::Ok, "{report}");

    // Everything fits together again after the forgery, except what was noted before it.
    let mut forged = shop();
    forged.forge(3, "2000000", "3000000");
    let report = verify_store(&forged.store().shared(), &sound).unwrap();
    speaks_in(&report, Check::ExpectedHeads, Some(10), "was noted");
}

#[test]
fn expected_heads_a_journal_that_was_cut_is_told_by_a_head_that_was_noted() {
    let head = shop().store().tree.head();
    let cut = PaperStore::of(&shop().records[..17], &[6, 10, 17]);
    let wanted = Wanted { expected: vec![ExpectedHead::from(head)], ..Wanted::default() };
    speaks_in(&verify_store(&cut.shared(), &wanted).unwrap(), Check::ExpectedHeads, Some(18), "was noted at 22, the journal ends at 17");
}

#[test]
fn canonical_a_record_with_white_space() {
    let mut scribe = shop();
    scribe.forge(9, "\"position\":9", "\"position\": 9");
    speaks(scribe.store(), Check::Canonical, 9, "otherwise");
}

#[test]
fn canonical_an_amount_with_other_digits() {
    let mut scribe = shop();
    scribe.forge(8, "1234.56", "01234.56");
    speaks(scribe.store(), Check::Canonical, 8, "otherwise");
}

#[test]
fn canonical_an_old_shape_is_judged_by_its_form() {
    let mut scribe = Scribe::new();
    scribe.open("bank", AccountKind::Asset);
    scribe.forge(1, r#"{"currency":"XOF","kind":"asset","limits":{}}"#, r#"{"currency":"XOF","frozen":true,"kind":"asset"}"#);
    scribe.forge(1, "\"schema\":2", "\"schema\":1");
    let report = audit(scribe.store());
    assert!(report.ok, "{report}");
    scribe.forge(1, r#""currency":"XOF","frozen":true"#, r#""frozen":true,"currency":"XOF""#);
    speaks(scribe.store(), Check::Canonical, 1, "canonical");
}

/// Nothing was found, and what needs every record before it stopped where a newer program had written.
fn stops_at_newer(report: &Report, position: u64, words: &str) {
    assert!(report.failed().is_empty() && !report.ok && report.is_newer(), "{report}");
    let newer = report.newer.as_ref().unwrap();
    assert!(newer.position.get() == position && newer.what.contains(words), "{newer:?}");
    for check in [Check::Schemas, Check::Canonical, Check::Transitions, Check::DoubleEntry] {
        assert_eq!(verdict(report, check), Verdict::Stopped, "{check}: {report}");
    }
    assert_eq!(verdict(report, Check::Roots), Verdict::Ok, "bytes and roots are checked to the end");
}

#[test]
fn schemas_an_unknown_type_is_a_newer_programs() {
    let mut scribe = shop();
    scribe.forge(22, "account.closed", "account.sealed");
    stops_at_newer(&audit(scribe.store()), 22, "account.sealed");
}

#[test]
fn schemas_a_newer_version_is_a_newer_programs() {
    let mut scribe = shop();
    scribe.forge(20, "\"schema\":1", "\"schema\":2");
    stops_at_newer(&audit(scribe.store()), 20, "knows versions 1 to 1");
}

#[test]
fn schemas_a_version_that_never_was_is_damage() {
    let mut scribe = shop();
    scribe.forge(22, "\"schema\":1", "\"schema\":0");
    let report = audit(scribe.store());
    speaks_in(&report, Check::Schemas, Some(22), "knows versions 1 to 1");
    assert_eq!(verdict(&report, Check::Transitions), Verdict::Stopped);
    assert!(report.newer.is_none() && !report.is_newer(), "{report}");
}

#[test]
fn schemas_an_event_in_a_stream_of_another_kind() {
    let mut scribe = shop();
    scribe.forge(22, "account/clients:binta", "command/binta");
    speaks(scribe.store(), Check::Schemas, 22, "does not belong into the stream command/binta");
}

#[test]
fn schemas_no_json_at_all() {
    let mut scribe = shop();
    scribe.records[21] = b"nonsense".to_vec();
    speaks(scribe.store(), Check::Schemas, 22, "cannot be read");
}

#[test]
fn versions_a_version_is_left_out() {
    let mut scribe = shop();
    let record = String::from_utf8(scribe.records[10].clone()).unwrap();
    assert!(record.contains("entry.hold_posted"), "{record}");
    scribe.forge(11, "\"version\":2}", "\"version\":3}");
    speaks(scribe.store(), Check::Versions, 11, "has 1 records so far, this one says that it is version 3");
}

#[test]
fn versions_an_account_and_a_command_count_from_one() {
    let mut scribe = Scribe::new();
    scribe.open("bank", AccountKind::Asset).refuse("order-1");
    scribe.forge(1, "\"version\":1}", "\"version\":2}").forge(2, "\"version\":1}", "\"version\":7}");
    let report = audit(scribe.store());
    speaks_in(&report, Check::Versions, Some(1), "account/bank has 0 records");
    assert!(report.findings[1].what.contains("command/order-1 has 0 records"), "{report}");
}

#[test]
fn time_goes_back() {
    let mut scribe = wallets();
    scribe.time(-60).post(id(2), kofi_pays(10));
    speaks(scribe.store(), Check::Time, 5, "after a record of 2026-03-16T08:00:04.000000Z");
}

#[test]
fn time_lies_in_the_future_and_is_one_finding() {
    let mut scribe = wallets();
    scribe.time(86_400).post(id(2), kofi_pays(10)).post(id(3), kofi_pays(10));
    let store = scribe.store().shared();
    let at = |now: &str| verify_store(&store, &Wanted { now: Some(now.parse().unwrap()), ..Wanted::default() }).unwrap();
    let report = at("2026-03-16T08:01:00Z");
    speaks_in(&report, Check::Time, Some(5), "after now, 2026-03-16T08:01:00.000000Z; 2 records from here on are of the future");
    assert!(!report.ok && report.failed() == [Check::Time] && report.findings.len() == 1, "{report}");
    // Clocks differ by some minutes; and whoever states no time is not answered by one.
    let last = Timestamp::from_micros(report.figures.last_at.unwrap()).unwrap();
    let within = at(&last.saturating_add_secs(-299).to_string());
    assert!(within.ok, "{within}");
    assert!(verify_store(&store, &Wanted::default()).unwrap().ok);
}

#[test]
fn transitions_a_hold_is_resolved_twice() {
    let mut scribe = wallets();
    scribe.hold(id(2), kofi_pays(100), None).void(id(2), kofi_pays(100)).void(id(2), kofi_pays(100));
    speaks(
        scribe.store(),
        Check::Transitions,
        7,
        "`entry.hold_voided` is not possible for entry 0190f1c2-7e4b-7000-8000-000000000002 that is hold_voided",
    );
}

#[test]
fn transitions_an_account_is_opened_twice() {
    let mut scribe = wallets();
    scribe.open("bank", AccountKind::Asset);
    speaks(scribe.store(), Check::Transitions, 5, "`account.opened` is not possible for account bank that is open");
}

#[test]
fn transitions_a_frozen_account_moves() {
    let mut scribe = wallets();
    scribe.account_event("kofi", AccountEvent::Frozen(AccountFrozen { reason: None })).post(id(2), kofi_pays(10));
    speaks(scribe.store(), Check::Transitions, 6, "`entry.posted` is not possible on account kofi that is frozen");
}

#[test]
fn transitions_a_frozen_account_may_give_a_hold_back() {
    let mut scribe = wallets();
    scribe
        .hold(id(2), kofi_pays(10), None)
        .account_event("kofi", AccountEvent::Frozen(AccountFrozen { reason: None }))
        .void(id(2), kofi_pays(10));
    assert!(audit(scribe.store()).ok);
}

#[test]
fn transitions_a_reversal_moves_something_else_back() {
    let mut scribe = wallets();
    scribe.post(id(2), kofi_pays(10)).reverse(id(2), id(3), vec![transfer("awa", "kofi", xof(9))]);
    speaks(scribe.store(), Check::Transitions, 7, "does not move the opposite of entry");
}

#[test]
fn transitions_a_reversal_links_to_no_entry() {
    let mut scribe = wallets();
    let entry = |number: u64| format!("0190f1c2-7e4b-7000-8000-{number:012x}");
    scribe.post(id(2), kofi_pays(10)).reverse(id(2), id(3), vec![transfer("awa", "kofi", xof(10))]);
    scribe.forge(6, &format!("\"by\":\"{}\"", entry(3)), &format!("\"by\":\"{}\"", entry(4)));
    let report = audit(scribe.store());
    assert_eq!(report.failed(), [Check::Transitions], "{report}");
    assert!(
        report.findings[0].what.contains("is reversed by 0190f1c2-7e4b-7000-8000-000000000004, which is not in the same commit"),
        "{report}"
    );
    assert!(report.findings[1].what.contains("which was not reversed by it"), "{report}");
}

#[test]
fn transitions_a_sweep_is_not_in_its_commit() {
    let mut scribe = wallets();
    scribe.post(id(2), kofi_pays(1_000)).close("kofi", None);
    scribe.forge(6, "\"data\":{}", &format!("\"data\":{{\"swept_by\":\"{}\"}}", id(2)));
    speaks(scribe.store(), Check::Transitions, 6, "was swept by entry");
}

#[test]
fn transitions_an_account_is_closed_with_money_on_it() {
    let mut scribe = wallets();
    scribe.close("kofi", None);
    speaks(scribe.store(), Check::Transitions, 5, "closed with something left");
}

#[test]
fn transitions_a_closed_journal_goes_on() {
    let mut scribe = wallets();
    let close = || (StreamId::Journal("ledger".parse().unwrap()), Event::Journal(JournalEvent::Closed(JournalClosed { reason: None })));
    scribe.commit(vec![close()]);
    assert!(audit(scribe.store()).ok);
    scribe.post(id(2), kofi_pays(1));
    speaks(scribe.store(), Check::Transitions, 6, "the journal was closed for good at 5");
}

#[test]
fn double_entry_an_account_was_never_opened() {
    let mut scribe = wallets();
    scribe.post(id(2), vec![transfer("kofi", "nobody", xof(10))]);
    let report = audit(scribe.store());
    speaks_in(&report, Check::DoubleEntry, Some(5), "account nobody was never opened");
    assert!(report.findings[1].what.contains("Σ debits is 1,010 XOF, Σ credits is 1,000 XOF"), "{report}");
}

#[test]
fn double_entry_an_account_in_another_currency() {
    let mut scribe = wallets();
    scribe.post(id(2), vec![transfer("bank", "awa", Money::from_minor(10, Currency::EUR))]);
    speaks(scribe.store(), Check::DoubleEntry, 5, "account bank holds XOF, the transfer is in EUR");
}

#[test]
fn double_entry_from_an_account_to_itself() {
    let mut scribe = wallets();
    scribe.post(id(2), vec![transfer("bank", "bank", xof(10))]);
    speaks(scribe.store(), Check::DoubleEntry, 5, "leads from bank to itself");
}

#[test]
fn double_entry_a_negative_amount() {
    let mut scribe = wallets();
    scribe.post(id(2), vec![transfer("awa", "kofi", xof(-10))]);
    speaks(scribe.store(), Check::DoubleEntry, 5, "a transfer moves -10 XOF");
}

#[test]
fn double_entry_an_entry_without_transfers() {
    let mut scribe = wallets();
    scribe.post(id(2), vec![]);
    speaks(scribe.store(), Check::DoubleEntry, 5, "the entry has no transfers");
}

#[test]
fn limits_below_the_floor() {
    let mut scribe = wallets();
    scribe.post(id(2), kofi_pays(1_001));
    speaks(scribe.store(), Check::Limits, 5, "account kofi has -1 XOF available, its floor is 0 XOF");
}

#[test]
fn limits_above_the_ceiling_told_once_until_it_is_back() {
    let mut scribe = wallets();
    for number in 2..6 {
        scribe.post(id(number), vec![transfer("bank", "kofi", xof(1_001))]);
    }
    let report = audit(scribe.store());
    speaks_in(&report, Check::Limits, Some(5), "account kofi has 2,001 XOF with what is held for it, its ceiling is 2,000 XOF");
    assert_eq!(report.findings.len(), 1, "{report}");
}

#[test]
fn limits_holds_count_at_once() {
    let mut scribe = wallets();
    scribe.hold(id(2), kofi_pays(600), None).hold(id(3), kofi_pays(600), None);
    speaks(scribe.store(), Check::Limits, 6, "account kofi has -200 XOF available");
}

#[test]
fn limits_are_lowered_below_what_is_there() {
    let mut scribe = wallets();
    let limits = Limits { ceiling: Some(xof(999)), floor: None };
    scribe.account_event("kofi", AccountEvent::LimitsChanged(LimitsChanged { limits }));
    speaks(scribe.store(), Check::Limits, 5, "account kofi has 1,000 XOF with what is held for it, its ceiling is 999 XOF");
}

#[test]
fn holds_are_resolved_with_other_transfers() {
    let mut scribe = wallets();
    scribe.hold(id(2), kofi_pays(100), None).void(id(2), kofi_pays(99));
    speaks(scribe.store(), Check::Holds, 6, "resolved with other transfers than were held");
}

#[test]
fn holds_are_posted_beyond_what_was_held() {
    let mut scribe = wallets();
    scribe.hold(id(2), kofi_pays(100), None).post_hold(id(2), vec![(transfer("kofi", "awa", xof(100)), xof(101))]);
    speaks(scribe.store(), Check::Holds, 6, "more is posted than was held");
}

#[test]
fn holds_are_posted_between_other_accounts() {
    let mut scribe = wallets();
    scribe.hold(id(2), kofi_pays(100), None).post_hold(id(2), vec![(transfer("bank", "awa", xof(100)), xof(100))]);
    speaks(scribe.store(), Check::Holds, 6, "resolved with other transfers than were held");
}

#[test]
fn holds_outlive_their_expiry() {
    let mut scribe = wallets();
    scribe.hold(id(2), kofi_pays(100), Some(at(60))).time(61).post(id(3), kofi_pays(1));
    speaks(scribe.store(), Check::Holds, 6, "was still held, though its hold expires at 2026-03-16T08:01:00.000000Z");
}

#[test]
fn holds_expire_before_their_time_or_without_one() {
    let mut scribe = wallets();
    scribe.hold(id(2), kofi_pays(100), Some(at(60))).expire(id(2), kofi_pays(100));
    speaks(scribe.store(), Check::Holds, 6, "before its time");
    let mut scribe = wallets();
    scribe.hold(id(2), kofi_pays(100), None).expire(id(2), kofi_pays(100));
    speaks(scribe.store(), Check::Holds, 6, "though its hold has no end");
}

#[test]
fn holds_are_resolved_before_they_were_held() {
    let mut scribe = wallets();
    scribe.hold(id(2), kofi_pays(100), None).void(id(2), kofi_pays(100));
    scribe.forge(6, "\"effective_at\":\"2026", "\"effective_at\":\"2025");
    speaks(scribe.store(), Check::Holds, 6, "before it was held");
}

#[test]
fn idempotency_a_command_is_carried_out_twice() {
    let mut scribe = wallets();
    let first = scribe.posted(id(2), kofi_pays(1), None);
    scribe.commit_as("order-1", vec![first]).post(id(3), kofi_pays(1));
    let again = scribe.posted(id(4), kofi_pays(1), None);
    scribe.commit_as("order-1", vec![again]);
    speaks(scribe.store(), Check::Idempotency, 7, "the command order-1 was carried out at 5 and again here");
}

#[test]
fn idempotency_a_command_is_carried_out_twice_in_a_row() {
    let mut scribe = wallets();
    for number in 2..4 {
        let posted = scribe.posted(id(number), kofi_pays(1), None);
        scribe.commit_as("order-1", vec![posted]);
    }
    speaks(scribe.store(), Check::Idempotency, 6, "the command order-1 was carried out at 5 and again here");
}

#[test]
fn idempotency_a_commit_without_its_fingerprint() {
    let mut scribe = wallets();
    scribe.post(id(2), kofi_pays(1));
    scribe.forge(5, ",\"fingerprint\":\"07070707070707070707070707070707\"", "");
    speaks(scribe.store(), Check::Idempotency, 5, "the first record of the command cmd-5 carries no fingerprint");
}

#[test]
fn idempotency_a_commit_over_two_batches() {
    let mut scribe = wallets();
    scribe.post(id(2), kofi_pays(10)).reverse(id(2), id(3), vec![transfer("awa", "kofi", xof(10))]);
    speaks(PaperStore::of(&scribe.records, &[4, 6, 7]), Check::Idempotency, 7, "a commit is spread over two batches");
}

#[test]
fn index_leads_elsewhere() {
    let mut store = shop().store();
    *store.commands.get_mut(&"order-77".parse().unwrap()).unwrap() = Position::new(3);
    speaks(store, Check::Index, 12, "the look-up of the command order-77 leads to 3, the journal has it at 12");
    let mut store = shop().store();
    store.streams.remove(&StreamId::Account(account("clients:kofi")).to_string());
    speaks(store, Check::Index, 3, "the look-up of account/clients:kofi leads nowhere, the journal has it at 3");
}

#[test]
fn index_forgets_a_part_of_a_stream() {
    let mut store = shop().store();
    let positions = store.streams.get_mut(&StreamId::Entry(id(5)).to_string()).unwrap();
    *positions = vec![positions[0], positions[0]];
    speaks(store, Check::Index, 14, "read through its look-up, goes from version 1 to 1");
}

#[test]
fn snapshots_of_another_history_or_ahead_of_the_journal() {
    let snapshot = |position, root| Some(Snapshot { head: Head { position: Position::new(position), root }, state: Vec::new() });
    let mut store = shop().store();
    store.snapshot = snapshot(10, Hash([1; 32]));
    speaks(store, Check::Snapshots, 10, "the snapshot at 10 has the root 0101");
    let mut store = shop().store();
    store.snapshot = snapshot(40, Hash([1; 32]));
    speaks(store, Check::Snapshots, 23, "the snapshot is of position 40, the journal ends at 22");
}

#[test]
fn damage_without_end_is_counted_and_not_told_without_end() {
    let mut scribe = wallets();
    for number in 0..100 {
        scribe.post(id(10 + number), vec![transfer("bank", "bank", xof(1))]);
    }
    let report = audit(scribe.store());
    assert_eq!(report.findings.len(), 20);
    assert_eq!(report.checks.iter().find(|check| check.check == Check::DoubleEntry).unwrap().findings, 100);
    assert!(report.to_string().contains("double_entry: 80 more findings are not told"), "{report}");
}

/// Two sets, of which `all` has had `south` in it since the first day.
fn sets() -> Scribe {
    let mut scribe = wallets();
    set_event(&mut scribe, "all", created());
    set_event(&mut scribe, "south", created());
    set_event(&mut scribe, "all", added(Member::Set("south".parse().unwrap()), 0));
    scribe
}

fn set_event(scribe: &mut Scribe, name: &str, event: AccountSetEvent) {
    scribe.commit(vec![(StreamId::AccountSet(name.parse().unwrap()), event.into())]);
}

fn created() -> AccountSetEvent {
    AccountSetEvent::Created(AccountSetCreated { description: None, metadata: Default::default() })
}

fn added(member: Member, seconds: i64) -> AccountSetEvent {
    AccountSetEvent::MemberAdded(MemberAdded { effective_at: at(seconds), member, reason: None })
}

fn removed(member: Member, seconds: i64) -> AccountSetEvent {
    AccountSetEvent::MemberRemoved(MemberRemoved { effective_at: at(seconds), member, reason: None })
}

#[test]
fn account_sets_of_what_exists_in_order_are_well() {
    let mut scribe = sets();
    set_event(&mut scribe, "south", added(Member::Account(account("kofi")), 10));
    set_event(&mut scribe, "south", removed(Member::Account(account("kofi")), 20));
    set_event(&mut scribe, "south", added(Member::Account(account("kofi")), 20));
    set_event(&mut scribe, "all", removed(Member::Set("south".parse().unwrap()), 30));
    set_event(&mut scribe, "south", added(Member::Set("all".parse().unwrap()), 30));
    let report = audit(scribe.store());
    assert!(report.ok, "{report}");
}

#[test]
fn account_sets_that_are_created_twice_or_hold_what_is_not_there() {
    let mut scribe = sets();
    set_event(&mut scribe, "all", created());
    speaks(scribe.store(), Check::AccountSets, 8, "the account set all was created before");
    let mut scribe = sets();
    set_event(&mut scribe, "all", added(Member::Account(account("nobody")), 0));
    speaks(scribe.store(), Check::AccountSets, 8, "the account nobody was added to the account set all and is not there");
    let mut scribe = sets();
    set_event(&mut scribe, "none", added(Member::Account(account("kofi")), 0));
    speaks(scribe.store(), Check::AccountSets, 8, "a member was added to the account set none, which was never created");
}

#[test]
fn account_sets_whose_members_come_and_go_out_of_order() {
    let mut scribe = sets();
    set_event(&mut scribe, "all", added(Member::Set("south".parse().unwrap()), 5));
    speaks(scribe.store(), Check::AccountSets, 8, "the set south is in the account set all at");
    let mut scribe = sets();
    set_event(&mut scribe, "all", removed(Member::Set("south".parse().unwrap()), 0));
    speaks(scribe.store(), Check::AccountSets, 8, "the set south was removed from the account set all at");
}

#[test]
fn account_sets_that_are_in_themselves() {
    let mut scribe = sets();
    set_event(&mut scribe, "south", added(Member::Set("all".parse().unwrap()), -7));
    speaks(scribe.store(), Check::AccountSets, 8, "is in itself at 2026-03-16T08:00:00");
    // A way that lasted when the other did, though it does no more.
    let mut scribe = sets();
    set_event(&mut scribe, "all", removed(Member::Set("south".parse().unwrap()), 30));
    set_event(&mut scribe, "south", added(Member::Set("all".parse().unwrap()), 29));
    speaks(scribe.store(), Check::AccountSets, 9, "is in itself at 2026-03-16T08:00:29");
}

#[test]
fn versions_of_an_account_set_and_of_an_annotated_entry() {
    let mut scribe = sets();
    set_event(&mut scribe, "south", added(Member::Account(account("kofi")), 0));
    scribe.forge(8, "\"version\":2", "\"version\":3");
    speaks(scribe.store(), Check::Versions, 8, "account_set/south has 1 records so far, this one says that it is version 3");
    let annotated = |scribe: &mut Scribe| {
        let set = [("case".parse().unwrap(), "17".parse().unwrap())].into();
        let event = EntryEvent::Annotated(EntryAnnotated { reason: None, removed: Default::default(), set });
        scribe.commit(vec![(StreamId::Entry(id(1)), event.into())]);
    };
    let mut scribe = wallets();
    annotated(&mut scribe);
    annotated(&mut scribe);
    assert!(audit(scribe.store()).ok);
    scribe.forge(6, "\"version\":3", "\"version\":2");
    speaks(scribe.store(), Check::Versions, 6, "has 2 records so far, this one says that it is version 2");
}

#[test]
fn every_check_stands_in_four_places() {
    let tests = concat!(include_str!("checks.rs"), include_str!("market.rs"));
    for check in Check::ALL {
        let name = check.name();
        assert!(check.manual().starts_with(&format!("# {name}\n\n{}\n", check.promise())), "{name}.md does not begin with its promise");
        let folder = check.of_kind().map_or(String::new(), |kind| format!("{}/", kind.name()));
        let file = format!("src/checks/{folder}{name}.rs");
        assert!(std::path::Path::new(env!("CARGO_MANIFEST_DIR")).join(&file).exists(), "{file}");
        if check != Check::ReadModels {
            assert!(tests.contains(&format!("fn {name}_")), "no test begins with {name}");
        }
    }
}
