//! Read models, their runner and the read store.
