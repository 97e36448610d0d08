//! What an engine promises whatever its journal is about: the same cases for every kind.

mod kinds {
    mod counter;
    mod suite;

    use std::sync::Arc;

    use cauri_domain::LedgerCommand;
    use cauri_domain::account::{AccountKind, OpenAccount};
    use cauri_domain::entry::{PostEntry, TransferAmount, TransferRequest};
    use cauri_domain::ids::{CommandKey, EntryId};
    use cauri_domain::journal::{CloseJournal, JournalCommand};
    use cauri_domain::ledger::Ledger;
    use cauri_domain::limits::UncheckedLimits;
    use cauri_domain::market::{IngestQuotes, Market, MarketCommand, Quote, RegisterInstrument};
    use cauri_domain::money::{Currency, UncheckedMoney, decimal_string};
    use cauri_domain::time::Timestamp;

    use self::suite::Sample;

    fn parsed<T: std::str::FromStr<Err: std::fmt::Debug>>(text: &str) -> T {
        text.parse().expect("a value")
    }

    fn account(address: &str) -> LedgerCommand {
        LedgerCommand::open_account(OpenAccount {
            address: parsed(address),
            chart_code: None,
            currency: Currency::XOF,
            kind: AccountKind::Liability,
            limits: (address == "awa").then(UncheckedLimits::floor_zero),
            metadata: Default::default(),
            owner: None,
        })
    }

    fn pays(from: &str, to: &str, amount: &str, id: u128) -> LedgerCommand {
        let amount = UncheckedMoney { amount: decimal_string::parse(amount).expect("an amount"), currency: Currency::XOF };
        let transfer = TransferRequest { debit: parsed(from), credit: parsed(to), amount: TransferAmount::Exactly(amount), reason: None };
        let post = PostEntry { id: Some(EntryId::from_u128(id)), transfers: vec![transfer], ..PostEntry::default() };
        LedgerCommand::post_entry(post, &parsed::<CommandKey>("nobody"))
    }

    impl Sample for Ledger {
        fn beginning() -> Vec<LedgerCommand> {
            vec![account("bank"), account("awa")]
        }

        fn accepted(number: u64) -> LedgerCommand {
            pays("bank", "awa", "10", u128::from(number) + 1)
        }

        fn refused() -> LedgerCommand {
            pays("awa", "bank", "1000000", u128::MAX)
        }

        fn close() -> LedgerCommand {
            LedgerCommand::Journal(JournalCommand::Close(CloseJournal::default()))
        }
    }

    impl Sample for Market {
        fn beginning() -> Vec<MarketCommand> {
            let register = |symbol: &str| {
                let pip = decimal_string::parse("0.0001").expect("a pip");
                MarketCommand::Register(Arc::new(RegisterInstrument { currency: Currency::USD, digits: 5, pip, symbol: parsed(symbol) }))
            };
            vec![register("EURUSD"), register("GBPUSD")]
        }

        fn accepted(number: u64) -> MarketCommand {
            let at = parsed::<Timestamp>("2026-03-16T07:00:00Z").saturating_add_micros(number as i64 * 1_000);
            let quote = |more: i64| Quote {
                ask: decimal_string::parse("1.0843").expect("a price"),
                at: at.saturating_add_micros(more),
                bid: decimal_string::parse("1.08421").expect("a price"),
                sequence: 0,
            };
            MarketCommand::Ingest(Arc::new(IngestQuotes {
                quotes: vec![quote(0), quote(500)],
                source: parsed("polygon"),
                symbol: parsed("EURUSD"),
            }))
        }

        fn refused() -> MarketCommand {
            let MarketCommand::Ingest(ingest) = Self::accepted(0) else { panic!("quotes") };
            MarketCommand::Ingest(Arc::new(IngestQuotes { symbol: parsed("XAUUSD"), ..(*ingest).clone() }))
        }

        fn close() -> MarketCommand {
            MarketCommand::Journal(JournalCommand::Close(CloseJournal::default()))
        }
    }

    /// The names of the cases in which a kind fails.
    fn failures<K: Sample>() -> Vec<&'static str> {
        let fails = |case: fn()| std::panic::catch_unwind(case).is_err();
        suite::cases::<K>().into_iter().filter(|(_, case)| fails(*case)).map(|(name, _)| name).collect()
    }

    /// The suite is tried itself, on kinds with one deliberate fault each.
    #[test]
    fn every_fault_of_a_kind_is_caught_and_every_case_catches_one() {
        use self::counter::*;
        let caught = [
            ("takes nothing back", failures::<Counter<TAKES_NOTHING_BACK>>()),
            ("freezes another sum", failures::<Counter<FREEZES_ANOTHER_SUM>>()),
            ("freezes no version", failures::<Counter<FREEZES_NO_VERSION>>()),
            ("knows no version", failures::<Counter<KNOWS_NO_VERSION>>()),
            ("refuses nothing", failures::<Counter<REFUSES_NOTHING>>()),
            ("declares all alike", failures::<Counter<DECLARES_ALL_ALIKE>>()),
            ("knows no journal", failures::<Counter<KNOWS_NO_JOURNAL>>()),
        ];
        for (fault, failed) in &caught {
            assert!(!failed.is_empty(), "a kind that {fault} passes the suite");
        }
        let catches: Vec<&str> = caught.iter().flat_map(|(_, failed)| failed.iter().copied()).collect();
        let idle: Vec<&str> = suite::cases::<Counter>().into_iter().map(|(name, _)| name).filter(|name| !catches.contains(name)).collect();
        assert!(idle.is_empty(), "these cases caught nothing: {}", idle.join(", "));
    }

    #[test]
    fn a_ledger_keeps_every_promise() {
        assert_eq!(failures::<Ledger>(), [""; 0]);
    }

    #[test]
    fn a_market_keeps_every_promise() {
        assert_eq!(failures::<Market>(), [""; 0]);
    }

    #[test]
    fn a_kind_that_is_not_ours_keeps_every_promise() {
        assert_eq!(failures::<counter::Counter>(), [""; 0]);
    }
}
