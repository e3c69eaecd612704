//! A loop per role that feeds a machine and carries out its effects; supervision and ordered shutdown.

mod at_rest;
pub mod forecast;
pub mod health;
pub mod judge;
mod lane;
pub mod offsets;
pub mod requests;
pub mod run;
pub mod settle;
pub mod store;
