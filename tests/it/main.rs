//! Everything that runs on real parts: Kafka, PostgreSQL, pgbouncer. Where a part is absent its tests say SKIPPED and pass:
//! `deploy/stack up` starts the parts and writes the variables that point at them.

mod demo;
mod house;
mod indicators;
mod kafka;
mod replay;
mod store;
mod store_outages;
mod support;
mod tail;

mod kills;
