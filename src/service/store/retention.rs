//! `store.retention`: a thread that looks at the tables now and then and drops the days that are too old, on a connection of its
//! own. The projector does not wait for it, and its failures hold nothing up.

use std::thread::Scope;
use std::time::Duration;

use anyhow::Context as _;
use tokio::sync::oneshot;

use super::report::Report;
use crate::flow::time::Micros;
use crate::io::clock;
use crate::io::postgres::partitions::partition_name;
use crate::io::postgres::retention::{Dropped, Held, TABLES, drop_day, expired, held};
use crate::io::postgres::{PostgresError, Target, connect};

/// Between two looks.
const PAUSE: Duration = Duration::from_secs(600);
/// Between two looks, where something was in the way.
const AGAIN: Duration = Duration::from_secs(60);

/// The thread, which leaves its work when this is dropped: PostgreSQL takes back what is not committed.
#[derive(Debug)]
pub struct Retention {
    _halt: oneshot::Sender<()>,
}

impl Retention {
    /// Starts it on a thread of `scope`; rows are kept for at least `keep`.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        target: Target,
        keep: Micros,
        report: &'scope Report<'scope>,
    ) -> anyhow::Result<Self> {
        let (halt, mut halted) = oneshot::channel();
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        let mut keeper = Keeper { target, keep, report, told: Vec::new() };
        std::thread::Builder::new()
            .name("store-retention".to_owned())
            .spawn_scoped(scope, move || {
                runtime.block_on(async {
                    tokio::select! {
                        _ = &mut halted => {}
                        () = keeper.run() => {}
                    }
                });
            })
            .context("starting the thread of store.retention")?;
        Ok(Self { _halt: halt })
    }
}

struct Keeper<'a> {
    target: Target,
    keep: Micros,
    report: &'a Report<'a>,
    /// Partitions of others that were named in the log.
    told: Vec<String>,
}

impl Keeper<'_> {
    async fn run(&mut self) {
        loop {
            let pause = match self.look().await {
                Ok(true) => PAUSE,
                Ok(false) => AGAIN,
                Err(error) => {
                    tracing::warn!("store.retention: {:#}; trying again", anyhow::Error::from(error));
                    AGAIN
                }
            };
            tokio::time::sleep(pause).await;
        }
    }

    /// Drops what is too old; `false` when something is left for later.
    async fn look(&mut self) -> Result<bool, PostgresError> {
        let mut client = connect::connect(&self.target).await?;
        let mut tables = Vec::new();
        for table in TABLES {
            tables.push((table, held(&client, &self.target, table).await?));
        }
        self.name_others(tables.iter().flat_map(|(_, held)| &held.others));
        let Some(newest) = clock(tables.iter().map(|(_, held)| held), clock::now()) else { return Ok(true) };
        let mut done = true;
        for (table, held) in tables {
            for day in expired(held.days, newest, self.keep) {
                let partition = partition_name(table.name, day);
                match drop_day(&mut client, &self.target, table, day).await? {
                    Dropped::Yes => {
                        self.report.partition("dropped");
                        tracing::info!(
                            partition,
                            newest = clock::rfc3339(newest),
                            "dropped, older than store.retention"
                        );
                    }
                    Dropped::Gone => {}
                    Dropped::Elsewhere => return Ok(true),
                    Dropped::Refused(error) => {
                        self.report.partition("refused");
                        tracing::warn!(partition, "store.retention: {:#}", anyhow::Error::from(error));
                        done = false;
                    }
                    Dropped::Busy => {
                        self.report.partition("postponed");
                        tracing::info!(partition, "is dropped later: somebody uses the table");
                        done = false;
                        // Whoever holds the table holds it for the next day, too.
                        break;
                    }
                }
            }
        }
        Ok(done)
    }

    fn name_others<'a>(&mut self, others: impl Iterator<Item = &'a String>) {
        for name in others {
            if !self.told.contains(name) {
                tracing::warn!(partition = name, "not a day that tickcast made: store.retention leaves it alone");
                self.told.push(name.clone());
            }
        }
    }
}

/// The time that ages are counted from: that of the newest row of all tables. A row from the future does not age the others: the
/// wall clock holds it back, and can only keep what would go.
fn clock<'a>(tables: impl Iterator<Item = &'a Held>, now: Micros) -> Option<Micros> {
    tables.filter_map(|held| held.newest).max().map(|newest| newest.min(now))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ages_are_counted_from_the_newest_row_of_all_but_not_from_the_future() {
        let held = |newest| Held { newest, ..Held::default() };
        let tables = [held(Some(30)), held(None), held(Some(70))];
        assert_eq!(clock(tables.iter(), 1_000), Some(70));
        assert_eq!(clock(tables.iter(), 50), Some(50));
        assert_eq!(clock([held(None)].iter(), 1_000), None);
    }
}
