//! Repository chores: test, tidy, bench, schema freeze.
fn main(){}
