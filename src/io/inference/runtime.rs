//! The shared library of ONNX Runtime and its process-wide environment.

use std::path::{Path, PathBuf};
use std::sync::OnceLock;

use ort::environment::Environment;

use super::ModelError;

static ENVIRONMENT: OnceLock<Result<Environment, String>> = OnceLock::new();

/// The environment, made on first use.
pub(super) fn environment() -> Result<&'static Environment, ModelError> {
    ENVIRONMENT
        .get_or_init(|| {
            let path = find_library().ok_or_else(|| {
                "ONNX Runtime's shared library was not found: set ORT_DYLIB_PATH to libonnxruntime.so, or put it beside the \
                 program or in ../lib (`make setup build` does)"
                    .to_owned()
            })?;
            let builder = ort::init_from(&path).map_err(|error| format!("{}: {error}", path.display()))?;
            builder.with_telemetry(false).build().map_err(|error| format!("{}: {error}", path.display()))
        })
        .as_ref()
        .map_err(|why| ModelError::Runtime(why.clone()))
}

/// `ORT_DYLIB_PATH`, then beside the program, then `../lib`.
fn find_library() -> Option<PathBuf> {
    if let Some(path) = std::env::var_os("ORT_DYLIB_PATH").filter(|path| !path.is_empty()) {
        return Some(path.into());
    }
    let program = std::env::current_exe().ok()?.canonicalize().ok()?;
    let folder = program.parent()?;
    [Some(folder), folder.parent().map(|up| up.join("lib")).as_deref()].into_iter().flatten().find_map(library_in)
}

fn library_in(folder: &Path) -> Option<PathBuf> {
    let exact = folder.join("libonnxruntime.so");
    if exact.exists() {
        return Some(exact);
    }
    let mut versions: Vec<_> = std::fs::read_dir(folder)
        .ok()?
        .filter_map(|entry| Some(entry.ok()?.path()))
        .filter(|path| path.file_name().is_some_and(|name| name.to_string_lossy().starts_with("libonnxruntime.so.")))
        .collect();
    versions.sort();
    versions.pop()
}
