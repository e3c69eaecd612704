//! Partitions that are not taken up: why, and the one command that accepts it.

use std::fmt;

use crate::machine::takeover::Refusal;

/// What a lane was assigned and does not take up.
#[derive(Debug)]
pub struct Refused {
    /// Input topic.
    pub topic: String,
    /// Who refuses it.
    pub role: &'static str,
    /// The partitions, each with what is wrong with it; not empty.
    pub partitions: Vec<(i32, Refusal)>,
    /// Whether that is all there are.
    pub all: bool,
    /// What differs, where a checkpoint was made otherwise.
    pub differs: Option<String>,
}

impl Refused {
    /// The command that accepts what was refused. Where settings have changed no partition can go on, whoever holds it.
    fn remedy(&self) -> String {
        let settings = |refusal: &Refusal| matches!(refusal, Refusal::OtherConfiguration { .. });
        let whole = self.all || self.partitions.iter().any(|(_, refusal)| settings(refusal));
        let only: String = match whole {
            true => String::new(),
            false => self.partitions.iter().map(|(number, _)| format!(" --partition {number}")).collect(),
        };
        format!("tickcast offsets accept --role {}{only}", self.role)
    }
}

impl fmt::Display for Refused {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let mut told: Vec<(String, Vec<i32>)> = Vec::new();
        for (number, refusal) in &self.partitions {
            let mut why = refusal.to_string();
            if let (Refusal::OtherConfiguration { .. }, Some(differs)) = (refusal, &self.differs) {
                why = format!("{why}: {differs}");
            }
            match told.iter_mut().find(|(said, _)| *said == why) {
                Some((_, numbers)) => numbers.push(*number),
                None => told.push((why, vec![*number])),
            }
        }
        for (why, numbers) in told {
            let numbers: Vec<_> = numbers.iter().map(|number| format!("{}/{number}", self.topic)).collect();
            write!(f, "{}: {why}; ", numbers.join(", "))?;
        }
        write!(
            f,
            "stop every process of the role, then `{}`, with the settings that it is to run with, accepts this and starts anew \
             behind what was written",
            self.remedy()
        )
    }
}

impl std::error::Error for Refused {}

#[cfg(test)]
mod tests {
    use super::*;

    fn said(partitions: Vec<(i32, Refusal)>, all: bool) -> String {
        let differs = Some("bars.interval was 1m and is 10s".to_owned());
        Refused { topic: "x.ticks".to_owned(), role: "forecast", partitions, all, differs }.to_string()
    }

    #[test]
    fn one_command_is_named_for_all_that_is_refused() {
        let other = Refusal::OtherConfiguration { hash: 1 };
        let text = said(vec![(0, other.clone()), (2, other)], false);
        assert!(text.starts_with("x.ticks/0, x.ticks/2: the checkpoint was made with other settings"), "{text}");
        assert!(text.contains("bars.interval was 1m and is 10s"), "{text}");
        assert!(text.contains("`tickcast offsets accept --role forecast`"), "no partition is left out: {text}");

        let foreign = Refusal::Foreign { offset: 3, why: "?".to_owned() };
        let text = said(vec![(1, foreign.clone()), (2, Refusal::NoCommit)], false);
        assert!(text.contains("`tickcast offsets accept --role forecast --partition 1 --partition 2`"), "{text}");
        assert!(text.contains("x.ticks/1: ") && text.contains("x.ticks/2: "), "{text}");
        assert!(!said(vec![(0, foreign)], true).contains("--partition"));
    }
}
