//! Predictions and outcomes as Parquet files: a column for each field of the record on the topic, but `kind` and `produced_at`.
//!
//! Times are 64-bit integers, microseconds since the epoch, as on the topics. The same rows give the same bytes.

use std::fs::File;
use std::path::Path;
use std::sync::Arc;

use arrow::array::{
    ArrayRef, BooleanArray, Float32Array, Float64Array, Int64Array, ListBuilder, RecordBatch, StringArray,
    StringBuilder, UInt32Array,
};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::properties::WriterProperties;

use super::partial::Partial;
use super::training_parquet::ParquetError;
use crate::flow::outcome::{Outcome, Settlement};
use crate::flow::prediction::Prediction;

/// Rows that are turned into columns at once.
const BATCH: usize = 8_192;
/// Rows of a row group: the writer holds as many.
const GROUP: usize = 131_072;

/// What has a row in a file.
pub trait Rows: Sized {
    /// Columns of `rows`: name, values, and whether there may be none.
    fn columns(rows: &[Self]) -> Vec<(&'static str, ArrayRef, bool)>;
}

/// A file that is being written. It takes its name when it is whole.
pub struct RowsFile<T: Rows> {
    partial: Partial,
    rows: Vec<T>,
    writer: ArrowWriter<File>,
    written: u64,
}

impl<T: Rows> RowsFile<T> {
    /// Begins a file at `path`.
    ///
    /// # Errors
    /// When it cannot be made.
    pub fn create(path: &Path) -> Result<Self, ParquetError> {
        let failed = |why: String| ParquetError::Write { path: path.to_owned(), why };
        let (partial, file) = Partial::create(path).map_err(|error| failed(error.to_string()))?;
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_max_row_group_row_count(Some(GROUP))
            .build();
        let schema = batch::<T>(&[]).map_err(failed)?.schema();
        let writer = ArrowWriter::try_new(file, schema, Some(properties)).map_err(|error| failed(error.to_string()))?;
        Ok(Self { partial, rows: Vec::with_capacity(BATCH), writer, written: 0 })
    }

    /// Rows so far.
    pub fn len(&self) -> u64 {
        self.written + self.rows.len() as u64
    }

    /// Whether there is no row yet.
    pub fn is_empty(&self) -> bool {
        self.len() == 0
    }

    /// Adds a row.
    ///
    /// # Errors
    /// When rows cannot be written.
    pub fn push(&mut self, row: T) -> Result<(), ParquetError> {
        self.rows.push(row);
        if self.rows.len() < BATCH { Ok(()) } else { self.flush() }
    }

    fn flush(&mut self) -> Result<(), ParquetError> {
        let written = batch(&self.rows).and_then(|batch| self.writer.write(&batch).map_err(|error| error.to_string()));
        written.map_err(|why| ParquetError::Write { path: self.partial.path().to_owned(), why })?;
        self.written += self.rows.len() as u64;
        self.rows.clear();
        Ok(())
    }

    /// Completes the file and gives it its name; gives the number of rows.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(mut self) -> Result<u64, ParquetError> {
        self.flush()?;
        let Self { partial, writer, written, .. } = self;
        let path = partial.path().to_owned();
        let closed = writer.close().map_err(|error| error.to_string());
        closed
            .and_then(|_| partial.finish().map_err(|error| error.to_string()))
            .map_err(|why| ParquetError::Write { path, why })?;
        Ok(written)
    }
}

fn batch<T: Rows>(rows: &[T]) -> Result<RecordBatch, String> {
    RecordBatch::try_from_iter_with_nullable(T::columns(rows)).map_err(|error| error.to_string())
}

fn texts<'a>(values: impl Iterator<Item = &'a str>) -> ArrayRef {
    Arc::new(StringArray::from_iter_values(values))
}

fn maybe_texts<'a>(values: impl Iterator<Item = Option<&'a str>>) -> ArrayRef {
    Arc::new(StringArray::from_iter(values))
}

fn integers(values: impl Iterator<Item = i64>) -> ArrayRef {
    Arc::new(Int64Array::from_iter_values(values))
}

fn reals(values: impl Iterator<Item = Option<f64>>) -> ArrayRef {
    Arc::new(Float64Array::from_iter(values))
}

fn floats(values: impl Iterator<Item = Option<f32>>) -> ArrayRef {
    Arc::new(Float32Array::from_iter(values))
}

fn booleans(values: impl Iterator<Item = Option<bool>>) -> ArrayRef {
    Arc::new(BooleanArray::from_iter(values))
}

impl Rows for Outcome {
    fn columns(rows: &[Self]) -> Vec<(&'static str, ArrayRef, bool)> {
        let all = || rows.iter();
        let settled =
            |of: fn(&Settlement) -> Option<f64>| reals(all().map(|o| o.settlement.as_ref().ok().and_then(of)));
        let intervals: Vec<String> = all().map(|o| o.interval.to_string()).collect();
        vec![
            ("prediction_id", texts(all().map(|o| &*o.prediction_id)), false),
            ("symbol", texts(all().map(|o| o.symbol.as_str())), false),
            ("interval", texts(intervals.iter().map(String::as_str)), false),
            ("horizon", Arc::new(UInt32Array::from_iter_values(all().map(|o| o.horizon))), false),
            ("as_of", integers(all().map(|o| o.as_of)), false),
            ("target_time", integers(all().map(|o| o.target_time)), false),
            ("model", texts(all().map(|o| &*o.model)), false),
            ("model_version", texts(all().map(|o| &*o.model_version)), false),
            ("role", texts(all().map(|o| o.role.as_str())), false),
            ("p_down", floats(all().map(|o| Some(o.probabilities.down))), false),
            ("p_flat", floats(all().map(|o| Some(o.probabilities.flat))), false),
            ("p_up", floats(all().map(|o| Some(o.probabilities.up))), false),
            ("decision", texts(all().map(|o| o.decision.as_str())), false),
            ("reference_price", reals(all().map(|o| Some(o.reference_price))), false),
            ("dead_band_bps", reals(all().map(|o| Some(o.dead_band_bps))), false),
            ("fee_bps", reals(all().map(|o| Some(o.fee_bps))), false),
            ("prior_return_bps", reals(all().map(|o| o.prior_return_bps)), true),
            ("entry_price", settled(|s| s.entry_price), true),
            ("target_price", settled(|s| Some(s.target_price)), true),
            ("realised_return_bps", settled(|s| Some(s.realised_return_bps)), true),
            ("realised", maybe_texts(all().map(|o| o.settlement.as_ref().ok().map(|s| s.realised.as_str()))), true),
            ("hit", booleans(all().map(|o| o.settlement.as_ref().ok().and_then(|s| s.hit))), true),
            ("log_loss", settled(|s| s.log_loss), true),
            ("brier", settled(|s| s.brier), true),
            ("pnl_bps", settled(|s| s.pnl_bps), true),
            ("unscorable", maybe_texts(all().map(|o| o.settlement.as_ref().err().map(|why| why.as_str()))), true),
        ]
    }
}

impl Rows for Prediction {
    fn columns(rows: &[Self]) -> Vec<(&'static str, ArrayRef, bool)> {
        let all = || rows.iter();
        let intervals: Vec<String> = all().map(|p| p.interval.to_string()).collect();
        let mut reasons = ListBuilder::new(StringBuilder::new());
        for prediction in rows {
            prediction.abstain_reasons.iter().for_each(|reason| reasons.values().append_value(reason.as_str()));
            reasons.append(true);
        }
        vec![
            ("prediction_id", texts(all().map(|p| &*p.prediction_id)), false),
            ("symbol", texts(all().map(|p| p.symbol.as_str())), false),
            ("interval", texts(intervals.iter().map(String::as_str)), false),
            ("horizon", Arc::new(UInt32Array::from_iter_values(all().map(|p| p.horizon))), false),
            ("as_of", integers(all().map(|p| p.as_of)), false),
            ("target_time", integers(all().map(|p| p.target_time)), false),
            ("valid_until", integers(all().map(|p| p.valid_until)), false),
            ("sequence", integers(all().map(|p| p.sequence)), false),
            ("reference_price", reals(all().map(|p| Some(p.reference.price))), false),
            ("reference_vwap", reals(all().map(|p| Some(p.reference.vwap))), false),
            ("reference_complete", booleans(all().map(|p| Some(p.reference.complete))), false),
            ("reference_synthetic", booleans(all().map(|p| Some(p.reference.synthetic))), false),
            ("dead_band_bps", reals(all().map(|p| Some(p.dead_band_bps))), false),
            ("p_down", floats(all().map(|p| p.probabilities.map(|p| p.down))), true),
            ("p_flat", floats(all().map(|p| p.probabilities.map(|p| p.flat))), true),
            ("p_up", floats(all().map(|p| p.probabilities.map(|p| p.up))), true),
            ("decision", texts(all().map(|p| p.decision.as_str())), false),
            ("abstain_reasons", Arc::new(reasons.finish()), false),
            ("model", texts(all().map(|p| &*p.model)), false),
            ("model_version", texts(all().map(|p| &*p.model_version)), false),
            ("role", texts(all().map(|p| p.role.as_str())), false),
            ("feature_digest", maybe_texts(all().map(|p| p.feature_digest.as_deref())), true),
            ("max_event_time", integers(all().map(|p| p.max_event_time)), false),
        ]
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::outcome::{Prices, Unscorable, settle};
    use crate::flow::prediction::{Decision, Probabilities, Role};
    use crate::flow::symbol::Symbol;
    use parquet::arrow::arrow_reader::ParquetRecordBatchReaderBuilder;

    fn an_outcome(number: i64, settled: bool) -> Outcome {
        let p = Probabilities { down: 0.1, flat: 0.2, up: 0.7 };
        let prices = Prices { reference: 100.0, entry: Some(100.5), target: 101.0 };
        Outcome {
            prediction_id: number.to_string().into(),
            symbol: Symbol::new("A").unwrap(),
            interval: "10s".parse().unwrap(),
            horizon: 5,
            as_of: number,
            target_time: number + 5,
            model: "m".into(),
            model_version: "1".into(),
            role: Role::Champion,
            probabilities: p,
            decision: Decision::Up,
            reference_price: 100.0,
            dead_band_bps: 0.0,
            fee_bps: 10.0,
            prior_return_bps: None,
            settlement: if settled { Ok(settle(p, Decision::Up, 0.0, 10.0, prices)) } else { Err(Unscorable::Missing) },
        }
    }

    fn write(path: &Path, count: i64) -> Vec<u8> {
        let mut file = RowsFile::create(path).unwrap();
        (0..count).for_each(|n| file.push(an_outcome(n, n % 3 > 0)).unwrap());
        assert_eq!(file.finish().unwrap(), u64::try_from(count).unwrap());
        std::fs::read(path).unwrap()
    }

    #[test]
    fn rows_come_back_and_the_same_rows_are_the_same_bytes() {
        let folder = tempfile::tempdir().unwrap();
        let count = i64::try_from(BATCH).unwrap() + 5;
        assert_eq!(write(&folder.path().join("a"), count), write(&folder.path().join("b"), count));
        let file = File::open(folder.path().join("a")).unwrap();
        let reader = ParquetRecordBatchReaderBuilder::try_new(file).unwrap().with_batch_size(1 << 20).build().unwrap();
        let batches: Vec<_> = reader.map(Result::unwrap).collect();
        let rows: Vec<Outcome> = (0..count).map(|n| an_outcome(n, n % 3 > 0)).collect();
        assert_eq!(arrow::compute::concat_batches(&batches[0].schema(), &batches).unwrap(), batch(&rows).unwrap());
        assert!(!folder.path().join("a.partial").exists());
    }

    #[test]
    fn what_cannot_be_written_is_named() {
        let folder = tempfile::tempdir().unwrap();
        let error = RowsFile::<Outcome>::create(&folder.path().join("absent/a")).err().unwrap();
        assert!(error.to_string().contains("absent/a"), "{error}");
    }
}
