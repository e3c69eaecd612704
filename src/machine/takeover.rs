//! How a lane takes up a partition: facts in, decision out. Lost or foreign offsets are refused, not guessed.

use crate::machine::checkpoint::Checkpoint;

/// What is known about one partition when it is assigned.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Facts {
    /// The committed offset and its metadata, if there is one.
    pub committed: Option<(i64, String)>,
    /// First and next offset of the input.
    pub input: (i64, i64),
    /// First and next offset of the history: what a restore reads besides the input.
    pub history: (i64, i64),
    /// Whether outputs are there, though no offset is.
    pub was_here: bool,
    /// Hash of the present configuration, cluster and topic.
    pub config_hash: u64,
}

/// What to do.
#[derive(Clone, Debug, PartialEq, Eq)]
pub enum Takeover {
    /// Nobody was here: commit this offset, the earliest, then read on.
    Start(i64),
    /// Restore the checkpoint that was committed with this offset.
    Resume(i64, Checkpoint),
    /// Stop and say why.
    Refuse(Refusal),
}

/// Why a partition is not taken up.
#[derive(Clone, Debug, PartialEq, Eq, thiserror::Error)]
pub enum Refusal {
    /// Outputs were written, but the group has no offset.
    #[error(
        "the outputs hold records but the group has committed no offset (was it deleted, did it expire, is kafka.group another one?)"
    )]
    NoCommit,
    /// The offset came from another program, or another version of this one.
    #[error("the committed offset {offset} carries no checkpoint: {why}")]
    Foreign {
        /// The offset.
        offset: i64,
        /// What is wrong with its metadata.
        why: String,
    },
    /// Settings that shape outputs have changed, or this is another cluster or topic.
    #[error("the checkpoint was made with other settings, or on another cluster or topic")]
    OtherConfiguration {
        /// The hash it carries.
        hash: u64,
    },
    /// Retention has deleted what a restore needs, or the topic is a new one.
    #[error("the checkpoint needs {what} [{from}, {to}), the topic holds [{low}, {high})")]
    OutOfRange {
        /// The input or the history.
        what: &'static str,
        /// First offset needed.
        from: i64,
        /// End of what is needed.
        to: i64,
        /// First offset there.
        low: i64,
        /// Next offset there.
        high: i64,
    },
}

/// Decides.
pub fn decide(facts: &Facts) -> Takeover {
    match resume(facts) {
        Ok(takeover) => takeover,
        Err(refusal) => Takeover::Refuse(refusal),
    }
}

fn resume(facts: &Facts) -> Result<Takeover, Refusal> {
    let Some((offset, metadata)) = &facts.committed else {
        return if facts.was_here { Err(Refusal::NoCommit) } else { Ok(Takeover::Start(facts.input.0)) };
    };
    let offset = *offset;
    let checkpoint: Checkpoint =
        metadata.parse().map_err(|error| Refusal::Foreign { offset, why: format!("{error}") })?;
    if checkpoint.config_hash != facts.config_hash {
        return Err(Refusal::OtherConfiguration { hash: checkpoint.config_hash });
    }
    within("the input", (checkpoint.resume, offset), facts.input)?;
    within("the history", checkpoint.bars, facts.history)?;
    Ok(Takeover::Resume(offset, checkpoint))
}

fn within(what: &'static str, (from, to): (i64, i64), (low, high): (i64, i64)) -> Result<(), Refusal> {
    // An empty need is met wherever it lies, as long as it does not point past the end.
    if (from >= low || from == to) && from <= to && to <= high {
        Ok(())
    } else {
        Err(Refusal::OutOfRange { what, from, to, low, high })
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn checkpoint() -> Checkpoint {
        Checkpoint { config_hash: 7, closed: Some(1), watermark: Some(2), resume: 10, bars: (5, 9), seen: 0, bad: 0 }
    }

    fn facts() -> Facts {
        Facts {
            committed: Some((20, checkpoint().to_string())),
            input: (0, 100),
            history: (0, 50),
            was_here: true,
            config_hash: 7,
        }
    }

    fn refusal(facts: &Facts) -> Refusal {
        match decide(facts) {
            Takeover::Refuse(refusal) => refusal,
            other => panic!("{other:?}"),
        }
    }

    #[test]
    fn a_first_start_is_the_earliest_tick() {
        let facts = Facts { committed: None, was_here: false, input: (3, 9), ..facts() };
        assert_eq!(decide(&facts), Takeover::Start(3));
    }

    #[test]
    fn a_checkpoint_is_resumed() {
        assert_eq!(decide(&facts()), Takeover::Resume(20, checkpoint()));
    }

    #[test]
    fn lost_or_foreign_offsets_are_refused() {
        assert_eq!(refusal(&Facts { committed: None, ..facts() }), Refusal::NoCommit);
        let foreign = Facts { committed: Some((20, String::new())), ..facts() };
        assert!(matches!(refusal(&foreign), Refusal::Foreign { offset: 20, .. }));
        assert_eq!(refusal(&Facts { config_hash: 8, ..facts() }), Refusal::OtherConfiguration { hash: 7 });
        for changed in [
            Facts { input: (11, 100), ..facts() },
            Facts { input: (0, 19), ..facts() },
            Facts { history: (6, 50), ..facts() },
            Facts { history: (0, 8), ..facts() },
        ] {
            assert!(matches!(refusal(&changed), Refusal::OutOfRange { .. }), "{changed:?}");
        }
    }

    #[test]
    fn retention_up_to_what_is_needed_is_fine() {
        assert!(matches!(decide(&Facts { input: (10, 20), history: (5, 9), ..facts() }), Takeover::Resume(..)));
        let idle = Checkpoint { resume: 20, bars: (9, 9), ..checkpoint() };
        let facts = Facts { committed: Some((20, idle.to_string())), input: (20, 20), history: (9, 9), ..facts() };
        assert!(matches!(decide(&facts), Takeover::Resume(..)));
    }
}
