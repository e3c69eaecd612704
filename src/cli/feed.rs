//! Trades into the ticks topic: what `replay`, `simulate` and `demo` share.

use std::time::{Duration, Instant};

use anyhow::{Context as _, bail};
use serde::Serialize;

use super::pace::{Pace, Speed};
use crate::config::Config;
use crate::flow::market::SentAs;
use crate::flow::time::{EARLIEST, LATEST, Micros};
use crate::io::kafka::feeder::Feeder;
use crate::io::kafka::held;
use crate::io::kafka::topics::Topics;
use crate::service::health::Stop;
use crate::wire::sent_row::SentRow;

/// No wait is longer than this, so that an interruption is seen and deliveries are collected.
const SLICE: Duration = Duration::from_millis(20);

/// What was sent.
#[derive(Clone, Debug, Serialize)]
pub struct Summary {
    /// Trades.
    pub ticks: u64,
    /// Event time of the first, in microseconds.
    pub first_event_time: Option<Micros>,
    /// The largest event time.
    pub last_event_time: Option<Micros>,
    /// What every partition ends with; none when it was interrupted, or when no trade had a time that readers believe.
    pub watermark: Option<Micros>,
    /// Partitions of the topic.
    pub partitions: i32,
    /// How long it took.
    pub seconds: f64,
    /// Trades over seconds.
    pub ticks_per_second: f64,
    /// What was sent besides the trades; only the generator adds to them.
    #[serde(skip)]
    pub extras: Extras,
}

/// Records that a generated market sends besides its trades.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq, Serialize)]
pub struct Extras {
    /// Trades that were sent once more.
    pub duplicates: u64,
    /// Trades of bars that had closed.
    pub late: u64,
    /// Records that cannot be used.
    pub bad: u64,
}

impl Extras {
    /// Counts what was sent; `false` for a trade of the market, which is not one of them.
    pub fn count(&mut self, kind: SentAs) -> bool {
        match kind {
            SentAs::Trade => return false,
            SentAs::Duplicate => self.duplicates += 1,
            SentAs::Late => self.late += 1,
            SentAs::Bad(_) => self.bad += 1,
        }
        true
    }

    /// For people, behind the trades; nothing where there are none.
    pub fn text(&self) -> String {
        if *self == Self::default() {
            return String::new();
        }
        format!("; besides them {} duplicates, {} late trades and {} bad records", self.duplicates, self.late, self.bad)
    }
}

/// Sends trades and, at their end, a watermark to every partition.
pub struct Feed<'a> {
    /// The settings.
    pub config: &'a Config,
    /// How fast.
    pub speed: Speed,
    /// Whether trades wait until the wall clock has reached them.
    pub not_before_event: bool,
    /// Set from outside to end early.
    pub stop: Stop,
}

impl Feed<'_> {
    /// Sends `rows`; `report` is called now and then with how many were sent.
    ///
    /// # Errors
    /// The first error of the rows, or what Kafka refused.
    pub fn run<R: Into<SentRow>, E: std::error::Error + Send + Sync + 'static>(
        self,
        mut rows: impl Iterator<Item = Result<R, E>>,
        mut report: impl FnMut(u64),
    ) -> anyhow::Result<Summary> {
        let mut feeder = Feeder::open(&self.config.kafka, &Topics::new(&self.config.kafka.topic_prefix).ticks)?;
        let mut pace = Pace::new(self.speed, self.not_before_event);
        let (mut payload, mut ticks, begun) = (Vec::with_capacity(256), 0_u64, Instant::now());
        let (mut first, mut last, mut extras) = (None, None, Extras::default());
        let failed = loop {
            let sent: SentRow = match rows.next() {
                None => break None,
                Some(Err(error)) => break Some(error),
                Some(Ok(row)) => row.into(),
            };
            let time = sent.row.event_time;
            if !self.wait(&mut pace, &feeder, time)? {
                break None;
            }
            payload.clear();
            sent.encode(&mut payload);
            feeder.send(&sent.row.symbol, &payload)?;
            if extras.count(sent.kind) {
                continue;
            }
            ticks += 1;
            first = first.or(Some(time));
            // A time that no reader believes must not become the watermark.
            if (EARLIEST..LATEST).contains(&time) {
                last = last.max(Some(time));
            }
            if ticks.is_multiple_of(1_000) {
                report(ticks);
            }
        };
        let end = last.map(|time| self.config.bars.interval.close_of(time));
        let mut watermark = None;
        if let (Some(end), None) = (end, &failed)
            && self.wait(&mut pace, &feeder, end)?
        {
            feeder.send_watermarks(end)?;
            watermark = Some(end);
        }
        let partitions = feeder.partitions();
        feeder.finish()?;
        if let Some(error) = failed {
            return Err(error)
                .with_context(|| format!("{ticks} trades were sent, then reading failed; no watermark was sent"));
        }
        let seconds = begun.elapsed().as_secs_f64();
        let ticks_per_second = (ticks as f64 / seconds.max(1e-6)).round();
        Ok(Summary {
            ticks,
            first_event_time: first,
            last_event_time: last,
            watermark,
            partitions,
            seconds,
            ticks_per_second,
            extras,
        })
    }

    /// Waits until an event at `time` is due; `false` when it was interrupted.
    fn wait(&self, pace: &mut Pace, feeder: &Feeder, time: Micros) -> anyhow::Result<bool> {
        loop {
            if self.stop.requested() {
                return Ok(false);
            }
            let wait = pace.wait(time);
            if wait.is_zero() {
                return Ok(true);
            }
            feeder.poll()?;
            std::thread::sleep(wait.min(SLICE));
        }
    }
}

impl Summary {
    /// Prints it to standard output.
    ///
    /// # Errors
    /// When the feed was interrupted.
    pub fn print(&self, json: bool) -> anyhow::Result<()> {
        let text = if json { serde_json::to_string(self)? } else { self.text() };
        println!("{text}");
        self.completed()
    }

    /// Whether it came to its end.
    ///
    /// # Errors
    /// When the feed was interrupted, or sent no time that can be one.
    pub fn completed(&self) -> anyhow::Result<()> {
        match self.unfinished() {
            Some(why) if self.ticks > 0 => bail!(why),
            _ => Ok(()),
        }
    }

    /// Why there is no watermark.
    fn unfinished(&self) -> Option<String> {
        match (self.watermark, self.last_event_time, self.first_event_time) {
            (Some(_), ..) => None,
            (None, None, Some(first)) => Some(format!(
                "no trade has a time from {} to {}, the first has {first}: times are microseconds since the epoch; the trades were sent, \
                 readers will dead-letter them, and no watermark follows",
                utc(EARLIEST),
                utc(LATEST)
            )),
            (None, ..) => Some("interrupted: no watermark was sent".to_owned()),
        }
    }

    /// For people.
    pub fn text(&self) -> String {
        let time = |time: Option<Micros>| time.map_or_else(|| "-".to_owned(), utc);
        format!(
            "{} trades from {} to {} in {:.1} s ({} a second); {}",
            self.ticks,
            time(self.first_event_time),
            time(self.last_event_time),
            self.seconds,
            self.ticks_per_second,
            self.unfinished().unwrap_or_else(|| format!(
                "watermark {} in {} partitions",
                time(self.watermark),
                self.partitions
            ))
        )
    }
}

/// Refuses trades that begin at `first` where the topic already holds newer ones.
///
/// # Errors
/// The refusal, with both times and the remedy, or what Kafka refused.
pub fn refuse_older(config: &Config, first: Micros) -> anyhow::Result<()> {
    let topic = Topics::new(&config.kafka.topic_prefix).ticks;
    let held = held::look(config, &topic).context("looking for what the topic already holds")?;
    match held.newest {
        Some((newest, partition)) if first < newest => bail!(
            "the first trade is of {}, but {topic} [{partition}] already holds {}: readers would call these trades late. \
             Send them to fresh topics (--set kafka.topic_prefix=NAME. and `tickcast topics apply`), or give --force",
            utc(first),
            utc(newest)
        ),
        _ => Ok(()),
    }
}

/// A time as people read it, in UTC.
pub fn utc(time: Micros) -> String {
    jiff::Timestamp::from_microsecond(time).map_or_else(|_| format!("{time} us"), |time| time.to_string())
}

/// A wish to stop that the first Ctrl-C or SIGTERM makes; a second Ctrl-C ends the process.
pub fn stop_on_signal(runtime: &tokio::runtime::Runtime) -> Stop {
    let stop = Stop::default();
    let stopping = crate::service::run::stop_on_signal(runtime, stop.clone());
    runtime.spawn(async move {
        stopping.await;
        if tokio::signal::ctrl_c().await.is_ok() {
            std::process::exit(130);
        }
    });
    stop
}

#[cfg(test)]
mod tests {
    use super::*;

    fn summary(first: Micros, last: Option<Micros>, watermark: Option<Micros>) -> Summary {
        Summary {
            ticks: 2,
            first_event_time: Some(first),
            last_event_time: last,
            watermark,
            partitions: 3,
            seconds: 1.0,
            ticks_per_second: 2.0,
            extras: Extras::default(),
        }
    }

    #[test]
    fn an_end_without_a_watermark_says_why() {
        let time = EARLIEST + 10;
        assert!(summary(time, Some(time), Some(time)).completed().is_ok());
        let why = |summary: Summary| summary.completed().unwrap_err().to_string();
        assert_eq!(why(summary(time, Some(time), None)), "interrupted: no watermark was sent");
        // Nobody interrupted it: its times cannot be times.
        assert!(why(summary(1, None, None)).contains("the first has 1: times are microseconds"));
    }
}
