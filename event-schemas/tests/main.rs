//! What is written for ever stays readable and keeps its bytes; one binary, so that it links once.

mod arbitrary;
mod canonical;
mod decoding;
mod fingerprints;
mod freezing;
mod records;
mod samples;
