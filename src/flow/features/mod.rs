//! A feature set: one deterministic SQL `SELECT` over the view `window`, one output column a feature, one row an input row.
//!
//! [`FeatureSet::plan`] parses, checks, plans and compiles it once; [`FeatureSet::evaluate`] runs once per closing cycle
//! over all symbols that close together, on the caller's thread. The same set over the same view with overlapping rows gives
//! the rows that a restore and a training set need.
//!
//! [`functions`] holds the SQL functions, `check` what a feature set may not contain, `plan` the way from text to
//! expressions, `program` a faster way to compute most of them. Not here: the arithmetic ([`super::indicator`]) and the view ([`super::window`]).

mod check;
pub mod functions;
mod plan;
mod program;

use arrow::array::{Array, ArrayRef, AsArray, Float64Array, RecordBatch};
use arrow::compute::cast;
use arrow::datatypes::{DataType, Float64Type};
use datafusion_common::DataFusionError;
use std::sync::Arc;

use super::window;
pub use check::Reach;

/// Why a feature set cannot be used.
#[derive(Debug, thiserror::Error)]
pub enum FeatureError {
    /// The SQL asks for something that a feature set may not contain.
    #[error("feature SQL refused: `{part}` {why}; {remedy}")]
    Refused {
        /// The offending part of the SQL.
        part: String,
        /// What is wrong with it.
        why: String,
        /// What to write instead.
        remedy: String,
    },
    /// The SQL is malformed, or names what does not exist.
    #[error("feature SQL cannot be planned: {0}")]
    Plan(String),
    /// The window is too short for the SQL.
    #[error(
        "feature SQL needs {needed} bars for `{part}`, the window holds {window}: use a larger window or a shorter period"
    )]
    Window {
        /// The function call.
        part: String,
        /// Bars it needs.
        needed: usize,
        /// Bars there are.
        window: usize,
    },
    /// The batch given is not a window view, or no row of it can be computed.
    #[error("features cannot be computed: {0}")]
    Evaluate(String),
}

/// A planned feature set.
#[derive(Debug)]
pub struct FeatureSet {
    sql: String,
    names: Vec<String>,
    reach: Option<Reach>,
    plan: plan::Compiled,
}

impl FeatureSet {
    /// Parses, checks and plans `sql`: a few milliseconds, once.
    ///
    /// # Errors
    /// When it is not one plain `SELECT` of named numbers over `window`; the message names the part and the remedy.
    pub fn plan(sql: &str) -> Result<Self, FeatureError> {
        let plan = plan::compile(sql)?;
        Ok(Self { sql: sql.to_owned(), names: plan.names(), reach: plan.reach(), plan })
    }

    /// The features' names, in order.
    pub fn names(&self) -> &[String] {
        &self.names
    }

    /// The text it was planned from.
    pub fn sql(&self) -> &str {
        &self.sql
    }

    /// The function call that looks furthest back, and how many bars it needs. `None` where no function is called.
    pub fn reach(&self) -> Option<&Reach> {
        self.reach.as_ref()
    }

    /// Checks that a window of so many bars is enough for every function.
    ///
    /// # Errors
    /// Names the call that needs more: its feature would never be anything but NaN.
    pub fn check_window(&self, window: usize) -> Result<(), FeatureError> {
        match &self.reach {
            Some(Reach { call, bars }) if *bars > window => {
                Err(FeatureError::Window { part: call.clone(), needed: *bars, window })
            }
            _ => Ok(()),
        }
    }

    /// Computes the features of a batch of [`window::schema`]: a Float64 array a feature, a value a row, never null. What has
    /// no finite value (too few bars, NULL, infinity) is NaN. A row that fails (a division of integers by zero, say) is NaN
    /// in every feature; its neighbours are not touched.
    ///
    /// # Errors
    /// When the batch is not a window view.
    pub fn evaluate(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, FeatureError> {
        let schema = window::schema();
        if !Arc::ptr_eq(batch.schema_ref(), &schema) && *batch.schema_ref() != schema {
            return Err(FeatureError::Evaluate("the batch has not the columns of the view `window`".into()));
        }
        if let Some(program) = self.plan.program() {
            let mut columns = vec![Vec::with_capacity(batch.num_rows()); self.names.len()];
            program.run(batch, &mut columns);
            return Ok(arrays(columns));
        }
        self.evaluate_plan(batch)
    }

    fn evaluate_plan(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, FeatureError> {
        match self.try_evaluate(batch) {
            Ok(features) => Ok(features),
            Err(_) if batch.num_rows() > 0 => self.evaluate_rows(batch),
            Err(error) => Err(FeatureError::Evaluate(error.to_string())),
        }
    }

    fn try_evaluate(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, DataFusionError> {
        let mut columns = vec![Vec::with_capacity(batch.num_rows()); self.names.len()];
        self.plan.run(batch, |arrays| {
            columns.iter_mut().zip(arrays).try_for_each(|(column, array)| extend(column, array))
        })?;
        Ok(arrays(columns))
    }

    /// Row by row, for a batch that holds a row that fails.
    fn evaluate_rows(&self, batch: &RecordBatch) -> Result<Vec<ArrayRef>, FeatureError> {
        let mut columns = vec![Vec::with_capacity(batch.num_rows()); self.names.len()];
        for i in 0..batch.num_rows() {
            let row = self.try_evaluate(&batch.slice(i, 1));
            for (j, column) in columns.iter_mut().enumerate() {
                column.push(row.as_ref().map_or(f64::NAN, |row| row[j].as_primitive::<Float64Type>().value(0)));
            }
        }
        Ok(arrays(columns))
    }
}

fn arrays(columns: Vec<Vec<f64>>) -> Vec<ArrayRef> {
    columns.into_iter().map(|column| Arc::new(Float64Array::from(column)) as ArrayRef).collect()
}

/// The number, or NaN where there is none.
fn finite(value: f64) -> f64 {
    if value.is_finite() { value } else { f64::NAN }
}

/// Adds the values of `array` as Float64 without nulls, NaN for what is not finite.
fn extend(column: &mut Vec<f64>, array: &ArrayRef) -> Result<(), DataFusionError> {
    let array = if array.data_type() == &DataType::Float64 { array.clone() } else { cast(array, &DataType::Float64)? };
    let values = array.as_primitive::<Float64Type>();
    if values.null_count() == 0 {
        column.extend(values.values().iter().map(|value| finite(*value)));
    } else {
        column.extend(values.iter().map(|value| value.map_or(f64::NAN, finite)));
    }
    Ok(())
}

#[cfg(test)]
mod tests;
