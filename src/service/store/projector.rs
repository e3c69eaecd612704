//! The polling thread: takes records into a batch, hands batches to the writer, follows the group's decisions.

use std::sync::mpsc::{RecvTimeoutError, TryRecvError};
use std::time::{Duration, Instant};

use anyhow::bail;
use rdkafka::consumer::{CommitMode, Consumer as _};
use rdkafka::error::{KafkaError as RdError, RDKafkaErrorCode};
use rdkafka::message::{BorrowedMessage, Message as _};
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::batch::{Added, Content, add};
use super::consumer::{StoreConsumer, record};
use super::locate::{Located, missing, moved};
use super::positions::{Place, Positions};
use super::report::Report;
use super::writer::{GRACE, Reply, Request, Writer};
use crate::config::Store;
use crate::io::kafka::topics::Topics;
use crate::io::postgres::write::{Batch, Outcome};
use crate::service::health::Stop;

/// The longest wait for a record: how late a stop, or the group's decision, may be noticed.
const IDLE: Duration = Duration::from_millis(50);
/// The wait for a record while the writer works: its answer is due.
const BUSY: Duration = Duration::from_millis(5);
/// How long a full batch waits for the writer before consumption is paused, which costs what was fetched ahead.
const PATIENCE: Duration = Duration::from_secs(1);
/// The pause before Kafka is asked again.
pub(super) const RETRY: Duration = Duration::from_secs(1);
/// How often the topics are asked whether they are still the same.
const IDENTITY_CHECK: Duration = Duration::from_secs(30);

/// How far an assignment is taken up.
pub(super) enum Phase {
    /// No assignment.
    Idle,
    /// Kafka is to be asked about the partitions, not before this moment.
    Locating(Instant),
    /// PostgreSQL is asked for their offsets.
    Loading(Vec<Located>),
    /// Records flow.
    Running,
}

/// The polling thread's state.
pub(super) struct Projector<'a> {
    pub(super) topics: &'a Topics,
    pub(super) writer: &'a Writer,
    pub(super) report: &'a Report<'a>,
    stop: &'a Stop,
    max_rows: usize,
    linger: Duration,
    pub(super) filling: Batch,
    spare: Option<Batch>,
    /// When the first record came into `filling`.
    pub(super) opened: Option<Instant>,
    pub(super) positions: Positions,
    pub(super) assignment: Vec<Place>,
    pub(super) phase: Phase,
    /// Counts assignments and reloads; answers for an older one are of no use.
    pub(super) generation: u64,
    pub(super) in_flight: bool,
    next_identity_check: Instant,
    last_complaint: Option<(String, Instant)>,
}

impl<'a> Projector<'a> {
    /// Nothing assigned, nothing held.
    pub fn new(config: &Store, topics: &'a Topics, writer: &'a Writer, report: &'a Report<'a>, stop: &'a Stop) -> Self {
        Self {
            topics,
            writer,
            report,
            stop,
            max_rows: config.batch_rows,
            linger: config.linger.get(),
            filling: Batch::default(),
            spare: Some(Batch::default()),
            opened: None,
            positions: Positions::default(),
            assignment: Vec::new(),
            phase: Phase::Idle,
            generation: 0,
            in_flight: false,
            next_identity_check: Instant::now() + IDENTITY_CHECK,
            last_complaint: None,
        }
    }

    /// Runs until a stop is asked for, then stores what is held and returns.
    ///
    /// # Errors
    /// When another process has taken this one's name, or librdkafka cannot go on.
    pub fn run(&mut self, consumer: &StoreConsumer) -> anyhow::Result<()> {
        while !self.stop.requested() {
            self.step(consumer)?;
            let timeout = match self.opened {
                _ if self.in_flight => BUSY,
                Some(opened) => self.linger.saturating_sub(opened.elapsed()).min(IDLE),
                None => IDLE,
            };
            match consumer.poll(timeout) {
                Some(Ok(message)) => self.take(consumer, &message)?,
                Some(Err(error)) => self.failed(consumer, error)?,
                None => {}
            }
        }
        self.drain(consumer)
    }

    /// Everything but polling.
    fn step(&mut self, consumer: &StoreConsumer) -> anyhow::Result<()> {
        self.report.beat();
        for event in consumer.context().take() {
            self.rebalanced(event);
        }
        match self.writer.replies().try_recv() {
            Ok(reply) => self.answered(consumer, reply)?,
            Err(TryRecvError::Empty) => {}
            Err(TryRecvError::Disconnected) => bail!("the thread that writes to PostgreSQL is gone"),
        }
        match self.phase {
            Phase::Locating(when) if !self.in_flight && Instant::now() >= when => self.locate(consumer)?,
            Phase::Running if Instant::now() >= self.next_identity_check => {
                self.next_identity_check = Instant::now() + IDENTITY_CHECK;
                if let Some(topic) = moved(consumer, &self.positions) {
                    tracing::error!(topic, "the topic was made anew while it was read: starting at its beginning");
                    self.restart(Duration::ZERO);
                }
            }
            _ => {}
        }
        if !self.in_flight && self.opened.is_some_and(|opened| opened.elapsed() >= self.linger) {
            self.send()?;
        }
        Ok(())
    }

    fn answered(&mut self, consumer: &StoreConsumer, reply: Reply) -> anyhow::Result<()> {
        self.in_flight = false;
        match reply {
            Reply::Loaded(generation, offsets) if generation == self.generation => self.begin(consumer, &offsets),
            Reply::Loaded(..) | Reply::GaveUp => Ok(()),
            Reply::Written(generation, outcome, mut batch) => {
                if outcome == Outcome::Stored {
                    self.report.stored(&batch);
                    if generation == self.generation {
                        self.follow(consumer, &batch);
                    }
                } else {
                    self.report.conflict();
                    if generation == self.generation {
                        tracing::info!("the offsets in PostgreSQL are not where the batch begins: reading them again");
                        self.restart(Duration::ZERO);
                    }
                }
                batch.clear();
                self.spare = Some(batch);
                Ok(())
            }
        }
    }

    /// Moves the group's offsets in Kafka, for tools that show lag.
    fn follow(&self, consumer: &StoreConsumer, batch: &Batch) {
        let mut list = TopicPartitionList::new();
        for (source, advance) in &batch.advances {
            let _ = list.add_partition_offset(&source.topic, source.partition, Offset::Offset(advance.to));
        }
        if let Err(error) = consumer.commit(&list, CommitMode::Async) {
            tracing::debug!(%error, "the group's offsets in Kafka do not follow");
        }
    }

    fn take(&mut self, consumer: &StoreConsumer, message: &BorrowedMessage<'_>) -> anyhow::Result<()> {
        let Some(content) = Content::of(self.topics, message.topic()) else { return Ok(()) };
        let (place, offset) = ((content, message.partition()), message.offset());
        let record = record(message, content);
        while self.positions.wants(place, offset) {
            match add(&mut self.filling, content, &record, self.max_rows) {
                Ok(Added::Full) => {
                    if !self.make_room(consumer)? {
                        return Ok(());
                    }
                    continue;
                }
                Ok(Added::Yes) => {}
                Err(error) => {
                    self.report.skipped();
                    let (topic, partition) = (message.topic(), message.partition());
                    tracing::error!(topic, partition, offset, %error, "a record that cannot be stored is skipped");
                }
            }
            self.positions.take(place, offset);
            self.opened.get_or_insert_with(Instant::now);
        }
        Ok(())
    }

    /// Hands the batch to the writer as soon as it is free; `false` when the role is to stop first.
    ///
    /// Waits without polling for a moment, then pauses consumption and polls, so that the member stays in its group.
    fn make_room(&mut self, consumer: &StoreConsumer) -> anyhow::Result<bool> {
        let (began, generation) = (Instant::now(), self.generation);
        let mut paused = None;
        while self.in_flight && !self.stop.requested() {
            self.report.beat();
            match self.writer.replies().recv_timeout(IDLE) {
                Ok(reply) => self.answered(consumer, reply)?,
                Err(RecvTimeoutError::Timeout) => {}
                Err(RecvTimeoutError::Disconnected) => bail!("the thread that writes to PostgreSQL is gone"),
            }
            if self.in_flight && began.elapsed() >= PATIENCE {
                if paused.is_none() {
                    let list = consumer.assignment()?;
                    consumer.pause(&list)?;
                    paused = Some(list);
                }
                match consumer.poll(Duration::ZERO) {
                    // Nothing should come from a paused partition. What comes is not lost: everything is read again.
                    Some(Ok(_)) => self.restart(Duration::ZERO),
                    Some(Err(error)) => self.failed(consumer, error)?,
                    None => {}
                }
                for event in consumer.context().take() {
                    self.rebalanced(event);
                }
            }
        }
        if let Some(list) = paused {
            // Those that are no longer assigned are passed over.
            consumer.resume(&list)?;
        }
        if self.in_flight {
            return Ok(false);
        }
        if generation == self.generation {
            self.send()?;
        }
        Ok(true)
    }

    fn send(&mut self) -> anyhow::Result<()> {
        self.opened = None;
        let advances = self.positions.cut();
        if advances.is_empty() {
            return Ok(());
        }
        let mut batch = std::mem::replace(&mut self.filling, self.spare.take().unwrap_or_default());
        batch.advances = advances;
        self.in_flight = true;
        self.writer.send(Request::Write(self.generation, batch))
    }

    fn failed(&mut self, consumer: &StoreConsumer, error: RdError) -> anyhow::Result<()> {
        match error {
            RdError::MessageConsumptionFatal(RDKafkaErrorCode::FencedInstanceId) => bail!(
                "another process runs with the same kafka.instance and has taken over: give each process a name of its own"
            ),
            RdError::MessageConsumptionFatal(code) => bail!("the consumer cannot go on: {code}"),
            RdError::MessageConsumption(code) => {
                use RDKafkaErrorCode::{AutoOffsetReset, OffsetOutOfRange, UnknownTopicOrPartition};
                let missing = if code == UnknownTopicOrPartition { missing(consumer, self.topics) } else { Vec::new() };
                if !missing.is_empty() {
                    let names: Vec<_> = missing.iter().map(|content| content.topic(self.topics)).collect();
                    self.complain(format!(
                        "Kafka has no {}: run `tickcast topics apply --partitions N`; what is there is stored meanwhile",
                        names.join(", ")
                    ));
                    // Those that were never there take nothing from the others.
                    if !self.assignment.iter().any(|(content, _)| missing.contains(content)) {
                        return Ok(());
                    }
                } else {
                    self.complain(format!("Kafka: {code}"));
                }
                if matches!(code, AutoOffsetReset | OffsetOutOfRange | UnknownTopicOrPartition)
                    && matches!(self.phase, Phase::Running)
                {
                    self.restart(RETRY);
                }
            }
            other => self.complain(format!("Kafka: {other}")),
        }
        Ok(())
    }

    /// Logs a failure that repeats once in a while.
    pub(super) fn complain(&mut self, text: String) {
        let again = self.last_complaint.as_ref().is_none_or(|(last, when)| *last != text || when.elapsed() > GRACE * 6);
        if again {
            tracing::warn!("{text}");
            self.last_complaint = Some((text, Instant::now()));
        }
    }

    /// Stores what is held, within the writer's grace.
    fn drain(&mut self, consumer: &StoreConsumer) -> anyhow::Result<()> {
        self.writer.halt();
        loop {
            if self.in_flight {
                match self.writer.replies().recv_timeout(GRACE * 2) {
                    Ok(Reply::GaveUp) | Err(_) => {
                        tracing::warn!("stopped before PostgreSQL took the last batch: it will be read again");
                        return Ok(());
                    }
                    Ok(reply) => self.answered(consumer, reply)?,
                }
            } else if self.opened.is_some() {
                self.send()?;
            } else {
                return Ok(());
            }
        }
    }
}
