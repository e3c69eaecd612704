//! ONNX Runtime: finding its library, loading models that keep the contract, scoring.

mod model;
mod runtime;

pub use model::{Model, ModelError, load, reference};
