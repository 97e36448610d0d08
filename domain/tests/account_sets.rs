//! Account sets: each command's acceptance and each of its refusals, and whatever is asked beside a naive model.

use std::collections::BTreeMap;

use cauri_domain::RefusalCode as Code;
use cauri_domain::account_set::{AccountSetEvent, Member, MemberAdded, MemberRemoved, SetName};
use cauri_domain::journal::Rules;
use cauri_domain::kind::Kind;
use cauri_domain::ledger::FrozenLedger;
use proptest::prelude::*;
use serde_json::{Value, json};

use crate::support::{Ledger, address, at, given, then_refused};

const SETS: &str = "open a \n open b \n create_set all \n create_set south";

fn set(name: &str) -> SetName {
    name.parse().expect("a name")
}

#[test]
fn an_account_and_a_set_are_added_and_removed_at_a_date() {
    let added = |member, effective_at| vec![AccountSetEvent::MemberAdded(MemberAdded { effective_at, member, reason: None })];
    given(SETS).when_set("add all account a").then_expect_events(added(Member::Account(address("a")), at(0)));
    let long_ago = at(-400 * 86_400);
    given(SETS).when_set("add all set south at -400d").then_expect_events(added(Member::Set(set("south")), long_ago));
    let removed = MemberRemoved { effective_at: at(-3_600), member: Member::Account(address("a")), reason: None };
    let script = format!("{SETS} \n add all account a at -1d");
    given(&script).when_set("remove all account a at -1h").then_expect_events(vec![AccountSetEvent::MemberRemoved(removed)]);
}

#[test]
fn what_does_not_exist_is_refused_by_name() {
    then_refused(given(SETS).when_set("create_set all"), Code::AccountSetExists, Some("/name"));
    then_refused(given(SETS).when_set("add none account a"), Code::AccountSetNotFound, None);
    then_refused(given(SETS).when_set("add all set none"), Code::AccountSetNotFound, Some("/member/set"));
    then_refused(given(SETS).when_set("add all account nobody"), Code::AccountNotFound, Some("/member/account"));
    then_refused(given(SETS).when_set("remove all account a"), Code::NotAMember, Some("/member"));
}

#[test]
fn what_is_said_of_a_member_goes_forward() {
    let script = format!("{SETS} \n add all account a at -9d");
    then_refused(given(&script).when_set("add all account a"), Code::AlreadyAMember, Some("/member"));
    then_refused(given(&script).when_set("remove all account a at -9d"), Code::MembershipOutOfOrder, Some("/effective_at"));
    then_refused(given(&script).when_set("add all account b at +8d"), Code::EffectiveInFutureTooFar, Some("/effective_at"));
    let script = format!("{script} \n remove all account a at -5d");
    then_refused(given(&script).when_set("remove all account a"), Code::NotAMember, Some("/member"));
    then_refused(given(&script).when_set("add all account a at -6d"), Code::MembershipOutOfOrder, Some("/effective_at"));
    given(&script).when_set("add all account a at -5d").inspect_result().expect("it left at that instant");
    given(&script).when_set("add all account b at -6d").inspect_result().expect("another member has its own time");
}

#[test]
fn a_set_is_in_itself_at_no_date() {
    let cycle = |script: &str, line: &str| {
        then_refused(given(&format!("{SETS} \n create_set far \n {script}")).when_set(line), Code::MembershipCycle, Some("/member/set"));
    };
    cycle("", "add all set all");
    cycle("add all set south", "add south set all");
    cycle("add all set south \n add south set far", "add far set all");
    // Dated back to when the other way lasted, and ahead to when it will.
    cycle("add all set south at -9d \n remove all set south at -5d", "add south set all at -6d");
    cycle("add all set south at +2d", "add south set all");
    let script = format!("{SETS} \n add all set south at -9d \n remove all set south at -5d");
    given(&script).when_set("add south set all at -5d").inspect_result().expect("one after the other is no cycle");
    let script = format!("{SETS} \n create_set far \n add all set south \n add all set far \n add south account a");
    given(&script).when_set("add far set south").inspect_result().expect("two ways are no cycle");
}

#[test]
fn a_refused_request_leaves_the_sets_as_they_were() {
    let mut ledger = Ledger::after(SETS);
    let before = frozen(&ledger);
    let lines = ["create_set new", "add new account a", "add all set new", "remove all set new at +1s", "add all account nobody"];
    assert_eq!(ledger.bulk(true, &lines), ["account_not_found"]);
    assert_eq!(frozen(&ledger), before);
    assert_eq!(ledger.state.account_sets().version(&set("all")), 1);
    ledger.accepts("create_set new \n add all set new");
    assert_eq!(ledger.state.account_sets().version(&set("all")), 2);
}

// Whatever is asked.

fn frozen(ledger: &Ledger) -> Value {
    serde_json::to_value(ledger.state.freeze()).expect("JSON")["account_sets"].clone()
}

#[derive(Clone, Debug)]
struct Ask {
    add: bool,
    set: &'static str,
    member: &'static str,
    /// Days from now.
    day: i64,
}

impl Ask {
    fn line(&self) -> String {
        let Ask { add, set, member, day } = self;
        let kind = if member.starts_with('s') { "set" } else { "account" };
        format!("{} {set} {kind} {member} at {day:+}d", if *add { "add" } else { "remove" })
    }
}

fn any_ask() -> impl Strategy<Value = Ask> {
    let set = prop::sample::select(vec!["s1", "s2", "s3", "s4"]);
    let member = prop::sample::select(vec!["s1", "s2", "s3", "s4", "a", "b"]);
    (prop::bool::weighted(0.65), set, member, -9_i64..=6).prop_map(|(add, set, member, day)| Ask { add, set, member, day })
}

/// The days on which each member is in each set, and how far was said: up to which day nothing more may be said, and whether
/// it is in the set from then on.
#[derive(Debug, Default)]
struct Model {
    days: BTreeMap<(&'static str, &'static str), Vec<i64>>,
    said: BTreeMap<(&'static str, &'static str), (i64, bool)>,
}

/// Days after all that is asked.
const LAST: i64 = 20;

impl Model {
    fn ask(&mut self, Ask { add, set, member, day }: &Ask) -> Option<&'static str> {
        let key = (*set, *member);
        let (upto, is_in) = self.said.get(&key).copied().unwrap_or((i64::MIN, false));
        if *add {
            if is_in {
                return Some("already_a_member");
            }
            if *day < upto {
                return Some("membership_out_of_order");
            }
            let before = self.days.get(&key).cloned().unwrap_or_default();
            self.days.entry(key).or_default().extend(*day..=LAST);
            if (-9..=LAST).any(|day| self.is_in_itself(set, day)) {
                self.days.insert(key, before);
                return Some("membership_cycle");
            }
        } else {
            if !is_in {
                return Some("not_a_member");
            }
            if *day <= upto {
                return Some("membership_out_of_order");
            }
            if let Some(days) = self.days.get_mut(&key) {
                days.retain(|within| within < day);
            }
        }
        self.said.insert(key, (*day, *add));
        None
    }

    fn is_in_itself(&self, set: &str, day: i64) -> bool {
        let mut reached: Vec<&str> = vec![set];
        let mut next = 0;
        while let Some(here) = reached.get(next).copied() {
            next += 1;
            for ((outer, inner), days) in &self.days {
                if *outer == here && days.contains(&day) {
                    if *inner == set {
                        return true;
                    }
                    if !reached.contains(inner) {
                        reached.push(inner);
                    }
                }
            }
        }
        false
    }
}

const EMPTY: &str = "open a \n open b \n create_set s1 \n create_set s2 \n create_set s3 \n create_set s4";

fn answer(ledger: &mut Ledger, ask: &Ask) -> Option<String> {
    let said = ledger.says(&ask.line());
    (!said.starts_with("account_set.")).then_some(said)
}

proptest! {
    #![proptest_config(ProptestConfig { cases: 400, ..ProptestConfig::default() })]

    #[test]
    fn the_rules_and_a_calendar_answer_alike(asks in prop::collection::vec(any_ask(), 1..60)) {
        let (mut ledger, mut model) = (Ledger::after(EMPTY), Model::default());
        for (index, ask) in asks.iter().enumerate() {
            let ours = answer(&mut ledger, ask);
            let transcript = || asks[..=index].iter().map(Ask::line).collect::<Vec<_>>().join("\n");
            prop_assert_eq!(ours.as_deref(), model.ask(ask), "{}", transcript());
        }
    }

    #[test]
    fn what_is_rolled_back_never_was_and_a_snapshot_is_the_fold(
        kept in prop::collection::vec(any_ask(), 0..30),
        undone in prop::collection::vec(any_ask(), 0..30),
        again in prop::collection::vec(any_ask(), 0..20),
    ) {
        let mut ledger = Ledger::after(EMPTY);
        kept.iter().for_each(|ask| drop(answer(&mut ledger, ask)));
        let (mark, before) = (ledger.state.mark(), frozen(&ledger));
        undone.iter().for_each(|ask| drop(answer(&mut ledger, ask)));
        ledger.state.roll_back(mark);
        prop_assert_eq!(frozen(&ledger), before);
        let copied: FrozenLedger = postcard::from_bytes(&postcard::to_stdvec(&ledger.state.freeze()).expect("bytes")).expect("own bytes");
        let mut thawed = Ledger::after(EMPTY);
        thawed.state = cauri_domain::Ledger::thaw(copied, Rules::default());
        let mut fresh = Ledger::after(EMPTY);
        kept.iter().for_each(|ask| drop(answer(&mut fresh, ask)));
        for ask in &again {
            let expected = answer(&mut fresh, ask);
            prop_assert_eq!(answer(&mut ledger, ask), expected.clone(), "{}", ask.line());
            prop_assert_eq!(answer(&mut thawed, ask), expected, "{}", ask.line());
        }
        prop_assert_eq!(frozen(&ledger), frozen(&fresh));
        prop_assert_eq!(frozen(&thawed), frozen(&fresh));
    }
}

#[test]
fn a_member_is_an_account_or_a_set() {
    let read = |member: Value| serde_json::from_value::<Member>(member);
    assert_eq!(read(json!({ "account": "a:b" })).expect("an account"), Member::Account(address("a:b")));
    assert_eq!(read(json!({ "set": "all" })).expect("a set"), Member::Set(set("all")));
    for wrong in [json!({}), json!({ "account": "a", "set": "all" }), json!({ "set": "All" }), json!("all"), json!({ "entry": "a" })] {
        read(wrong.clone()).expect_err(&wrong.to_string());
    }
}
