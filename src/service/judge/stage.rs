//! Outcomes in cohorts: the judge in its lane.

use std::collections::BTreeMap;
use std::sync::Arc;
use std::time::Instant;

use rdkafka::message::{BorrowedMessage, Message};

use super::quiet::{Look, Quiet};
use super::state::Keys;
use super::waiting::Waiting;
use crate::config::Config;
use crate::flow::time::Micros;
use crate::io::kafka::KafkaError;
use crate::io::kafka::history::{History, Stored};
use crate::io::kafka::topics::Topics;
use crate::machine::checkpoint::Checkpoint;
use crate::machine::judge::{Judge, Judged, Question, Restored, Settings, Verdict};
use crate::service::lane::{Applied, LaneError, Outlet, Stage};
use crate::service::requests::Requests;
use crate::telemetry::metrics::{Metrics, PartitionLabel, ReasonLabel, ResultLabel};
use crate::wire;
use crate::wire::outcome::{Decoded, EvidenceRecord};

/// One partition of outcomes.
pub(super) struct OutcomesState {
    pub judge: Judge,
    /// Items that were read back, until all are.
    restored: Restored,
    pub keys: Keys,
    pub requests: Requests,
    /// Looks at the absent partitions of models, one a model.
    looks: Vec<Look>,
    /// Cohorts that have been waiting, and since when.
    waiting: Waiting,
}

/// The stage of the judge role.
pub(super) struct Outcomes {
    pub config: Arc<Config>,
    pub topics: Topics,
    pub config_hash: u64,
    pub settings: Settings,
    pub metrics: Arc<Metrics>,
    pub quiet: Quiet,
    pub judged: Vec<Judged>,
    pub buffer: Vec<u8>,
    /// Results of the running transaction.
    pub counts: BTreeMap<&'static str, u64>,
}

impl Outcomes {
    /// Counts a record that was not used; our own topics hold none unless somebody else writes to them.
    fn skip(&self, message: &BorrowedMessage<'_>, reason: &'static str, why: &str) {
        let count = self.metrics.judge_skipped.get_or_create(&ReasonLabel { reason }).inc() + 1;
        // The first, the second, the fourth: a flood is told, and does not flood the log.
        if !count.is_power_of_two() {
            return;
        }
        let (partition, offset) = (message.partition(), message.offset());
        tracing::warn!(count, topic = self.topics.outcomes, partition, offset, reason, why, "outcome skipped");
    }

    /// Begins a look at what `question` asks about, or goes on with it.
    fn look(
        &self,
        partition: i32,
        state: &mut OutcomesState,
        question: Question,
        next: i64,
        due: &mut bool,
    ) -> Result<(), KafkaError> {
        let place = match state.looks.iter().position(|look| look.question.model == question.model) {
            Some(place) => place,
            None => {
                state.looks.push(self.quiet.begin(question)?);
                state.looks.len() - 1
            }
        };
        if self.quiet.advance(&mut state.looks[place], partition, next)? {
            let look = state.looks.swap_remove(place);
            state.judge.answer(&look.question);
            *due = true;
        }
        Ok(())
    }

    /// The oldest cohort of each model that waits for somebody: for a participant, or to know about those that are absent.
    fn waits(judge: &Judge) -> Vec<(Arc<str>, Micros, String)> {
        let behind = judge.waits_for().into_iter().map(|(model, target, behind)| {
            let why =
                format!("the cohort of {model} with target {target} waits for partitions {behind:?} of predictions");
            (model, target, why)
        });
        let absent = judge.questions().into_iter().map(|question| {
            let Question { model, first, absent, .. } = question;
            let why = format!(
                "the cohort of {model} with target {first} waits: partitions {absent:?} of ticks or predictions are not worked \
                 off, or have not come as far"
            );
            (model, first, why)
        });
        behind.chain(absent).collect()
    }
}

impl Stage for Outcomes {
    type State = OutcomesState;

    fn role(&self) -> &'static str {
        "judge"
    }

    fn input(&self) -> &str {
        &self.topics.outcomes
    }

    fn history(&self) -> Option<&str> {
        Some(&self.topics.accuracy_state)
    }

    fn config_hash(&self) -> u64 {
        self.config_hash
    }

    fn differs(&self, _: u64) -> String {
        format!("it is not of {} as it is now; no setting matters here", self.topics.outcomes)
    }

    fn was_here(&self, partition: i32, history: Option<&History>) -> Result<bool, LaneError> {
        Ok(history.map_or(Ok(false), |state| state.has_records(partition))?)
    }

    fn start(&mut self, _: i32) -> OutcomesState {
        OutcomesState {
            judge: Judge::new(self.settings.clone()),
            restored: Restored::default(),
            keys: Keys::default(),
            requests: Requests::default(),
            looks: Vec::new(),
            waiting: Waiting::default(),
        }
    }

    fn resume(&mut self, partition: i32, checkpoint: &Checkpoint) -> OutcomesState {
        let mut state = self.start(partition);
        state.keys.begin_at(checkpoint.bars.1);
        state
    }

    fn restore(&mut self, state: &mut OutcomesState, stored: Stored<'_>) -> Result<(), String> {
        let Some(value) = stored.value else {
            let key = stored.key.and_then(|key| std::str::from_utf8(key).ok()).unwrap_or_default();
            state.restored.forget(key);
            state.keys.forget(key);
            return Ok(());
        };
        let item = wire::judge_state::decode(value).map_err(|error| error.to_string())?;
        state.keys.found(item.key(), stored.offset);
        state.restored.take(item);
        Ok(())
    }

    fn restored(&mut self, state: &mut OutcomesState) -> Result<(), String> {
        let (judge, problems) = Judge::restore(self.settings.clone(), std::mem::take(&mut state.restored));
        for problem in problems {
            tracing::warn!(problem, "judge");
        }
        state.judge = judge;
        Ok(())
    }

    fn reapply(&mut self, state: &mut OutcomesState, message: &BorrowedMessage<'_>) {
        if let Ok(Decoded::Outcome(record)) =
            wire::outcome::decode::<EvidenceRecord<'_>>(message.payload().unwrap_or_default())
            && let Ok(evidence) = record.evidence()
        {
            state.judge.reapply(message.offset(), &evidence);
        }
    }

    fn rebuilt(&mut self, state: &mut OutcomesState) {
        state.judge.rebuilt();
    }

    fn apply(
        &mut self,
        state: &mut OutcomesState,
        message: &BorrowedMessage<'_>,
        _: &mut Outlet,
    ) -> Result<Applied, LaneError> {
        let record = match wire::outcome::decode::<EvidenceRecord<'_>>(message.payload().unwrap_or_default()) {
            Ok(Decoded::Outcome(record)) => record,
            Ok(Decoded::Progress(record)) => {
                state.judge.progress(&record.passage());
                return Ok(Applied::Done);
            }
            Ok(Decoded::Left(record)) => {
                state.judge.left(&record.passage());
                return Ok(Applied::Done);
            }
            Err(error) => {
                self.skip(message, "malformed", &error.to_string());
                return Ok(Applied::Done);
            }
        };
        let evidence = match record.evidence() {
            Ok(evidence) => evidence,
            Err(error) => {
                self.skip(message, "malformed", &error.to_string());
                return Ok(Applied::Done);
            }
        };
        match state.judge.apply(message.offset(), &evidence) {
            Verdict::Used => {}
            Verdict::Late => self.skip(message, "late", "its cohort is closed"),
            Verdict::BadSymbol => self.skip(message, "bad_symbol", "not a symbol"),
            Verdict::Full => {
                return Ok(Applied::Pause(format!(
                    "{} outcomes wait for their cohorts at offset {} ({}): see that every partition of predictions is settled, \
                     or raise judge.max_open_rows",
                    state.judge.open_rows(),
                    message.offset(),
                    state.waiting.why().unwrap_or("nobody is behind")
                )));
            }
        }
        Ok(Applied::Done)
    }

    fn step(&mut self, partition: i32, state: &mut OutcomesState, out: &mut Outlet) -> Result<bool, LaneError> {
        self.judged.clear();
        if !state.judge.close(&mut self.judged) {
            return Ok(false);
        }
        self.emit(partition, state, out)?;
        Ok(true)
    }

    fn survey(&mut self, partition: i32, state: &mut OutcomesState, next: i64) -> Result<bool, LaneError> {
        state.waiting.note(Self::waits(&state.judge), Instant::now());
        let questions = state.judge.questions();
        state.looks.retain(|look| questions.iter().any(|question| question.model == look.question.model));
        let mut due = false;
        for question in questions {
            if let Err(error) = self.look(partition, state, question, next, &mut due) {
                tracing::warn!(%error, "the absent partitions are looked at again");
            }
        }
        Ok(due)
    }

    fn complaint(&self, state: &OutcomesState) -> Option<String> {
        state.waiting.complaint(self.config.forecast.watchdog_timeout.get(), Instant::now())
    }

    fn seal(
        &mut self,
        partition: i32,
        state: &mut OutcomesState,
        next: i64,
        out: &mut Outlet,
    ) -> Result<(), LaneError> {
        self.write_state(partition, state, next, out)
    }

    fn placed(&mut self, state: &mut OutcomesState, tag: u64, offset: i64) {
        state.keys.placed(tag, offset);
    }

    fn checkpoint(&mut self, state: &mut OutcomesState, next: i64) -> Checkpoint {
        Checkpoint {
            config_hash: self.config_hash,
            closed: None,
            watermark: None,
            resume: state.judge.resume(next),
            bars: state.keys.range(),
            seen: 0,
            bad: 0,
        }
    }

    fn committed(&mut self) {
        for (result, count) in std::mem::take(&mut self.counts) {
            self.metrics.judged.get_or_create(&ResultLabel { result }).inc_by(count);
        }
    }

    fn aborted(&mut self) {
        self.counts.clear();
    }

    fn tell(&mut self, partition: i32, state: &mut OutcomesState) {
        state.requests.committed();
        let label = PartitionLabel { role: "judge", partition };
        self.metrics.pending.get_or_create(&label).set(i64::try_from(state.judge.open_rows()).unwrap_or(i64::MAX));
    }
}
