//! `tickcast detectors`: what the retrain detector does, by simulation.

mod picture;

use std::fs;
use std::path::PathBuf;

use anyhow::Context as _;
use clap::Args;
use indicatif::{ProgressBar, ProgressStyle};
use serde_json::{Value, json};

use crate::flow::trigger::Settings;
use crate::flow::trigger::study::{Case, Fed, Finding, cases, simulate};

/// Simulate the CUSUM that asks for retrains: false alarms while nothing is wrong, delays after the hit rate has fallen.
///
/// Nothing is forecast and no settings are read: hits are drawn from the seed, for a model that is right 55% of the time.
/// Two wrong ways to feed the detector, and a wrong reference, show why it is built as it is.
#[derive(Debug, Args)]
pub struct Detectors {
    /// Everything random follows from this number.
    #[arg(long, default_value_t = 1)]
    seed: u64,
    /// Runs of each simulation.
    #[arg(long, default_value_t = 1_000, value_parser = clap::value_parser!(u32).range(10..=1_000_000))]
    runs: u32,
    /// Cohorts of the reference.
    #[arg(long, default_value_t = Settings::default().baseline_n, value_parser = clap::value_parser!(u32).range(2..=1_000_000))]
    baseline_n: u32,
    /// Cohorts between two false alarms that the threshold is made for; fewer than judge.in_control, so that there are some to
    /// count.
    #[arg(long, default_value_t = 10_000.0, value_parser = in_control)]
    in_control: f64,
    /// Print the figures as one line of JSON.
    #[arg(long)]
    json: bool,
    /// Write the figures as a picture.
    #[arg(long, value_name = "FILE")]
    svg: Option<PathBuf>,
}

fn in_control(text: &str) -> Result<f64, String> {
    match text.parse() {
        Ok(cohorts) if (10.0..=1e12).contains(&cohorts) => Ok(cohorts),
        _ => Err("a number of cohorts between 10 and 1e12 is needed".to_owned()),
    }
}

impl Detectors {
    pub(super) fn run(self) -> anyhow::Result<()> {
        let settings = Settings { baseline_n: self.baseline_n, in_control: self.in_control, ..Settings::default() };
        let cases = cases();
        let total = cases.iter().map(|case| 3 * u64::from(self.runs_of(case))).sum();
        let progress = ProgressBar::new(total)
            .with_style(ProgressStyle::with_template("{spinner} {msg} {wide_bar} {elapsed_precise} (left {eta})")?);
        let mut found = Vec::new();
        for case in cases {
            progress.set_message(case.title.trim_start());
            let finding = simulate(&case, &settings, self.seed, self.runs_of(&case), || progress.inc(1));
            found.push((case, finding));
        }
        progress.finish_and_clear();
        if let Some(path) = &self.svg {
            let note = format!(
                "Hit rate 55%, reference of {} cohorts, one false alarm stated in {} cohorts; seed {}, {} runs.",
                self.baseline_n, self.in_control, self.seed, self.runs
            );
            fs::write(path, picture::draw(&found, 1_000.0 / self.in_control, &note))
                .with_context(|| format!("cannot write the picture {}", path.display()))?;
        }
        if self.json {
            println!("{}", self.json(&found));
        } else {
            self.print(&found);
        }
        Ok(())
    }

    /// Overlapping cohorts take a normal for every symbol and bar: a quarter of the runs is enough, false alarms abound.
    fn runs_of(&self, case: &Case) -> u32 {
        if matches!(case.fed, Fed::EveryBar { .. }) { self.runs.div_ceil(4) } else { self.runs }
    }

    fn print(&self, found: &[(Case, Finding)]) {
        println!("false alarms per 1000 scores; stated {}", 1_000.0 / self.in_control);
        println!("delay in scores to the alarm after a drop: median (theory's mean)\n");
        println!("{:34}{:>12}{:>14}{:>18}{:>18}", "", "first 1000", "first 10,000", "5 points", "20 points");
        let delay = |measured: Option<f64>, expected: Option<f64>| match (measured, expected) {
            (Some(measured), Some(expected)) => format!("{measured} ({expected:.0})"),
            _ => "-".to_owned(),
        };
        for (case, finding) in found {
            println!(
                "{:34}{:>12.3}{:>14.3}{:>18}{:>18}",
                case.title,
                finding.young,
                finding.life,
                delay(finding.delay_5, finding.expected_5),
                delay(finding.delay_20, finding.expected_20)
            );
        }
    }

    fn json(&self, found: &[(Case, Finding)]) -> Value {
        let cases = found.iter().map(|(case, finding)| {
            json!({
                "case": case.name,
                "symbols": case.symbols.count,
                "correlation": case.symbols.correlation,
                "runs": self.runs_of(case),
                "false_alarms_per_1000": finding.young,
                "false_alarms_per_1000_over_10000": finding.life,
                "false_alarms_counted": [finding.alarms.0, finding.alarms.1],
                "delay_5_points": finding.delay_5,
                "delay_5_points_theory": finding.expected_5,
                "delay_20_points": finding.delay_20,
                "delay_20_points_theory": finding.expected_20,
            })
        });
        json!({
            "seed": self.seed,
            "baseline_n": self.baseline_n,
            "in_control": self.in_control,
            "stated_per_1000": 1_000.0 / self.in_control,
            "cases": cases.collect::<Vec<_>>(),
        })
    }
}
