//! From an assignment to flowing records: what Kafka holds, what PostgreSQL has stored, where to begin.

use std::collections::BTreeMap;
use std::time::{Duration, Instant};

use anyhow::Context as _;
use rdkafka::consumer::Consumer as _;
use rdkafka::topic_partition_list::{Offset, TopicPartitionList};

use super::batch::Content;
use super::consumer::{Event, StoreConsumer};
use super::locate::locate;
use super::positions::{Start, start};
use super::projector::{Phase, Projector, RETRY};
use super::report::Side;
use super::writer::Request;
use crate::io::postgres::offsets::Source;

impl Projector<'_> {
    /// Takes note of the group's decision.
    pub(super) fn rebalanced(&mut self, event: Event) {
        self.assignment = match event {
            Event::Assigned(list) => {
                list.into_iter().filter_map(|(topic, n)| Some((Content::of(self.topics, &topic)?, n))).collect()
            }
            Event::Revoked => Vec::new(),
        };
        tracing::info!(partitions = self.assignment.len(), "assigned");
        self.restart(Duration::ZERO);
    }

    /// Drops what is not handed over, and reads the offsets anew after `delay`.
    pub(super) fn restart(&mut self, delay: Duration) {
        self.generation += 1;
        self.filling.clear();
        self.opened = None;
        self.positions.clear();
        self.report.waits(Side::Kafka, Some("the offsets of the assigned partitions are not known yet".to_owned()));
        self.phase = if self.assignment.is_empty() { Phase::Idle } else { Phase::Locating(Instant::now() + delay) };
    }

    /// Asks Kafka about the partitions, then PostgreSQL for their offsets.
    pub(super) fn locate(&mut self, consumer: &StoreConsumer) -> anyhow::Result<()> {
        match locate(consumer, self.topics, &self.assignment) {
            Ok(located) => {
                let starts: BTreeMap<_, _> = located.iter().map(|at| (at.source.clone(), at.low)).collect();
                self.phase = Phase::Loading(located);
                self.in_flight = true;
                self.writer.send(Request::Load(self.generation, starts))
            }
            Err(error) => {
                self.complain(error.to_string());
                self.report.waits(Side::Kafka, Some(error.to_string()));
                self.phase = Phase::Locating(Instant::now() + RETRY);
                Ok(())
            }
        }
    }

    /// Fetches from where PostgreSQL says.
    pub(super) fn begin(&mut self, consumer: &StoreConsumer, offsets: &BTreeMap<Source, i64>) -> anyhow::Result<()> {
        let Phase::Loading(located) = std::mem::replace(&mut self.phase, Phase::Running) else { return Ok(()) };
        let (mut list, mut stuck) = (TopicPartitionList::new(), None);
        for at in located {
            let (topic, partition) = (&at.source.topic, at.source.partition);
            let Some(stored) = offsets.get(&at.source).copied() else {
                self.complain(format!("{topic}/{partition} has no row in sink_offsets, which was made just now"));
                self.restart(RETRY);
                return Ok(());
            };
            let from = match start(stored, at.low, at.high) {
                Start::At(offset) => offset,
                Start::Lost(due, low) => {
                    tracing::error!(
                        topic,
                        partition,
                        due,
                        low,
                        "retention was faster than the store: records from `due` to `low` are gone and cannot be stored; give \
                         the topic a longer retention.ms. Going on at `low`"
                    );
                    low
                }
                Start::Beyond(due) => {
                    let problem = format!(
                        "{topic}/{partition} ends at {}, but is stored up to {due}: it has lost records. Restore the topic, or \
                         accept the loss: UPDATE sink_offsets SET next_offset = {} WHERE topic = '{topic}' AND partition = \
                         {partition} AND identity = '{}'",
                        at.high, at.high, at.source.identity
                    );
                    tracing::error!("{problem}");
                    stuck = Some(problem);
                    continue;
                }
            };
            list.add_partition_offset(topic, partition, Offset::Offset(from))?;
            self.positions.insert(at.place, at.source, stored, from);
        }
        consumer.assign(&list).context("assigning the partitions at the offsets of PostgreSQL")?;
        self.report.waits(Side::Kafka, stuck);
        Ok(())
    }
}
