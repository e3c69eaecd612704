//! Partitions of one UTC day, made when the first row of the day is on its way: a replay of an old year needs old days.

use std::collections::HashSet;

use tokio_postgres::types::Type;
use tokio_postgres::{Client, GenericClient};

use super::tables::Table;
use super::{PostgresError, Target};
use crate::flow::time::{EARLIEST, LATEST, Micros, SECOND};

/// One day in [`Micros`].
pub const DAY: Micros = 86_400 * SECOND;

/// A day, counted from the epoch.
pub type Day = i64;

/// The day that holds `time`; days are half-open, so a bar that closes at midnight belongs to the day that begins.
pub const fn day_of(time: Micros) -> Day {
    time.div_euclid(DAY)
}

/// Whether rows may lie at `time`: the years 1990 to 2199, as for event times. So partitions are bounded in number.
pub const fn is_storable(time: Micros) -> bool {
    EARLIEST <= time && time < LATEST
}

/// Name of a day's partition: `bars_p20240809`.
pub fn partition_name(table: &str, day: Day) -> String {
    let (year, month, day) = civil(day);
    format!("{table}_p{year:04}{month:02}{day:02}")
}

/// Year, month and day of a count of days from the epoch (Howard Hinnant, "chrono-compatible low-level date algorithms").
const fn civil(day: Day) -> (i64, i64, i64) {
    let z = day + 719_468;
    let era = z.div_euclid(146_097);
    let doe = z.rem_euclid(146_097);
    let yoe = (doe - doe / 1_460 + doe / 36_524 - doe / 146_096) / 365;
    let doy = doe - (365 * yoe + yoe / 4 - yoe / 100);
    let mp = (5 * doy + 2) / 153;
    let month = if mp < 10 { mp + 3 } else { mp - 9 };
    (yoe + era * 400 + (month <= 2) as i64, month, doy - (153 * mp + 2) / 5 + 1)
}

/// One at a time makes partitions, over all processes: two that attach the same day would both find it missing.
const LOCK: i64 = i64::from_be_bytes(*b"tickpart");

/// Which days are known to be there, so that most batches ask nothing.
#[derive(Debug, Default)]
pub struct Known(HashSet<(&'static str, Day)>);

impl Known {
    /// Forgets everything: after a failure, somebody may have dropped a day.
    pub fn clear(&mut self) {
        self.0.clear();
    }
}

/// Makes the days of `table` that are missing, in a transaction of its own that holds no other lock.
///
/// A day is made beside the table and then attached, which takes no lock that readers or writers of the table wait for;
/// `CREATE TABLE ... PARTITION OF` would.
///
/// # Errors
/// When PostgreSQL refuses.
pub async fn ensure(
    client: &mut Client,
    target: &Target,
    known: &mut Known,
    table: &'static Table,
    days: impl Iterator<Item = Day>,
) -> Result<(), PostgresError> {
    let missing: Vec<Day> = days.filter(|day| !known.0.contains(&(table.name, *day))).collect();
    if missing.is_empty() {
        return Ok(());
    }
    // So many that old ones no longer matter: the set stays bounded, and asking again is cheap.
    if known.0.len() > 4_096 {
        known.clear();
    }
    let call = |what: &str| PostgresError::call(target, format!("{what} of {}", table.name));
    let transaction = client.transaction().await.map_err(call("making partitions"))?;
    for day in &missing {
        let name = partition_name(table.name, *day);
        if exists(&transaction, table.name, &name).await.map_err(call("looking for a partition"))? {
            continue;
        }
        transaction
            .query_typed("SELECT pg_advisory_xact_lock($1)", &[(&LOCK, Type::INT8)])
            .await
            .map_err(call("waiting to make a partition"))?;
        if exists(&transaction, table.name, &name).await.map_err(call("looking for a partition"))? {
            continue;
        }
        let (from, to) = (day * DAY, (day + 1) * DAY);
        transaction
            .batch_execute(&format!(
                "CREATE TABLE {name} (LIKE {table} INCLUDING DEFAULTS INCLUDING CONSTRAINTS); \
                 ALTER TABLE {table} ATTACH PARTITION {name} FOR VALUES FROM ({from}) TO ({to})",
                table = table.name
            ))
            .await
            .map_err(call(&format!("making partition {name}")))?;
    }
    transaction.commit().await.map_err(call("making partitions"))?;
    known.0.extend(missing.into_iter().map(|day| (table.name, day)));
    Ok(())
}

/// Whether `table` has the partition. Asks the catalogue's tables, which shows what others have committed; `to_regclass` may
/// remember within a transaction that there was nothing.
pub(super) async fn exists(
    client: &impl GenericClient,
    table: &str,
    name: &str,
) -> Result<bool, tokio_postgres::Error> {
    let rows = client
        .query_typed(
            "SELECT FROM pg_inherits i JOIN pg_class c ON c.oid = i.inhrelid \
             WHERE i.inhparent = $1::text::regclass AND c.relname = $2",
            &[(&table, Type::TEXT), (&name, Type::TEXT)],
        )
        .await?;
    Ok(!rows.is_empty())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn days_are_half_open_and_named_by_date() {
        let midnight = 1_723_248_000 * SECOND; // date -u -d 2024-08-10 +%s
        assert_eq!(partition_name("bars", day_of(midnight)), "bars_p20240810");
        assert_eq!(partition_name("bars", day_of(midnight - 1)), "bars_p20240809");
        assert_eq!(partition_name("bars", day_of(951_782_400 * SECOND)), "bars_p20000229");
        assert_eq!(partition_name("bars", day_of(EARLIEST)), "bars_p19900101");
        assert_eq!(partition_name("bars", day_of(LATEST - 1)), "bars_p21991231");
        assert_eq!(day_of(-1), -1);
    }

    #[test]
    fn what_is_no_time_gets_no_partition() {
        assert!(is_storable(EARLIEST) && is_storable(LATEST - 1));
        assert!(!is_storable(EARLIEST - 1) && !is_storable(LATEST) && !is_storable(i64::MIN));
    }
}
