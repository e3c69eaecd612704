//! PostgreSQL: connections, migrations, day partitions, and the projector's transaction of rows and offsets.
//!
//! Everything works behind a pooler in transaction mode: no named statement that outlives its transaction, no session lock,
//! no session setting.

pub mod columns;
pub mod connect;
pub mod copy;
pub mod migrate;
pub mod offsets;
pub mod partitions;
pub mod retention;
pub mod rows;
pub mod tables;
pub mod write;

pub use connect::Target;

/// A failure of PostgreSQL, told with what was being done. It never holds the password.
#[derive(Debug, thiserror::Error)]
pub enum PostgresError {
    /// `postgres.url` cannot be used. The text of the URL is not repeated: it may hold a password.
    #[error(
        "postgres.url {0}: write postgres://user:password@host:port/database?sslmode=require, special characters percent-encoded"
    )]
    Url(&'static str),
    /// A call failed.
    #[error("PostgreSQL at {target}: {what}")]
    Call {
        /// Host, port and database.
        target: String,
        /// What was being done.
        what: String,
        /// The driver's own error.
        source: tokio_postgres::Error,
    },
    /// TLS could not be set up.
    #[error("PostgreSQL at {target}: TLS: {why}")]
    Tls {
        /// Host, port and database.
        target: String,
        /// What is wrong.
        why: String,
    },
    /// The server did not answer.
    #[error("PostgreSQL at {target}: {what}: no answer in {seconds} s: is it up, and reachable from here?")]
    Timeout {
        /// Host, port and database.
        target: String,
        /// What was being done.
        what: &'static str,
        /// How long was waited.
        seconds: u64,
    },
    /// What was found is not what is needed.
    #[error("PostgreSQL: {0}")]
    State(String),
}

impl PostgresError {
    /// Says what was being done when `source` happened.
    pub fn call(target: &Target, what: impl Into<String>) -> impl FnOnce(tokio_postgres::Error) -> Self {
        let what = what.into();
        move |source| Self::Call { target: target.to_string(), what, source }
    }

    /// The server's error code, where it is the server that refused.
    pub fn code(&self) -> Option<&tokio_postgres::error::SqlState> {
        match self {
            Self::Call { source, .. } => source.code(),
            _ => None,
        }
    }
}
