//! The binary cauri: configuration and wiring.
