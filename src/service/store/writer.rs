//! The writer thread: one connection to PostgreSQL, one request at a time, each repeated until PostgreSQL has answered it.

use std::collections::BTreeMap;
use std::future::Future;
use std::sync::mpsc::{Receiver, SyncSender, sync_channel};
use std::sync::{Arc, OnceLock};
use std::thread::Scope;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use tokio_postgres::Client;

use super::report::{Report, Side};
use crate::io::postgres::offsets::{self, Source};
use crate::io::postgres::partitions::Known;
use crate::io::postgres::write::{Batch, Outcome, Statements, write};
use crate::io::postgres::{PostgresError, Target, connect, migrate};
use crate::telemetry::causes;

/// How long the writer goes on trying after it was told to stop. What is not stored by then is still in Kafka.
pub const GRACE: Duration = Duration::from_secs(5);

/// How long one attempt may take: a lock that is held for longer is somebody's mistake, and a fresh connection tells more.
const ATTEMPT: Duration = Duration::from_secs(60);

/// What the writer is asked. The number is the assignment's: an answer for an older one is of no use.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time, moved once a batch: a box would save nothing")]
pub enum Request {
    /// Read the offsets of these; one that is new starts where it says.
    Load(u64, BTreeMap<Source, i64>),
    /// Store this.
    Write(u64, Batch),
}

/// What the writer answers.
#[derive(Debug)]
#[allow(clippy::large_enum_variant, reason = "one at a time, moved once a batch: a box would save nothing")]
pub enum Reply {
    /// The offsets that PostgreSQL holds.
    Loaded(u64, BTreeMap<Source, i64>),
    /// What became of a batch, and the batch.
    Written(u64, Outcome, Batch),
    /// The grace after the stop is over, and PostgreSQL has not answered.
    GaveUp,
}

/// The writer as the polling thread sees it: two queues of one message each, for it works on one request at a time.
#[derive(Debug)]
pub struct Writer {
    requests: SyncSender<Request>,
    replies: Receiver<Reply>,
    halt: Arc<Halt>,
}

/// When the writer was told to stop.
#[derive(Debug, Default)]
struct Halt(OnceLock<Instant>);

impl Halt {
    fn is_over(&self) -> bool {
        self.0.get().is_some_and(|when| when.elapsed() >= GRACE)
    }
}

impl Writer {
    /// Starts the writer on a thread of `scope`, which it leaves when the `Writer` is dropped.
    ///
    /// # Errors
    /// When the system gives no thread.
    pub fn start<'scope>(
        scope: &'scope Scope<'scope, '_>,
        target: Target,
        report: &'scope Report<'scope>,
    ) -> anyhow::Result<Self> {
        let (requests, incoming) = sync_channel(1);
        let (outgoing, replies) = sync_channel(1);
        let halt = Arc::new(Halt::default());
        let mut session = Session {
            target,
            client: None,
            known: Known::default(),
            statements: Statements::default(),
            report,
            halt: Arc::clone(&halt),
        };
        let runtime = tokio::runtime::Builder::new_current_thread().enable_all().build()?;
        std::thread::Builder::new()
            .name("store-writer".to_owned())
            .spawn_scoped(scope, move || {
                while let Ok(request) = incoming.recv() {
                    if outgoing.send(runtime.block_on(session.answer(request))).is_err() {
                        return;
                    }
                }
            })
            .context("starting the thread that writes to PostgreSQL")?;
        Ok(Self { requests, replies, halt })
    }

    /// Hands over a request; the one before it has been answered.
    ///
    /// # Errors
    /// When the thread is gone: it has panicked.
    pub fn send(&self, request: Request) -> anyhow::Result<()> {
        self.requests.send(request).map_err(|_| anyhow::anyhow!("the thread that writes to PostgreSQL is gone"))
    }

    /// Where answers come.
    pub const fn replies(&self) -> &Receiver<Reply> {
        &self.replies
    }

    /// Tells the thread to give up, when [`GRACE`] is over, what PostgreSQL has not answered.
    pub fn halt(&self) {
        self.halt.0.get_or_init(Instant::now);
    }
}

impl Drop for Writer {
    fn drop(&mut self) {
        self.halt();
    }
}

/// How long to wait before the next attempt, after so many that failed: none after the first (a restart closed the connection,
/// and a new one may do), then from 100 ms twice as long each time, to 10 s.
fn pause(failures: u32) -> Duration {
    match failures {
        0 | 1 => Duration::ZERO,
        n => Duration::from_millis(100 << (n - 2).min(7)).min(Duration::from_secs(10)),
    }
}

struct Session<'a> {
    target: Target,
    client: Option<Client>,
    known: Known,
    statements: Statements,
    report: &'a Report<'a>,
    halt: Arc<Halt>,
}

impl Session<'_> {
    async fn answer(&mut self, request: Request) -> Reply {
        let halt = Arc::clone(&self.halt);
        let mut failures = 0;
        loop {
            let attempt = within_grace(&halt, tokio::time::timeout(ATTEMPT, self.attempt(&request))).await;
            let error = match attempt {
                None => return Reply::GaveUp,
                Some(Ok(Ok(done))) => {
                    if failures > 0 {
                        tracing::info!(target = %self.target, failures, "PostgreSQL answers again");
                    }
                    self.report.waits(Side::Postgres, None);
                    return match (request, done) {
                        (Request::Write(generation, batch), Done::Written(outcome)) => {
                            Reply::Written(generation, outcome, batch)
                        }
                        (Request::Load(generation, _), Done::Loaded(offsets)) => Reply::Loaded(generation, offsets),
                        _ => unreachable!("a request is answered in kind"),
                    };
                }
                Some(Ok(Err(error))) => anyhow::Error::from(error),
                Some(Err(_)) => anyhow::anyhow!("PostgreSQL at {}: no answer in {} s", self.target, ATTEMPT.as_secs()),
            };
            failures += 1;
            self.failed(&error, failures);
            if within_grace(&halt, tokio::time::sleep(pause(failures))).await.is_none() {
                return Reply::GaveUp;
            }
        }
    }

    fn failed(&mut self, error: &anyhow::Error, failures: u32) {
        // A new connection, and nothing taken for granted: the server may have been restored or failed over.
        self.client = None;
        self.known.clear();
        self.report.retried();
        let why = causes::told(error);
        if failures > 1 {
            tracing::warn!(failures, "{why}; trying again, consumption waits");
            self.report.waits(Side::Postgres, Some(why));
        } else {
            tracing::info!("{why}; trying again");
        }
    }

    async fn attempt(&mut self, request: &Request) -> Result<Done, PostgresError> {
        if self.client.as_ref().is_none_or(Client::is_closed) {
            let mut client = connect::connect(&self.target).await?;
            for name in migrate::migrate(&mut client, &self.target).await? {
                tracing::info!(target = %self.target, migration = name, "applied");
            }
            self.client = Some(client);
        }
        let client = self.client.as_mut().expect("connected just now");
        match request {
            Request::Load(_, sources) => Ok(Done::Loaded(offsets::load(client, &self.target, sources).await?)),
            Request::Write(_, batch) => {
                Ok(Done::Written(write(client, &self.target, &mut self.known, &self.statements, batch).await?))
            }
        }
    }
}

enum Done {
    Loaded(BTreeMap<Source, i64>),
    Written(Outcome),
}

/// What `work` gives, or nothing when the grace after the halt is over first.
async fn within_grace<T>(halt: &Halt, work: impl Future<Output = T>) -> Option<T> {
    let over = async {
        while !halt.is_over() {
            tokio::time::sleep(Duration::from_millis(100)).await;
        }
    };
    tokio::select! {
        biased;
        done = work => Some(done),
        () = over => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn pauses_grow_and_end() {
        let millis: Vec<_> = (1..=10).map(|n| pause(n).as_millis()).collect();
        assert_eq!(millis, [0, 100, 200, 400, 800, 1_600, 3_200, 6_400, 10_000, 10_000]);
        assert_eq!(pause(u32::MAX).as_millis(), 10_000);
    }
}
