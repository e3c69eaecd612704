//! What a role does with the records of one partition; the lane around it reads, commits and restores.

use std::time::Duration;

use rdkafka::message::BorrowedMessage;

use super::LaneError;
use super::outlet::Outlet;
use crate::io::kafka::history::{History, Stored};
use crate::machine::checkpoint::Checkpoint;

/// What became of a record.
pub enum Applied {
    /// It was dealt with.
    Done,
    /// It was not applied, and nothing more of its partition is read, because of this.
    Pause(String),
}

/// A role's part in its lane. All state of a partition lies in `State`, so that it can be dropped and restored.
pub trait Stage {
    /// The state of one partition.
    type State;

    /// Name of the role: part of the lane's identity and of its metrics.
    fn role(&self) -> &'static str;

    /// The input topic.
    fn input(&self) -> &str;

    /// The topic from which [B, E) of a checkpoint is restored, if the role has one.
    fn history(&self) -> Option<&str>;

    /// Hash of what shapes its outputs, and of where its input lives.
    fn config_hash(&self) -> u64;

    /// What differs from the settings behind a checkpoint with the hash `then`, in words, as far as it can be known.
    fn differs(&self, then: u64) -> String;

    /// Whether outputs of a partition without a committed offset are there. `history` reads [`Stage::history`].
    fn was_here(&self, partition: i32, history: Option<&History>) -> Result<bool, LaneError>;

    /// State of a partition that nobody has read.
    fn start(&mut self, partition: i32) -> Self::State;

    /// State at a checkpoint, before its history is read.
    fn resume(&mut self, partition: i32, checkpoint: &Checkpoint) -> Self::State;

    /// Takes a record of the history.
    fn restore(&mut self, state: &mut Self::State, stored: Stored<'_>) -> Result<(), String>;

    /// The history is read.
    fn restored(&mut self, state: &mut Self::State) -> Result<(), String>;

    /// Takes an input record from before the committed offset again; nothing is sent.
    fn reapply(&mut self, state: &mut Self::State, message: &BorrowedMessage<'_>);

    /// The input before the committed offset is read.
    fn rebuilt(&mut self, state: &mut Self::State);

    /// Applies the next input record.
    fn apply(
        &mut self,
        state: &mut Self::State,
        message: &BorrowedMessage<'_>,
        out: &mut Outlet,
    ) -> Result<Applied, LaneError>;

    /// Does one piece of work that is due; `false` when none is. A commit may follow each.
    fn step(&mut self, partition: i32, state: &mut Self::State, out: &mut Outlet) -> Result<bool, LaneError>;

    /// The queue is empty for the first time since a record came.
    fn rest(&mut self, _state: &mut Self::State) {}

    /// Nothing has come for `elapsed`, and the partition is at its end. Whether work became due.
    fn idle(&mut self, _state: &mut Self::State, _elapsed: Duration) -> bool {
        false
    }

    /// Looks at the world about once a second, and when the queue is empty; `next` is the next record to apply. Whether work
    /// became due.
    fn survey(&mut self, _partition: i32, _state: &mut Self::State, _next: i64) -> Result<bool, LaneError> {
        Ok(false)
    }

    /// Why the partition is not as it should be, though it is read; none when all is well.
    fn complaint(&self, _state: &Self::State) -> Option<String> {
        None
    }

    /// Sends what belongs into the transaction that is about to be committed.
    fn seal(
        &mut self,
        _partition: i32,
        _state: &mut Self::State,
        _next: i64,
        _out: &mut Outlet,
    ) -> Result<(), LaneError> {
        Ok(())
    }

    /// A record that was sent with a tag lies at `offset`.
    fn placed(&mut self, _state: &mut Self::State, _tag: u64, _offset: i64) {}

    /// What to commit with `next`.
    fn checkpoint(&mut self, state: &mut Self::State, next: i64) -> Checkpoint;

    /// The transaction is committed: what was counted holds.
    fn committed(&mut self);

    /// It was aborted.
    fn aborted(&mut self);

    /// A partition's offset was committed: tell its gauges.
    fn tell(&mut self, _partition: i32, _state: &mut Self::State) {}
}
