//! What each topic's settings must be, and what is wrong with those that it has. Pure; asking and altering is [`super::topics`].

use super::topics::Topics;
use crate::flow::time::Interval;

/// A month, in milliseconds: how long bars, outcomes and reports are kept at least.
const MONTH_MS: i64 = 2_592_000_000;
/// Bars in three windows of the reference model, whose 319 bars are those of most: what a restore may need, and room.
const BARS_KEPT: i64 = 3 * 319;
/// A week, in milliseconds.
const WEEK_MS: i64 = 604_800_000;
/// A day, in milliseconds: the longest downtime after which every record is still there to be read.
const DAY_MS: i64 = 86_400_000;
/// An hour, in milliseconds.
const HOUR_MS: i64 = 3_600_000;
/// Kafka's word for no limit.
const UNLIMITED: &str = "-1";

/// Which other values of a setting will do.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Rule {
    /// None.
    Exactly,
    /// Larger ones; -1 is the largest.
    AtLeast,
    /// Smaller ones.
    AtMost,
}

/// One setting of a topic.
#[derive(Clone, Debug, PartialEq, Eq)]
pub struct Setting {
    /// Kafka's name of it.
    pub key: &'static str,
    /// The value that a new topic gets.
    pub value: String,
    /// What a present value is measured by: `value`, or what will do though a new topic gets more.
    bound: String,
    rule: Rule,
    /// What another value would do.
    why: &'static str,
}

impl Setting {
    fn new(key: &'static str, value: impl Into<String>, rule: Rule, why: &'static str) -> Self {
        let value = value.into();
        Self { key, bound: value.clone(), value, rule, why }
    }

    /// The same, where a present value need only reach `bound`.
    fn bound(self, bound: i64) -> Self {
        Self { bound: bound.to_string(), ..self }
    }

    /// Whether `present` will do.
    pub fn allows(&self, present: &str) -> bool {
        let numbers = || Some((present.parse::<f64>().ok()?, self.bound.parse::<f64>().ok()?));
        match self.rule {
            Rule::Exactly => present == self.value,
            Rule::AtLeast => present == UNLIMITED || numbers().is_some_and(|(is, must)| must >= 0.0 && is >= must),
            Rule::AtMost => numbers().is_some_and(|(is, must)| is <= must),
        }
    }

    /// In words, what is wrong with `present` on `topic`.
    pub fn problem(&self, topic: &str, present: &str) -> String {
        let bound = match self.rule {
            Rule::AtLeast => " at least",
            Rule::AtMost => " at most",
            Rule::Exactly => "",
        };
        format!(
            "topic {topic} has {}={present}: {}; it must be {}{bound}, which `tickcast topics apply` sets",
            self.key, self.why, self.bound
        )
    }
}

/// The settings of the topic `name`, one of `topics`, for bars of `interval`.
pub fn settings(topics: &Topics, name: &str, interval: Interval) -> Vec<Setting> {
    let mut settings = vec![Setting::new(
        "message.timestamp.type",
        "LogAppendTime",
        Rule::Exactly,
        "retention would delete replays of old years, and the future guard would mean nothing",
    )];
    if name == topics.accuracy_state {
        settings.extend(compacted());
        return settings;
    }
    settings.push(Setting::new(
        "cleanup.policy",
        "delete",
        Rule::Exactly,
        "every record counts, and compaction would keep one for each key",
    ));
    // For every topic: a limit in bytes deletes what somebody still needs, whatever its age.
    let unbounded = Setting::new(
        "retention.bytes",
        UNLIMITED,
        Rule::AtLeast,
        "a limit in bytes deletes records that nobody has read yet",
    );
    let kept = |ms: i64, rule, why| Setting::new("retention.ms", ms.to_string(), rule, why);
    if name == topics.bars {
        let ms = MONTH_MS.max(BARS_KEPT * interval.micros() / 1_000);
        settings.push(kept(ms, Rule::AtLeast, "windows are restored from it"));
    } else if name == topics.outcomes {
        settings.push(kept(
            MONTH_MS,
            Rule::AtLeast,
            "open cohorts are restored from it, and reports are checked by it",
        ));
    } else if name == topics.accuracy {
        settings.push(kept(MONTH_MS, Rule::AtLeast, "who was away reads the reports that were missed"));
    } else if name == topics.retrain {
        let why = "requests and their ends are kept for ever";
        settings.push(Setting::new("retention.ms", UNLIMITED, Rule::AtLeast, why));
    } else {
        // The open bars are read again after a downtime; long bars need more than the day.
        let least = DAY_MS.max(4 * interval.micros() / 1_000);
        let why = "what was not read yet is lost when a reader was away for longer";
        settings.push(kept(WEEK_MS.max(least), Rule::AtLeast, why).bound(least));
    }
    settings.push(unbounded);
    settings
}

/// What keeps a compacted topic as short as its keys: a restore reads all of it. The segment that is written to is never
/// compacted, so it is small and does not live long; what lies behind it is compacted soon; and the marker that every
/// transaction leaves stays for no longer than a restore may take.
fn compacted() -> [Setting; 5] {
    let why = "a restore would read much that is no longer true";
    [
        Setting::new(
            "cleanup.policy",
            "compact",
            Rule::Exactly,
            "only the newest state of each key counts, and it must stay",
        ),
        Setting::new("segment.bytes", "16777216", Rule::AtMost, why),
        Setting::new("segment.ms", HOUR_MS.to_string(), Rule::AtMost, why),
        Setting::new("min.cleanable.dirty.ratio", "0.1", Rule::AtMost, why),
        Setting::new("delete.retention.ms", "600000", Rule::AtMost, why),
    ]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn of(name: impl Fn(&Topics) -> &String, interval: &str) -> Vec<(&'static str, String)> {
        let topics = Topics::new("");
        let settings = settings(&topics, name(&topics), interval.parse().unwrap());
        settings.into_iter().map(|setting| (setting.key, setting.value)).collect()
    }

    fn retention(name: impl Fn(&Topics) -> &String, interval: &str) -> Option<String> {
        of(name, interval).into_iter().find(|(key, _)| *key == "retention.ms").map(|(_, value)| value)
    }

    #[test]
    fn bars_are_kept_for_three_windows() {
        assert_eq!(retention(|t| &t.bars, "10s").as_deref(), Some("2592000000"));
        assert_eq!(retention(|t| &t.bars, "1h").as_deref(), Some("3445200000"));
        assert_eq!(retention(|t| &t.outcomes, "1h").as_deref(), Some("2592000000"));
        assert_eq!(retention(|t| &t.retrain, "1h").as_deref(), Some("-1"));
        assert_eq!(retention(|t| &t.accuracy_state, "1h"), None);
    }

    #[test]
    fn ticks_outlast_a_day_of_downtime() {
        let topics = Topics::new("");
        let of = |interval: &str, key| {
            let settings = settings(&topics, &topics.ticks, interval.parse().unwrap());
            settings.into_iter().find(|setting| setting.key == key).unwrap()
        };
        let week = of("10s", "retention.ms");
        assert_eq!(week.value, "604800000");
        assert!(week.allows("86400000") && week.allows("-1") && !week.allows("86399999") && !week.allows("5000"));
        assert!(week.problem("ticks", "5000").contains("must be 86400000 at least"));
        assert!(!of("12h", "retention.ms").allows("86400000"));
        assert!(of("10s", "retention.bytes").allows("-1") && !of("10s", "retention.bytes").allows("1000"));
    }

    #[test]
    fn one_topic_is_compacted_and_no_other() {
        let topics = Topics::new("x.");
        for name in topics.all() {
            let settings = settings(&topics, name, "1m".parse().unwrap());
            let policy = settings.iter().find(|setting| setting.key == "cleanup.policy").unwrap();
            let wanted = if name == topics.accuracy_state { "compact" } else { "delete" };
            assert!(policy.allows(wanted) && !policy.allows("compact,delete"), "{name}");
            assert!(settings[0].allows("LogAppendTime") && !settings[0].allows("CreateTime"), "{name}");
        }
    }

    #[test]
    fn longer_than_needed_will_do() {
        let at_least = |value: &str| Setting::new("retention.ms", value, Rule::AtLeast, "");
        assert!(at_least("100").allows("100") && at_least("100").allows("101") && at_least("100").allows("-1"));
        assert!(!at_least("100").allows("99") && !at_least("100").allows("") && !at_least("-1").allows("100"));
        assert!(at_least("-1").allows("-1"));
        let at_most = Setting::new("min.cleanable.dirty.ratio", "0.1", Rule::AtMost, "");
        assert!(at_most.allows("0.1") && at_most.allows("0.05") && !at_most.allows("0.5"));
    }
}
