//! A model file: loaded, checked against the contract and its golden outputs, then asked batch by batch.

use std::collections::BTreeMap;
use std::path::Path;

use ort::session::Session;
use ort::value::{Outlet, TensorElementType, TensorRef, ValueType};

use super::runtime::environment;
use crate::flow::features::FeatureSet;
use crate::flow::model::{CLASSES, GOLDEN_TOLERANCE, ModelSpec, ScoreError, Scorer};
use crate::wire;

/// The reference model, trained on the project's own generated market: `onnx/models/reference.md`.
const REFERENCE: &[u8] = include_bytes!("../../../onnx/models/reference.onnx");

/// A larger file is not a model for live scoring.
const MAX_FILE_BYTES: u64 = 512 * 1024 * 1024;

/// A model that cannot be served.
#[derive(Debug, thiserror::Error)]
pub enum ModelError {
    /// ONNX Runtime itself is missing or broken.
    #[error("{0}")]
    Runtime(String),
    /// The file cannot be read.
    #[error("model {path}: {source}")]
    File {
        /// The file.
        path: String,
        /// Why.
        source: std::io::Error,
    },
    /// It breaks the contract: everything found.
    #[error("model {path} breaks the contract:\n  - {}", .problems.join("\n  - "))]
    Contract {
        /// The file.
        path: String,
        /// What and where.
        problems: Vec<String>,
    },
}

/// A loaded model with its input buffer.
pub struct Model {
    session: Session,
    spec: ModelSpec,
    width: usize,
    input: Vec<f32>,
    output: Vec<f32>,
}

/// Loads the file at `path`, or the reference model when it is empty, with `intra_threads` threads.
///
/// # Errors
/// When it cannot be read, breaks the contract, or does not give its golden outputs.
pub fn load(path: &Path, intra_threads: usize) -> Result<Model, ModelError> {
    if path.as_os_str().is_empty() {
        return reference(intra_threads);
    }
    let name = path.display().to_string();
    let file = |source| ModelError::File { path: name.clone(), source };
    let size = std::fs::metadata(path).map_err(file)?.len();
    if size > MAX_FILE_BYTES {
        let problems = vec![format!("the file has {size} bytes; at most {MAX_FILE_BYTES} are taken")];
        return Err(ModelError::Contract { path: name, problems });
    }
    let bytes = std::fs::read(path).map_err(file)?;
    from_bytes(&name, &bytes, intra_threads)
}

/// Loads the reference model built into the program.
///
/// # Errors
/// When ONNX Runtime is missing.
pub fn reference(intra_threads: usize) -> Result<Model, ModelError> {
    from_bytes("(reference)", REFERENCE, intra_threads)
}

fn from_bytes(path: &str, bytes: &[u8], intra_threads: usize) -> Result<Model, ModelError> {
    let refuse = |problems: Vec<String>| ModelError::Contract { path: path.to_owned(), problems };
    let session = open(bytes, intra_threads).map_err(|error| match error {
        Open::Runtime(error) => error,
        Open::File(why) => refuse(vec![format!("not a model that ONNX Runtime can load: {why}")]),
    })?;
    let metadata =
        read_metadata(&session).map_err(|error| refuse(vec![format!("metadata cannot be read: {error}")]))?;
    let spec = wire::model::decode(&metadata).map_err(refuse)?;
    let features =
        FeatureSet::plan(&spec.features).map_err(|error| refuse(vec![format!("tickcast.features: {error}")]))?;
    let mut problems = Vec::new();
    if let Err(error) = features.check_window(spec.window) {
        problems.push(format!("tickcast.features: {error}"));
    }
    let width = features.names().len();
    check_tensors(&session, &spec, width, &mut problems);
    check_golden_size(&spec, width, &mut problems);
    if !problems.is_empty() {
        return Err(refuse(problems));
    }
    let mut model = Model { session, spec, width, input: Vec::new(), output: Vec::new() };
    model.check_golden().map_err(|problem| refuse(vec![problem]))?;
    Ok(model)
}

enum Open {
    Runtime(ModelError),
    File(String),
}

fn open(bytes: &[u8], intra_threads: usize) -> Result<Session, Open> {
    let environment = environment().map_err(Open::Runtime)?;
    let file = |error: ort::Error| Open::File(error.to_string());
    let builder = Session::builder(environment).map_err(file)?;
    let builder = builder.with_intra_threads(intra_threads).map_err(|error| Open::File(error.to_string()))?;
    let builder = builder.with_inter_threads(1).map_err(|error| Open::File(error.to_string()))?;
    // A spinning pool would take the core that Kafka's own threads need.
    let mut builder = builder.with_intra_op_spinning(false).map_err(|error| Open::File(error.to_string()))?;
    builder.commit_from_memory(bytes).map_err(file)
}

fn read_metadata(session: &Session) -> ort::Result<BTreeMap<String, String>> {
    let metadata = session.metadata()?;
    let keys = metadata.custom_keys()?;
    Ok(keys.into_iter().filter_map(|key| metadata.custom(&key).map(|value| (key, value))).collect())
}

fn check_tensors(session: &Session, spec: &ModelSpec, width: usize, problems: &mut Vec<String>) {
    let size = |n: usize| i64::try_from(n).unwrap_or(i64::MAX);
    check_tensor("input", "features", session.inputs(), [-1, size(spec.sequence), size(width)], problems);
    let output = [-1, size(spec.horizons.len()), size(CLASSES)];
    check_tensor("output", "probabilities", session.outputs(), output, problems);
    let optional = ["mask", "symbol_id", "expected_return_bps", "quantiles"];
    for outlet in session.inputs().iter().chain(session.outputs()) {
        let name = outlet.name();
        if optional.contains(&name) {
            problems
                .push(format!("`{name}` belongs to a part of the contract that is not built yet: export without it"));
        } else if !["features", "probabilities"].contains(&name) {
            problems.push(format!(
                "`{name}` is not part of the contract: the input is `features`, the output `probabilities`"
            ));
        }
    }
}

fn check_tensor(kind: &str, name: &str, outlets: &[Outlet], expected: [i64; 3], problems: &mut Vec<String>) {
    let Some(outlet) = outlets.iter().find(|outlet| outlet.name() == name) else {
        problems.push(format!("{kind} `{name}` is missing"));
        return;
    };
    match outlet.dtype() {
        ValueType::Tensor { ty: TensorElementType::Float32, shape, .. } => {
            let dims: Vec<i64> = shape.iter().copied().collect();
            let fits = dims.len() == 3 && dims.iter().zip(expected).skip(1).all(|(&d, e)| d == e || d == -1);
            if !fits {
                problems.push(format!("{kind} `{name}` has shape {dims:?}; {expected:?} is needed (-1: any batch)"));
            } else if dims[0] != -1 {
                problems.push(format!(
                    "{kind} `{name}` has a fixed batch of {}: export with dynamic_shapes={{\"features\": {{0: \"batch\"}}}}",
                    dims[0]
                ));
            }
        }
        other => problems.push(format!("{kind} `{name}` is {other}; a tensor of f32 is needed")),
    }
}

fn check_golden_size(spec: &ModelSpec, width: usize, problems: &mut Vec<String>) {
    let (rows, golden) = (spec.golden.rows, &spec.golden);
    let input = rows.saturating_mul(spec.sequence).saturating_mul(width);
    let output = rows.saturating_mul(spec.horizons.len()).saturating_mul(CLASSES);
    if golden.features.len() != input {
        problems.push(format!("tickcast.golden: {} input values, {input} are needed", golden.features.len()));
    }
    if golden.probabilities.len() != output {
        problems.push(format!("tickcast.golden: {} output values, {output} are needed", golden.probabilities.len()));
    }
}

impl Model {
    /// Names of its features, and how many.
    pub fn width(&self) -> usize {
        self.width
    }

    /// Runs the golden inputs, as one batch and one by one: a model exported for one batch size fails here, not at night.
    fn check_golden(&mut self) -> Result<(), String> {
        let golden = self.spec.golden.clone();
        let row_in = self.spec.sequence * self.width;
        let row_out = self.spec.horizons.len() * CLASSES;
        let mut batches = vec![(0, golden.rows)];
        batches.extend((0..golden.rows).map(|row| (row, 1)));
        for (first, rows) in batches {
            self.input(rows).copy_from_slice(&golden.features[first * row_in..(first + rows) * row_in]);
            let output = self.run(rows).map_err(|error| format!("tickcast.golden: {error}"))?;
            let expected = &golden.probabilities[first * row_out..(first + rows) * row_out];
            let worst = output.iter().zip(expected).map(|(a, b)| (a - b).abs()).fold(0.0, f32::max);
            if worst > GOLDEN_TOLERANCE || output.iter().any(|value| value.is_nan()) {
                return Err(format!(
                    "tickcast.golden: outputs differ by {worst:e} from those in the file (batch of {rows}); {GOLDEN_TOLERANCE:e} is allowed"
                ));
            }
        }
        Ok(())
    }

    fn try_run(&mut self, rows: usize) -> Result<(), String> {
        let size = rows * self.spec.sequence * self.width;
        let wanted = rows * self.spec.horizons.len() * CLASSES;
        let text = |error: ort::Error| error.to_string();
        let shape = [rows, self.spec.sequence, self.width];
        let tensor = TensorRef::from_array_view((shape, &self.input[..size])).map_err(text)?;
        let outputs = self.session.run(ort::inputs!["features" => tensor]).map_err(text)?;
        let (_, values) = outputs["probabilities"].try_extract_tensor::<f32>().map_err(text)?;
        if values.len() != wanted {
            return Err(format!("{} output values where {wanted} are needed", values.len()));
        }
        self.output.clear();
        self.output.extend_from_slice(values);
        Ok(())
    }
}

impl Scorer for Model {
    fn spec(&self) -> &ModelSpec {
        &self.spec
    }

    fn input(&mut self, rows: usize) -> &mut [f32] {
        let size = rows * self.spec.sequence * self.width;
        if self.input.len() < size {
            self.input.resize(size, 0.0);
        }
        &mut self.input[..size]
    }

    fn run(&mut self, rows: usize) -> Result<&[f32], ScoreError> {
        self.try_run(rows).map_err(|why| ScoreError {
            model: format!("{} {}", self.spec.name, self.spec.version),
            rows,
            why,
        })?;
        Ok(&self.output)
    }
}
