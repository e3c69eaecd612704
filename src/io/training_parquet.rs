//! A training set as a Parquet file.

use std::fs::File;
use std::path::{Path, PathBuf};
use std::sync::Arc;

use arrow::array::{ArrayRef, Float32Array, Float64Array, Int64Array, RecordBatch, StringArray};
use arrow::datatypes::{DataType, Field, Schema};
use parquet::arrow::ArrowWriter;
use parquet::basic::Compression;
use parquet::file::metadata::KeyValue;
use parquet::file::properties::WriterProperties;

use crate::flow::symbol::Symbol;
use crate::flow::time::Interval;
use crate::flow::training_set::TrainingRows;

/// Columns that are not features.
const FIXED: [&str; 3] = ["symbol", "close_time", "close"];

/// Why a file could not be written.
#[derive(Debug, thiserror::Error)]
pub enum ParquetError {
    /// A feature would hide another column.
    #[error("a feature may not be called `{0}`: the training set has a column of that name; give it another alias")]
    Name(String),
    /// Writing failed.
    #[error("{path}: {why}")]
    Write {
        /// The file.
        path: PathBuf,
        /// What went wrong.
        why: String,
    },
}

/// What the rows were made with; kept in the file's metadata.
#[derive(Clone, Debug)]
pub struct About {
    /// The feature SQL.
    pub sql: String,
    /// Names of its columns.
    pub features: Vec<String>,
    /// Bars a window.
    pub window: usize,
    /// Length of a bar.
    pub interval: Interval,
    /// Bars ahead.
    pub horizons: Vec<u32>,
}

/// A file that is being written, symbol by symbol. It takes its name when it is whole.
pub struct TrainingFile {
    path: PathBuf,
    partial: PathBuf,
    schema: Arc<Schema>,
    writer: ArrowWriter<File>,
}

impl TrainingFile {
    /// Begins a file at `path`.
    ///
    /// # Errors
    /// When it cannot be made, or a feature has the name of another column.
    pub fn create(path: &Path, about: &About) -> Result<Self, ParquetError> {
        let returns = about.horizons.iter().map(|horizon| format!("return_bps_{horizon}"));
        let taken = |name: &&String| FIXED.contains(&name.as_str()) || name.starts_with("return_bps_");
        if let Some(name) = about.features.iter().find(taken) {
            return Err(ParquetError::Name(name.clone()));
        }
        let mut fields = vec![
            Field::new(FIXED[0], DataType::Utf8, false),
            Field::new(FIXED[1], DataType::Int64, false),
            Field::new(FIXED[2], DataType::Float64, false),
        ];
        fields.extend(about.features.iter().map(|name| Field::new(name, DataType::Float32, false)));
        fields.extend(returns.map(|name| Field::new(name, DataType::Float64, true)));
        let schema = Arc::new(Schema::new(fields));
        let horizons: Vec<_> = about.horizons.iter().map(u32::to_string).collect();
        let metadata = [
            ("tickcast.features", about.sql.clone()),
            ("tickcast.window", about.window.to_string()),
            ("tickcast.interval", about.interval.to_string()),
            ("tickcast.horizons", horizons.join(",")),
        ];
        let metadata = metadata.into_iter().map(|(key, value)| KeyValue::new(key.to_owned(), value)).collect();
        let properties = WriterProperties::builder()
            .set_compression(Compression::SNAPPY)
            .set_key_value_metadata(Some(metadata))
            .build();
        let partial = path.with_added_extension("partial");
        let failed = |why: String| ParquetError::Write { path: partial.clone(), why };
        let file = File::create(&partial).map_err(|error| failed(error.to_string()))?;
        let writer = ArrowWriter::try_new(file, schema.clone(), Some(properties)).map_err(|e| failed(e.to_string()))?;
        Ok(Self { path: path.to_owned(), partial, schema, writer })
    }

    /// Adds the rows of `symbol`; symbols are to be given in order.
    ///
    /// # Errors
    /// When they cannot be written.
    pub fn write(&mut self, symbol: &Symbol, rows: TrainingRows) -> Result<(), ParquetError> {
        let count = rows.close.len();
        let mut columns: Vec<ArrayRef> = vec![
            Arc::new(StringArray::from_iter_values(std::iter::repeat_n(symbol.as_str(), count))),
            Arc::new(Int64Array::from(rows.close_time)),
            Arc::new(Float64Array::from(rows.close)),
        ];
        columns.extend(rows.features.into_iter().map(|column| Arc::new(Float32Array::from(column)) as ArrayRef));
        columns.extend(rows.return_bps.into_iter().map(|column| Arc::new(Float64Array::from(column)) as ArrayRef));
        let written = RecordBatch::try_new(self.schema.clone(), columns)
            .map_err(|error| error.to_string())
            .and_then(|batch| self.writer.write(&batch).map_err(|error| error.to_string()));
        written.map_err(|why| ParquetError::Write { path: self.partial.clone(), why })
    }

    /// Completes the file and gives it its name.
    ///
    /// # Errors
    /// When it cannot be written.
    pub fn finish(self) -> Result<(), ParquetError> {
        let Self { path, partial, writer, .. } = self;
        let closed = writer.close().map_err(|error| error.to_string());
        closed
            .and_then(|_| std::fs::rename(&partial, &path).map_err(|error| error.to_string()))
            .map_err(|why| ParquetError::Write { path, why })
    }
}
