//! Rows into a table through prepared statements, many rows a statement where there are many.

use rusqlite::types::{Null, ToSql};
use rusqlite::{Connection, Statement};

/// Rows of one statement: enough that stepping is amortised, few enough that the statement stays small.
const ROWS: usize = 64;

/// Rows for which room is kept whatever a transaction needed: as many as those of a live read model have.
const ROWS_KEPT: usize = 16_384;

/// Empties the rows of a transaction. The room that those of a rebuild needed is not kept by the small ones after it.
pub(crate) fn empty<T>(rows: &mut Vec<T>) {
    let used = rows.len();
    rows.clear();
    if used < rows.capacity() / 8 {
        rows.shrink_to(ROWS_KEPT.max(2 * used));
    }
}

/// Fills the parameters of a statement from left to right.
pub(crate) struct Binder<'a, 'db> {
    statement: &'a mut Statement<'db>,
    at: usize,
}

impl Binder<'_, '_> {
    fn bind<T: ToSql>(&mut self, value: T) -> rusqlite::Result<()> {
        self.at += 1;
        self.statement.raw_bind_parameter(self.at, value)
    }

    pub(crate) fn int(&mut self, value: i64) -> rusqlite::Result<()> {
        self.bind(value)
    }

    /// A position, version or number: none of them ever reaches 2^63.
    pub(crate) fn number(&mut self, value: u64) -> rusqlite::Result<()> {
        self.bind(value as i64)
    }

    pub(crate) fn optional_int(&mut self, value: Option<i64>) -> rusqlite::Result<()> {
        self.bind(value)
    }

    pub(crate) fn text(&mut self, value: &str) -> rusqlite::Result<()> {
        self.bind(value)
    }

    pub(crate) fn optional_text(&mut self, value: Option<&str>) -> rusqlite::Result<()> {
        self.bind(value)
    }

    pub(crate) fn blob(&mut self, value: &[u8]) -> rusqlite::Result<()> {
        self.bind(value)
    }

    pub(crate) fn optional_blob(&mut self, value: Option<&[u8]>) -> rusqlite::Result<()> {
        self.bind(value)
    }

    pub(crate) fn null(&mut self) -> rusqlite::Result<()> {
        self.bind(Null)
    }
}

/// Inserts rows into the first `columns` columns of `table`; `suffix` is an `ON CONFLICT` clause or empty.
pub(crate) fn insert<T>(
    db: &Connection,
    table: &str,
    columns: usize,
    suffix: &str,
    rows: &[T],
    bind: impl Fn(&T, &mut Binder<'_, '_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    let chunks = rows.chunks_exact(ROWS);
    let rest = chunks.remainder();
    if rows.len() >= ROWS {
        let mut many = db.prepare_cached(&sql(table, columns, ROWS, suffix))?;
        for chunk in chunks {
            let mut binder = Binder { statement: &mut many, at: 0 };
            chunk.iter().try_for_each(|row| bind(row, &mut binder))?;
            debug_assert_eq!(binder.at, columns * ROWS, "every column of {table} is bound");
            many.raw_execute()?;
        }
    }
    if !rest.is_empty() {
        let mut one = db.prepare_cached(&sql(table, columns, 1, suffix))?;
        for row in rest {
            let mut binder = Binder { statement: &mut one, at: 0 };
            bind(row, &mut binder)?;
            debug_assert_eq!(binder.at, columns, "every column of {table} is bound");
            one.raw_execute()?;
        }
    }
    Ok(())
}

/// Executes a prepared statement once a row.
pub(crate) fn execute_each<T>(
    db: &Connection,
    sql: &str,
    rows: &[T],
    bind: impl Fn(&T, &mut Binder<'_, '_>) -> rusqlite::Result<()>,
) -> rusqlite::Result<()> {
    if rows.is_empty() {
        return Ok(());
    }
    let mut statement = db.prepare_cached(sql)?;
    for row in rows {
        bind(row, &mut Binder { statement: &mut statement, at: 0 })?;
        statement.raw_execute()?;
    }
    Ok(())
}

fn sql(table: &str, columns: usize, rows: usize, suffix: &str) -> String {
    let row = format!("({})", vec!["?"; columns].join(","));
    format!("INSERT INTO {table} VALUES {} {suffix}", vec![row; rows].join(","))
}
