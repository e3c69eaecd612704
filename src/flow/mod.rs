//! The nouns of the domain: each file holds one value, its rule and the tests of its edges.
//!
//! Pure: nothing here reads a clock, a socket, a file, the environment or a random number, and nothing here knows how a
//! record is encoded. Deciders made of these rules live in [`crate::machine`].

pub mod accuracy;
pub mod bad_ratio;
pub mod bar;
pub mod dead_letter;
pub mod evidence;
pub mod feature_rows;
pub mod features;
pub mod gaps;
pub mod hex;
pub mod indicator;
pub mod judge_state;
pub mod market;
pub mod merge;
pub mod model;
pub mod outcome;
pub mod partitioner;
pub mod prediction;
pub mod retrain;
pub mod rules;
pub mod said;
pub mod symbol;
pub mod tick;
pub mod time;
pub mod trace_context;
pub mod trade_ids;
pub mod training_set;
pub mod trigger;
pub mod window;
