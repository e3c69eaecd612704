//! One binary for every test that drives the real program, real Kafka or real PostgreSQL.

mod kills;
