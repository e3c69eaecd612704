//! Migrations: the files of `schemas/postgres`, built in, applied in order under an advisory lock.

use std::fmt::Write as _;

use sha2::{Digest, Sha256};
use tokio_postgres::types::Type;
use tokio_postgres::{Client, GenericClient};

use super::{PostgresError, Target};

/// One file of `schemas/postgres`. What has been released is never edited: a change is a new file.
struct Migration {
    version: i32,
    name: &'static str,
    sql: &'static str,
}

const MIGRATIONS: &[Migration] = &[
    Migration { version: 1, name: "tables", sql: include_str!("../../../schemas/postgres/0001_tables.sql") },
    Migration { version: 2, name: "referee", sql: include_str!("../../../schemas/postgres/0002_referee.sql") },
    Migration { version: 3, name: "retention", sql: include_str!("../../../schemas/postgres/0003_retention.sql") },
];

/// The lock's key: two processes that start at once migrate one after the other.
const LOCK: i64 = i64::from_be_bytes(*b"tickcast");

/// What a database holds, beside what this version of tickcast brings.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct State {
    /// The last migration applied; 0 when there is none.
    pub applied: i32,
    /// The last one that this program has.
    pub latest: i32,
}

/// Applies what is missing, all in one transaction; safe to repeat and to run from many processes at once.
///
/// # Errors
/// When PostgreSQL refuses, or was migrated by another version in a way that this one does not know.
pub async fn migrate(client: &mut Client, target: &Target) -> Result<Vec<String>, PostgresError> {
    if state(client, target).await?.applied == MIGRATIONS.len() as i32 {
        // The usual case needs no right to create anything, and waits for no lock.
        return Ok(Vec::new());
    }
    let call = |what: &str| PostgresError::call(target, what.to_owned());
    let transaction = client.transaction().await.map_err(call("beginning the migrations"))?;
    transaction
        .query_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)])
        .await
        .map_err(call("waiting for another migration"))?;
    transaction
        .batch_execute(
            "CREATE TABLE IF NOT EXISTS tickcast_migrations (version integer PRIMARY KEY, name text NOT NULL, \
             checksum text NOT NULL, applied_at timestamptz NOT NULL DEFAULT now())",
        )
        .await
        .map_err(call("creating tickcast_migrations (the user must be allowed to create tables)"))?;
    let before = state(&transaction, target).await?.applied;
    let mut applied = Vec::new();
    for migration in MIGRATIONS.iter().filter(|migration| migration.version > before) {
        let name = format!("{:04}_{}", migration.version, migration.name);
        transaction.batch_execute(migration.sql).await.map_err(call(&format!("applying migration {name}")))?;
        transaction
            .execute_typed(
                "INSERT INTO tickcast_migrations (version, name, checksum) VALUES ($1, $2, $3)",
                &[
                    (&migration.version, Type::INT4),
                    (&migration.name, Type::TEXT),
                    (&checksum(migration.sql), Type::TEXT),
                ],
            )
            .await
            .map_err(call("recording a migration"))?;
        applied.push(name);
    }
    transaction.commit().await.map_err(call("committing the migrations"))?;
    Ok(applied)
}

/// How far the database is migrated; changes nothing.
///
/// # Errors
/// When PostgreSQL does not answer, or a migration was applied that differs from this program's, or that it does not have.
pub async fn state(client: &impl GenericClient, target: &Target) -> Result<State, PostgresError> {
    let call = || PostgresError::call(target, "reading tickcast_migrations");
    let latest = MIGRATIONS.len() as i32;
    let there = client
        .query_typed("SELECT to_regclass('tickcast_migrations') IS NOT NULL", &[])
        .await
        .map_err(call())?
        .first()
        .is_some_and(|row| row.get(0));
    if !there {
        return Ok(State { applied: 0, latest });
    }
    let rows = client
        .query_typed("SELECT version, checksum FROM tickcast_migrations ORDER BY version", &[])
        .await
        .map_err(call())?;
    let mut applied = 0;
    for row in rows {
        let (version, found): (i32, String) = (row.get(0), row.get(1));
        let known = MIGRATIONS.iter().find(|migration| migration.version == version).ok_or_else(|| {
            PostgresError::State(format!(
                "{target} holds migration {version}, this program knows {latest}: run the tickcast that migrated it, or a later one"
            ))
        })?;
        if checksum(known.sql) != found {
            return Err(PostgresError::State(format!(
                "migration {version} of {target} is not the one of this program: use another database, or the tickcast that migrated it"
            )));
        }
        applied = version;
    }
    Ok(State { applied, latest })
}

fn checksum(sql: &str) -> String {
    Sha256::digest(sql).iter().fold(String::with_capacity(64), |mut hex, byte| {
        // Writing to a String cannot fail.
        let _ = write!(hex, "{byte:02x}");
        hex
    })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn versions_count_up_from_one() {
        let versions: Vec<_> = MIGRATIONS.iter().map(|migration| migration.version).collect();
        assert_eq!(versions, (1..=MIGRATIONS.len() as i32).collect::<Vec<_>>());
    }

    #[test]
    fn every_file_is_built_in() {
        let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/schemas/postgres");
        let mut names: Vec<_> =
            std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().file_name().into_string().unwrap()).collect();
        names.sort();
        let built: Vec<_> = MIGRATIONS.iter().map(|m| format!("{:04}_{}.sql", m.version, m.name)).collect();
        assert_eq!(names, built);
    }
}
