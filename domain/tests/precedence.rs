//! Precedence: when several things are wrong with a command, the first in the order of `RefusalCode` is the answer.
//!
//! A row is a command, everything that is wrong with it, and the answer. A test below sees to it that for
//! each command every two neighbouring rules that can be broken together stand together in a row.

use cauri_domain::RefusalCode;

use crate::support::Ledger;

/// `b` and `c` take anything. Names say what is wrong with the others.
const WORLD: &str = "
    open b \n open c
    open full ceiling 0 \n open poor floor 0
    open shut \n close shut
    open shut-eur EUR \n close shut-eur
    open ice \n freeze ice
    open ice-eur EUR \n freeze ice-eur
    open eur EUR \n open eur-full EUR ceiling 0
    open ten \n post fund-ten b->ten 10
    post taken b->c 10
    hold held b->c 10
    open late-shut \n open late-ice
    hold held-ice late-ice->c 10, late-ice->late-shut 5
    hold held-cold late-ice->c 10
    hold posted b->c 1 \n post_hold posted
    hold voided b->c 1 \n void voided
    hold expired b->c 1 until +1s \n wait +1s
    post to-cold b->late-ice 10, b->late-shut 5
    post to-shut b->late-shut 5 \n reverse to-shut by undo1
    post to-ice b->late-ice 5 \n reverse to-ice by undo2
    open spent \n open rich \n post over rich->spent 10 \n post over-rev rich->spent 10 \n reverse over-rev by undo3
    post spend spent->b 10 \n post refill c->rich 10
    limits spent floor 0 \n limits rich ceiling 0
    close late-shut into c by sweep-1 \n freeze late-ice
    open worn \n open mate \n post worn-1 worn->mate 1000000000000000000 \n reverse worn-1 by undo4
    post worn-2 worn->mate 1000000000000000000 \n post worn-3 mate->worn 1000000000000000000 \n limits mate floor 0
    create_set all \n create_set south \n add all set south at -9d \n add all account b at -9d
    create_set left \n add left account b at -9d \n remove left account b at -5d
    create_set p \n create_set q \n add p set q at -9d \n remove p set q at -5d \n add q set p at -4d
";

/// command | everything that is wrong with it | answer
const TABLE: &str = "
    post taken none->b 10                           | entry_exists, account_not_found                      | entry_exists
    post taken shut->b 10                           | entry_exists, account_closed                         | entry_exists
    post taken poor->poor -0.5EUR at +8d            | entry_exists, currency_mismatch, same_account, amount_not_positive, amount_scale, effective_in_future_too_far | entry_exists
    post new shut->none 10                          | account_not_found, account_closed                    | account_not_found
    post new b->shut 10, b->none 10                 | account_not_found, account_closed                    | account_not_found
    post new ice->shut 10                           | account_closed, account_frozen                       | account_closed
    post new ice->b 10, b->shut 10                  | account_closed, account_frozen                       | account_closed
    post new ice->c 10EUR                           | account_frozen, currency_mismatch                    | account_frozen
    post new b->c 10EUR, b->ice 10                  | account_frozen, currency_mismatch                    | account_frozen
    post new b->b 10EUR                             | currency_mismatch, same_account                      | currency_mismatch
    post new b->b 10, b->eur 10                     | currency_mismatch, same_account                      | currency_mismatch
    post new b->b 0                                 | same_account, amount_not_positive                    | same_account
    post new b->c 0, b->b 10                        | same_account, amount_not_positive                    | same_account
    post new b->c -0.5                              | amount_not_positive, amount_scale                    | amount_not_positive
    post new b->c 0.5, b->c <=0                     | amount_not_positive, amount_scale                    | amount_not_positive
    post new b->c 2000000000000000000.5             | amount_scale, amount_too_large                       | amount_scale
    post new b->c 2000000000000000000, b->c 0.5     | amount_scale, amount_too_large                       | amount_scale
    post new b->c 2000000000000000000 at +8d        | amount_too_large, effective_in_future_too_far        | amount_too_large
    hold new b->c 10 until -1s at +8d               | effective_in_future_too_far, hold_expired            | effective_in_future_too_far
    hold new poor->c 10 until -1s                   | hold_expired, below_floor                            | hold_expired
    post new poor->c 10 at +8d                      | effective_in_future_too_far, below_floor             | effective_in_future_too_far
    post new poor->c 1000000000000000000, poor->c 1000000000000000000, poor->c 1000000000000000000 at +8d | effective_in_future_too_far, turnover_exhausted, below_floor | effective_in_future_too_far
    post new poor->c 1000000000000000000, poor->c 1000000000000000000, poor->c 1000000000000000000 | turnover_exhausted, below_floor | turnover_exhausted
    post new b->full 1000000000000000000, b->c 1000000000000000000, b->c 1000000000000000000 | turnover_exhausted, above_ceiling | turnover_exhausted
    hold new b->c 1000000000000000000, b->c 1000000000000000000, b->c 1000000000000000000 until -1s | hold_expired, turnover_exhausted | hold_expired
    hold new poor->c 1000000000000000000, poor->c 1000000000000000000, poor->c 1000000000000000000 | turnover_exhausted, below_floor | turnover_exhausted
    post new poor->full 10                          | below_floor, above_ceiling                           | below_floor
    post new b->full 10, poor->c 10                 | below_floor, above_ceiling                           | below_floor
    post new b->full 10                             | above_ceiling                                        | above_ceiling

    post_hold held-ice                              | account_closed, account_frozen                       | account_closed
    post_hold held-cold amounts 10EUR               | account_frozen, currency_mismatch                    | account_frozen
    post_hold held amounts -1EUR                    | currency_mismatch, amount_not_positive               | currency_mismatch
    post_hold held amounts -0.5                     | amount_not_positive, amount_scale                    | amount_not_positive
    post_hold held amounts 2000000000000000000.5    | amount_scale, amount_too_large, exceeds_hold         | amount_scale
    post_hold held amounts 2000000000000000000 at +8d | amount_too_large, effective_in_future_too_far, exceeds_hold | amount_too_large
    post_hold held amounts 10 10 at +8d             | effective_in_future_too_far, hold_amounts_mismatch   | effective_in_future_too_far
    post_hold held amounts 11 10                    | hold_amounts_mismatch, exceeds_hold                  | hold_amounts_mismatch
    post_hold held amounts 11                       | exceeds_hold                                         | exceeds_hold
    post_hold none amounts -1                       | amount_not_positive, hold_not_found                  | amount_not_positive
    post_hold none at +8d                           | effective_in_future_too_far, hold_not_found          | effective_in_future_too_far
    post_hold taken at +8d                          | effective_in_future_too_far, hold_not_found          | effective_in_future_too_far
    post_hold posted at +8d                         | effective_in_future_too_far, hold_already_posted     | effective_in_future_too_far
    post_hold voided at +8d                         | effective_in_future_too_far, hold_already_voided     | effective_in_future_too_far
    post_hold expired at +8d                        | effective_in_future_too_far, hold_expired            | effective_in_future_too_far

    void none                                       | hold_not_found                                       | hold_not_found
    void posted                                     | hold_already_posted                                  | hold_already_posted
    void voided                                     | hold_already_voided                                  | hold_already_voided
    void expired                                    | hold_expired                                         | hold_expired

    reverse to-shut by taken                        | entry_exists, account_closed, already_reversed       | entry_exists
    reverse to-cold by new                          | account_closed, account_frozen                       | account_closed
    reverse to-ice by new                           | account_frozen, already_reversed                     | account_frozen
    reverse over-rev by new                         | already_reversed, below_floor, above_ceiling         | already_reversed
    reverse worn-1 by new                           | already_reversed, turnover_exhausted, below_floor    | already_reversed
    reverse worn-2 by new                           | turnover_exhausted, below_floor                      | turnover_exhausted
    reverse over by new                             | below_floor, above_ceiling                           | below_floor
    reverse none by taken                           | entry_not_found                                      | entry_not_found
    reverse held by taken                           | entry_not_posted                                     | entry_not_posted

    open b EUR floor 1                              | account_exists, invalid_limits                       | account_exists
    open b ceiling 1EUR                             | account_exists, currency_mismatch                    | account_exists
    open new floor 0.5 ceiling 1EUR                 | currency_mismatch, amount_scale                      | currency_mismatch
    open new floor -2000000000000000000 ceiling 0.5 | amount_scale, amount_too_large                       | amount_scale
    open new floor 1 ceiling 2000000000000000000    | amount_too_large, invalid_limits                     | amount_too_large
    open new floor 1 ceiling -1                     | invalid_limits                                       | invalid_limits

    close none                                      | account_not_found                                    | account_not_found
    close shut                                      | account_closed                                       | account_closed
    close ice                                       | account_frozen                                       | account_frozen
    close ten                                       | account_not_empty                                    | account_not_empty
    close ten into none by taken                    | entry_exists, account_not_found                      | entry_exists
    close ten into shut by taken                    | entry_exists, account_closed                         | entry_exists
    close ten into shut-eur                         | account_closed, currency_mismatch                    | account_closed
    close ten into ice-eur                          | account_frozen, currency_mismatch                    | account_frozen
    close ten into eur-full                         | currency_mismatch                                    | currency_mismatch
    close ten into ten                              | same_account                                         | same_account
    close ten into full                             | above_ceiling                                        | above_ceiling

    limits none floor 1                             | account_not_found, invalid_limits                    | account_not_found
    limits none floor 1EUR                          | account_not_found, currency_mismatch                 | account_not_found
    limits shut floor 1EUR                          | account_closed, currency_mismatch                    | account_closed
    limits b floor 0.5 ceiling 1EUR                 | currency_mismatch, amount_scale                      | currency_mismatch
    limits b floor -2000000000000000000 ceiling 0.5 | amount_scale, amount_too_large                       | amount_scale
    limits b floor 1 ceiling 2000000000000000000    | amount_too_large, invalid_limits                     | amount_too_large
    limits ten floor 1 ceiling 9                    | invalid_limits, above_ceiling                        | invalid_limits
    limits b floor 0 ceiling -1                     | invalid_limits, below_floor                          | invalid_limits
    limits fork floor 0 ceiling 0                   | below_floor, above_ceiling                           | below_floor

    unfreeze b                                      | account_not_frozen                                   | account_not_frozen
    reopen b                                        | account_not_closed                                   | account_not_closed
    create_set all                                  | account_set_exists                                   | account_set_exists
    add none account none                           | account_set_not_found, account_not_found             | account_set_not_found
    add all account none at +8d                     | account_not_found, effective_in_future_too_far       | account_not_found
    add all account b at +8d                        | effective_in_future_too_far, already_a_member        | effective_in_future_too_far
    add all account b at -9d                        | already_a_member                                     | already_a_member
    remove left account b at +8d                    | effective_in_future_too_far, not_a_member            | effective_in_future_too_far
    remove left account b at -9d                    | not_a_member                                         | not_a_member
    remove none account none                        | account_set_not_found, account_not_found             | account_set_not_found
    remove left account none at +8d                 | account_not_found, effective_in_future_too_far       | account_not_found
    add p set q at -6d                              | membership_out_of_order, membership_cycle            | membership_out_of_order
    add south set all                               | membership_cycle                                     | membership_cycle
";

/// For each command the rules that can be broken together, in order; a rule in two lines excludes what it is not beside.
const TOGETHER: &str = "
    post      | entry_exists account_not_found account_closed account_frozen currency_mismatch same_account amount_not_positive amount_scale amount_too_large effective_in_future_too_far turnover_exhausted below_floor above_ceiling
    hold      | effective_in_future_too_far hold_expired turnover_exhausted below_floor
    post_hold | account_closed account_frozen currency_mismatch amount_not_positive amount_scale amount_too_large effective_in_future_too_far hold_amounts_mismatch exceeds_hold
    post_hold | effective_in_future_too_far hold_not_found
    post_hold | effective_in_future_too_far hold_already_posted
    post_hold | effective_in_future_too_far hold_already_voided
    post_hold | effective_in_future_too_far hold_expired
    reverse   | entry_exists account_closed account_frozen already_reversed turnover_exhausted below_floor above_ceiling
    open      | account_exists currency_mismatch amount_scale amount_too_large invalid_limits
    close     | entry_exists account_not_found
    close     | entry_exists account_closed currency_mismatch
    close     | account_frozen currency_mismatch
    limits    | account_not_found currency_mismatch amount_scale amount_too_large invalid_limits below_floor above_ceiling
    limits    | account_closed currency_mismatch
    limits    | invalid_limits above_ceiling
    add      | account_set_not_found account_not_found effective_in_future_too_far already_a_member
    add      | membership_out_of_order membership_cycle
    remove   | account_set_not_found account_not_found effective_in_future_too_far not_a_member
";

struct Row {
    command: &'static str,
    wrong: Vec<RefusalCode>,
    answer: RefusalCode,
}

fn code(text: &str) -> RefusalCode {
    text.trim().parse().unwrap_or_else(|unknown| panic!("{unknown}"))
}

fn rows() -> Vec<Row> {
    let lines = TABLE.lines().map(str::trim).filter(|line| !line.is_empty());
    let row = |line: &'static str| match line.split('|').collect::<Vec<_>>()[..] {
        [command, wrong, answer] => Row { command: command.trim(), wrong: wrong.split(',').map(code).collect(), answer: code(answer) },
        _ => panic!("three columns: `{line}`"),
    };
    lines.map(row).collect()
}

/// `fork` has −4, of which nothing may go, and expects 6: below a floor of 0 and above a ceiling of 0.
fn world() -> Ledger {
    let mut ledger = Ledger::after(WORLD);
    ledger.accepts("open fork \n post fork-1 fork->b 4 \n hold fork-2 b->fork 10");
    ledger
}

#[test]
fn the_first_rule_that_applies_is_the_answer() {
    for Row { command, answer, .. } in rows() {
        assert_eq!(world().says(command), answer.as_str(), "{command}");
    }
}

#[test]
fn the_answer_is_the_first_of_what_is_wrong() {
    for Row { command, wrong, answer } in rows() {
        assert!(wrong.is_sorted(), "{command}: in order");
        assert_eq!(wrong.first(), Some(&answer), "{command}");
    }
}

#[test]
fn every_two_neighbouring_rules_of_a_command_stand_in_a_row_together() {
    let rows = rows();
    for line in TOGETHER.lines().map(str::trim).filter(|line| !line.is_empty()) {
        let (verb, codes) = line.split_once('|').expect("two columns");
        let codes: Vec<RefusalCode> = codes.split_whitespace().map(code).collect();
        assert!(codes.is_sorted(), "{line}");
        for pair in codes.windows(2) {
            let together =
                |row: &Row| row.command.split_whitespace().next() == Some(verb.trim()) && pair.iter().all(|code| row.wrong.contains(code));
            assert!(rows.iter().any(together), "no row of `{}` breaks {} and {}", verb.trim(), pair[0], pair[1]);
        }
    }
}

#[test]
fn every_code_of_the_rules_is_the_answer_to_a_row() {
    // Told before a rule is asked (the engine's), told by a closed journal (below), or of a rule that is not built yet.
    let elsewhere = [RefusalCode::IdempotencyKeyReused, RefusalCode::JournalClosed, RefusalCode::PeriodClosed];
    for code in RefusalCode::ALL.iter().filter(|code| !elsewhere.contains(code) && !cauri_domain::market::REFUSALS.contains(code)) {
        assert!(rows().iter().any(|row| row.answer == *code), "no row answers {code}");
    }
}

#[test]
fn a_closed_journal_answers_before_every_rule() {
    for Row { command, .. } in rows() {
        let mut ledger = world();
        assert_eq!(ledger.says("close_journal"), "journal.closed");
        assert_eq!(ledger.says(command), "journal_closed", "{command}");
    }
    let mut ledger = world();
    ledger.accepts("close_journal");
    assert_eq!(ledger.says("close_journal"), "journal_closed");
}
