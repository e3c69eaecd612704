//! Tests from outside the crate, one binary.

mod indicators;
