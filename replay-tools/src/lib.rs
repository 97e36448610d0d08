//! The auditor's bench: replay, verify, show, export and import of a journal.
