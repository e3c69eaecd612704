//! `tickcast retrain`: asks for a retrain by hand, or says how a request ended.

use anyhow::Context as _;
use clap::{Args, ValueEnum};
use serde::Serialize;

use crate::config::Config;
use crate::flow::retrain::request_id;
use crate::io::clock;
use crate::service::requests::{self, End, Manual};

/// Request a retrain of a model, or close a request.
///
/// The request is a CloudEvent on the `retrain` topic, as the judge's own are. While one is open for the model, whoever made
/// it, no other is made: its id is printed instead.
#[derive(Debug, Args)]
pub struct Retrain {
    /// Name of the model.
    #[arg(long, value_parser = text::<64>)]
    model: String,
    /// Why, in words; whoever answers the request reads it.
    #[arg(long, value_parser = text::<1_000>)]
    reason: String,
    /// Who asks; the user's name by default.
    #[arg(long, env = "USER", default_value = "unknown", value_parser = text::<128>)]
    by: String,
    /// Close the request with this id instead of making one.
    #[arg(long, value_name = "ID", requires = "result")]
    close: Option<String>,
    /// How the closed request ended.
    #[arg(long, requires = "close")]
    result: Option<Result>,
    /// Print the outcome as one line of JSON.
    #[arg(long)]
    json: bool,
}

/// How a request ended.
#[derive(Clone, Copy, Debug, ValueEnum)]
enum Result {
    /// Its challenger is the champion now.
    Promoted,
    /// Its challenger was no better: the judge waits twice as long before it asks again.
    Rejected,
    /// It gave no challenger, or nobody wants it any more.
    Cancelled,
}

/// A text of 1 to `MAX` bytes.
fn text<const MAX: usize>(given: &str) -> std::result::Result<String, String> {
    let text = given.trim();
    if (1..=MAX).contains(&text.len()) { Ok(text.to_owned()) } else { Err(format!("write 1 to {MAX} bytes")) }
}

#[derive(Serialize)]
struct Summary<'a> {
    request_id: &'a str,
    model: &'a str,
    /// requested, open (it was requested before) or closed.
    outcome: &'a str,
}

impl Retrain {
    pub(super) fn run(self, config: &Config) -> anyhow::Result<()> {
        let now = clock::now();
        let (id, outcome) = match (&self.close, self.result) {
            (Some(id), Some(result)) => {
                let result = match result {
                    Result::Promoted => "promoted",
                    Result::Rejected => "rejected",
                    Result::Cancelled => "cancelled",
                };
                let end = End { id, model: &self.model, result, by: &self.by, reason: &self.reason, at: now };
                requests::close(config, &end).with_context(|| format!("closing request {id}"))?;
                (id.clone(), "closed")
            }
            _ => {
                let id = request_id(&["manual", &self.model, &self.by, &self.reason, &now.to_string()]);
                let manual = Manual { id: &id, model: &self.model, by: &self.by, reason: &self.reason, at: now };
                match requests::request(config, &manual).with_context(|| format!("model {}", self.model))? {
                    Some(open) => (open, "open"),
                    None => (id, "requested"),
                }
            }
        };
        if self.json {
            println!("{}", serde_json::to_string(&Summary { request_id: &id, model: &self.model, outcome })?);
        } else {
            match outcome {
                "open" => println!("a retrain of {} was requested before and is open: {id}", self.model),
                _ => println!("{outcome}: {id}"),
            }
        }
        Ok(())
    }
}
