//! Retention: which days of the big tables are too old, and how one is dropped without anybody waiting for it.
//!
//! What is old is told from the rows' own time: a day is as old as the newest stored row is ahead of it. So a replay of an old
//! year keeps what it brings, and a market that stands still loses nothing. Rows for a day that is gone make the day again
//! (see [`super::write`]); it is dropped again later.
//!
//! A plain `DROP TABLE` in a transaction, with a short wait for its lock: it needs the whole table for some milliseconds (the
//! files go after the locks do). `DETACH CONCURRENTLY` would let readers in meanwhile, but cannot run in a transaction, so that
//! neither the pooler-proof advisory lock nor a time limit would hold for it, and leaves half a detached partition when it fails.

use tokio_postgres::Client;
use tokio_postgres::error::SqlState;
use tokio_postgres::types::Type;

use super::partitions::{DAY, Day, day_of, exists, partition_name};
use super::tables::{ACCURACY, BARS, OUTCOMES, PREDICTIONS, Table};
use super::{PostgresError, Target};
use crate::flow::time::Micros;

/// The tables that lie in days.
pub const TABLES: [&Table; 4] = [&BARS, &PREDICTIONS, &OUTCOMES, &ACCURACY];

/// One at a time drops, over all processes.
const LOCK: i64 = i64::from_be_bytes(*b"tickdrop");

/// What the drop may cost the others, who wait for it while it waits: far below the second after which PostgreSQL looks for
/// deadlocks and puts off its own vacuum.
const LIMITS: &str = "SET LOCAL lock_timeout = '100ms'; SET LOCAL statement_timeout = '1s'";

/// The days among `days` that go, oldest first: those that end at or before `keep` back from `newest`. So the newest row keeps
/// company of at least `keep`, and of less than a day more.
pub fn expired(days: impl IntoIterator<Item = Day>, newest: Micros, keep: Micros) -> Vec<Day> {
    let until = newest.saturating_sub(keep);
    let mut gone: Vec<_> = days.into_iter().filter(|day| (day + 1) * DAY <= until).collect();
    gone.sort_unstable();
    gone
}

/// The day of a partition that tickcast made; none for one that somebody else made: a default partition, another span, another
/// name. Those are theirs, and stay. `bounds` is what `pg_get_expr` says.
fn day_of_partition(table: &str, name: &str, bounds: &str) -> Option<Day> {
    let from: Micros = bounds.strip_prefix("FOR VALUES FROM ('")?.split('\'').next()?.parse().ok()?;
    let day = day_of(from);
    let ours = format!("FOR VALUES FROM ('{}') TO ('{}')", day * DAY, (day + 1) * DAY);
    (bounds == ours && name == partition_name(table, day)).then_some(day)
}

/// What a table holds.
#[derive(Clone, Debug, Default, PartialEq, Eq)]
pub struct Held {
    /// The days that tickcast made.
    pub days: Vec<Day>,
    /// Names of other partitions.
    pub others: Vec<String>,
    /// Time of its newest row.
    pub newest: Option<Micros>,
}

/// Looks at `table`; one that is not there yet holds nothing.
///
/// # Errors
/// When PostgreSQL refuses.
pub async fn held(client: &Client, target: &Target, table: &Table) -> Result<Held, PostgresError> {
    let Some(time) = table.time else { return Ok(Held::default()) };
    let call = |what: &str| PostgresError::call(target, format!("{what} {}", table.name));
    let rows = client
        .query_typed(
            "SELECT c.relname::text, pg_get_expr(c.relpartbound, c.oid) \
             FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid WHERE i.inhparent = to_regclass($1)",
            &[(&table.name, Type::TEXT)],
        )
        .await
        .map_err(call("listing the partitions of"))?;
    let mut held = Held::default();
    for row in &rows {
        let (name, bounds): (String, Option<String>) = (row.get(0), row.get(1));
        match day_of_partition(table.name, &name, bounds.as_deref().unwrap_or_default()) {
            Some(day) => held.days.push(day),
            None => held.others.push(name),
        }
    }
    if !rows.is_empty() {
        // By the primary key, from the last partition down.
        let newest = format!("SELECT max({time}) FROM {}", table.name);
        let rows = client.query_typed(&newest, &[]).await.map_err(call("looking for the newest row of"))?;
        held.newest = rows.first().and_then(|row| row.get(0));
    }
    Ok(held)
}

/// What became of a day that was to go.
#[derive(Debug)]
pub enum Dropped {
    /// It is gone.
    Yes,
    /// Somebody else was faster.
    Gone,
    /// Another process is at it: leave it to that one.
    Elsewhere,
    /// Somebody uses the table: another time.
    Busy,
    /// PostgreSQL refuses, for instance because a view is made of this partition.
    Refused(PostgresError),
}

/// Drops one day of `table`, in a transaction of its own.
///
/// # Errors
/// When PostgreSQL does not answer.
pub async fn drop_day(client: &mut Client, target: &Target, table: &Table, day: Day) -> Result<Dropped, PostgresError> {
    let name = partition_name(table.name, day);
    let call = || PostgresError::call(target, format!("dropping {name}"));
    let transaction = client.transaction().await.map_err(call())?;
    transaction.batch_execute(LIMITS).await.map_err(call())?;
    let lock =
        transaction.query_typed("SELECT pg_try_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)]).await.map_err(call())?;
    if !lock.first().is_some_and(|row| row.get(0)) {
        return Ok(Dropped::Elsewhere);
    }
    if !exists(&transaction, table.name, &name).await.map_err(call())? {
        return Ok(Dropped::Gone);
    }
    if let Err(error) = transaction.batch_execute(&format!("DROP TABLE {name}")).await.map_err(call()) {
        return match error.code() {
            Some(&(SqlState::LOCK_NOT_AVAILABLE | SqlState::QUERY_CANCELED | SqlState::T_R_DEADLOCK_DETECTED)) => {
                Ok(Dropped::Busy)
            }
            Some(_) => Ok(Dropped::Refused(error)),
            None => Err(error),
        };
    }
    transaction.commit().await.map_err(call())?;
    Ok(Dropped::Yes)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::time::SECOND;

    #[test]
    fn whole_days_go_when_they_end_before_what_is_kept() {
        let days = [12, 10, 9, 11, 13];
        assert_eq!(expired(days, 13 * DAY + 5, 2 * DAY), [9, 10]);
        assert_eq!(expired(days, 13 * DAY, 2 * DAY), [9, 10], "day 10 ends where day 11 begins");
        assert_eq!(expired(days, 13 * DAY - 1, 2 * DAY), [9]);
        assert_eq!(expired(days, 13 * DAY + 5, DAY), [9, 10, 11]);
        assert_eq!(expired(days, 13 * DAY + 5, DAY + SECOND), [9, 10], "a second into day 11 is kept");
    }

    #[test]
    fn nothing_goes_beyond_the_end_of_time() {
        assert_eq!(expired([-3, 0, 5], i64::MIN, DAY), [] as [Day; 0]);
        assert_eq!(expired([-3, 0, 5], 6 * DAY, i64::MAX / 4), [] as [Day; 0]);
        assert_eq!(expired([-3, 0, 5], i64::MAX, DAY), [-3, 0, 5]);
    }

    #[test]
    fn partitions_of_others_have_no_day() {
        let bounds = |from: i64, to: i64| format!("FOR VALUES FROM ('{from}') TO ('{to}')");
        let day = 19_945; // 2024-08-10
        let own = bounds(day * DAY, (day + 1) * DAY);
        assert_eq!(day_of_partition("bars", "bars_p20240810", &own), Some(day));
        assert_eq!(day_of_partition("bars", "archive", &own), None);
        assert_eq!(day_of_partition("bars", "bars_p20240810", &bounds(day * DAY, (day + 2) * DAY)), None);
        assert_eq!(day_of_partition("bars", "bars_p20240810", &bounds(day * DAY + 1, (day + 1) * DAY)), None);
        assert_eq!(day_of_partition("bars", "bars_default", "DEFAULT"), None);
        assert_eq!(day_of_partition("bars", "bars_p20240810", "FOR VALUES FROM (MINVALUE) TO ('0')"), None);
    }

    #[test]
    fn every_table_in_days_is_looked_at() {
        let all = super::super::write::Batch::default();
        let in_days: Vec<_> = all.tables().map(|rows| rows.table()).into_iter().filter(|t| t.time.is_some()).collect();
        assert_eq!(in_days.iter().map(|t| t.name).collect::<Vec<_>>(), TABLES.map(|t| t.name));
    }
}
