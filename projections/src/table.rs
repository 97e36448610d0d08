//! Tables, declared once: columns, keys and indexes. The DDL, the inserts and the order of a digest come from the declaration.
//!
//! What is asked of a table is plain SQL, beside what asks it.

use std::fmt::Write as _;

use rusqlite::types::{Null, ToSql};
use rusqlite::{Connection, Statement};

/// A table of a read model.
#[derive(Debug)]
pub(crate) struct Table {
    /// Its name, one of its kind in the group's file.
    pub(crate) name: &'static str,
    /// Its columns, in the order in which rows bind them and a digest writes them.
    pub(crate) columns: &'static [Column],
    /// The columns of the primary key, by which rows are clustered and digested. One integer is the row's own number.
    pub(crate) key: &'static [&'static str],
    /// Indexes that are made when a build is complete: one pass over the rows is cheaper than keeping them meanwhile.
    pub(crate) indexes: &'static [Index],
}

/// A column of a table.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Column {
    name: &'static str,
    holds: Holds,
    optional: bool,
}

/// What a column holds. Texts are compared byte by byte, in every store.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Holds {
    Integer,
    Text,
    Bytes,
}

impl Column {
    /// A whole number of at most 64 bits: amounts in minor units, positions, instants in microseconds.
    pub(crate) const fn integer(name: &'static str) -> Self {
        Self { name, holds: Holds::Integer, optional: false }
    }

    /// A text.
    pub(crate) const fn text(name: &'static str) -> Self {
        Self { name, holds: Holds::Text, optional: false }
    }

    /// Bytes.
    pub(crate) const fn bytes(name: &'static str) -> Self {
        Self { name, holds: Holds::Bytes, optional: false }
    }

    /// The same column, which may hold nothing.
    pub(crate) const fn or_null(self) -> Self {
        Self { optional: true, ..self }
    }
}

/// A secondary index.
#[derive(Debug)]
pub(crate) struct Index {
    /// Its name: the table's, an underscore, and what it finds by.
    pub(crate) name: &'static str,
    /// Its columns.
    pub(crate) columns: &'static [&'static str],
    /// No two rows have the same values in them.
    pub(crate) unique: bool,
    /// Only of rows for which this SQL condition holds; a query that uses the index must state it.
    pub(crate) only: Option<&'static str>,
}

/// Rows of one statement: enough that stepping is amortised, few enough that the statement stays small.
const ROWS: usize = 64;

impl Table {
    /// Makes the table, without its indexes.
    pub(crate) fn create(&self, db: &Connection) -> rusqlite::Result<()> {
        db.execute_batch(&self.ddl())
    }

    /// The statement that makes the table.
    fn ddl(&self) -> String {
        let mut sql = format!("CREATE TABLE {} (\n", self.name);
        for column in self.columns {
            let holds = match column.holds {
                Holds::Integer => "INTEGER",
                Holds::Text => "TEXT",
                Holds::Bytes => "BLOB",
            };
            let null = if column.optional { "" } else { " NOT NULL" };
            let _ = writeln!(sql, "    {} {holds}{null},", column.name);
        }
        let _ = write!(sql, "    PRIMARY KEY ({})\n) STRICT", self.key.join(", "));
        // A table whose key is one integer is clustered by it as it is.
        if !self.is_numbered() {
            sql.push_str(", WITHOUT ROWID");
        }
        sql
    }

    fn is_numbered(&self) -> bool {
        let [key] = self.key else { return false };
        self.columns.iter().any(|column| column.name == *key && column.holds == Holds::Integer)
    }

    /// Makes the indexes.
    pub(crate) fn create_indexes(&self, db: &Connection) -> rusqlite::Result<()> {
        self.indexes.iter().try_for_each(|index| {
            let unique = if index.unique { "UNIQUE " } else { "" };
            let only = index.only.map(|only| format!(" WHERE {only}")).unwrap_or_default();
            db.execute_batch(&format!("CREATE {unique}INDEX {} ON {} ({}){only}", index.name, self.name, index.columns.join(", ")))
        })
    }

    /// All rows in the order of the key, every column in order.
    pub(crate) fn select_all(&self) -> String {
        let columns: Vec<&str> = self.columns.iter().map(|column| column.name).collect();
        format!("SELECT {} FROM {} ORDER BY {}", columns.join(", "), self.name, self.key.join(", "))
    }

    /// Inserts rows, which should be in the order of the key.
    pub(crate) fn insert<T>(
        &self,
        db: &Connection,
        rows: &[T],
        bind: impl Fn(&T, &mut Binder<'_, '_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        self.write(db, "", rows, bind)
    }

    /// The same; a row whose key is there replaces that one.
    pub(crate) fn replace<T>(
        &self,
        db: &Connection,
        rows: &[T],
        bind: impl Fn(&T, &mut Binder<'_, '_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let others = self.columns.iter().filter(|column| !self.key.contains(&column.name));
        let sets: Vec<String> = others.map(|column| format!("{0} = excluded.{0}", column.name)).collect();
        self.write(db, &format!("ON CONFLICT ({}) DO UPDATE SET {}", self.key.join(", "), sets.join(", ")), rows, bind)
    }

    fn write<T>(
        &self,
        db: &Connection,
        on_conflict: &str,
        rows: &[T],
        bind: impl Fn(&T, &mut Binder<'_, '_>) -> rusqlite::Result<()>,
    ) -> rusqlite::Result<()> {
        let columns = self.columns.len();
        let values = format!("({})", vec!["?"; columns].join(","));
        for rows in rows.chunks(ROWS) {
            // Two statements serve all: one for full chunks, one for a single row.
            let at_once = if rows.len() == ROWS { ROWS } else { 1 };
            let sql = format!("INSERT INTO {} VALUES {} {on_conflict}", self.name, vec![values.as_str(); at_once].join(","));
            let mut statement = db.prepare_cached(&sql)?;
            for rows in rows.chunks(at_once) {
                let mut binder = Binder { statement: &mut statement, at: 0 };
                rows.iter().try_for_each(|row| bind(row, &mut binder))?;
                debug_assert_eq!(binder.at, columns * at_once, "every column of {} is bound", self.name);
                statement.raw_execute()?;
            }
        }
        Ok(())
    }
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

#[cfg(test)]
mod tests {
    use super::*;

    const NUMBERED: Table = Table {
        name: "numbered",
        columns: &[Column::integer("number"), Column::text("name").or_null()],
        key: &["number"],
        indexes: &[Index { name: "numbered_name", columns: &["name"], unique: true, only: Some("name IS NOT NULL") }],
    };
    const CLUSTERED: Table = Table {
        name: "clustered",
        columns: &[Column::text("key"), Column::integer("number"), Column::bytes("id").or_null()],
        key: &["key", "number"],
        indexes: &[],
    };

    #[test]
    fn a_declaration_says_how_rows_lie() {
        assert_eq!(
            NUMBERED.ddl(),
            "CREATE TABLE numbered (\n    number INTEGER NOT NULL,\n    name TEXT,\n    PRIMARY KEY (number)\n) STRICT"
        );
        assert!(CLUSTERED.ddl().ends_with("PRIMARY KEY (key, number)\n) STRICT, WITHOUT ROWID"), "{}", CLUSTERED.ddl());
    }

    #[test]
    fn rows_are_inserted_and_replaced_however_many_there_are() {
        let db = Connection::open_in_memory().expect("a database");
        NUMBERED.create(&db).expect("a table");
        let bind = |row: &(u64, String), bind: &mut Binder<'_, '_>| {
            bind.number(row.0)?;
            bind.text(&row.1)
        };
        let rows: Vec<(u64, String)> = (0..200).map(|number| (number, format!("first {number}"))).collect();
        NUMBERED.insert(&db, &rows, bind).expect("rows");
        let later: Vec<(u64, String)> = (100..300).map(|number| (number, format!("later {number}"))).collect();
        assert!(NUMBERED.insert(&db, &later, bind).is_err(), "a key is there once");
        NUMBERED.replace(&db, &later, bind).expect("rows");
        NUMBERED.create_indexes(&db).expect("an index");
        let mut all = db.prepare(&NUMBERED.select_all()).expect("a statement");
        let found: Vec<(u64, String)> =
            all.query_map([], |row| Ok((row.get(0)?, row.get(1)?))).expect("rows").map(|row| row.expect("a row")).collect();
        let expected: Vec<(u64, String)> = rows.into_iter().take(100).chain(later).collect();
        assert_eq!(found, expected);
        assert!(NUMBERED.insert(&db, &[(900, "later 100".to_owned())], bind).is_err(), "the index is unique");
    }
}
