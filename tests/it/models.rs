//! Models that break the contract are refused with what and where: by `model validate`, and in the same words by `run`.

use std::path::Path;
use std::process::Command;

use crate::support::stage::{Stage, bare};

/// A twin of tests/py/break_model.py, and what must be said about it.
const BROKEN: [(&str, &[&str]); 24] = [
    ("no_metadata", &["`tickcast.contract` is missing", "`tickcast.golden` is missing"]),
    ("no_window", &["`tickcast.window` is missing"]),
    ("contract_2", &["`tickcast.contract` is `2`"]),
    ("window_word", &["`tickcast.window`", "`tickcast.sequence`"]),
    ("short_window", &["window"]),
    ("sequence_32", &["input `features` has shape", "[-1, 32, 16] is needed"]),
    ("interval", &["`tickcast.bar_interval`", "7s"]),
    ("horizons", &["horizons [15, 5, 1] must ascend"]),
    ("two_horizons", &["output `probabilities` has shape", "[-1, 2, 3] is needed"]),
    ("reserved", &["`tickcast.min_sequence`", "not built yet"]),
    ("sql_now", &["tickcast.features", "now"]),
    ("sql_join", &["tickcast.features"]),
    ("sql_ddl", &["tickcast.features"]),
    ("sql_name", &["tickcast.features", "clothes"]),
    ("fewer_features", &["[-1, 64, 15] is needed"]),
    ("golden_off", &["tickcast.golden: outputs differ by"]),
    ("golden_rows", &["tickcast.golden"]),
    ("golden_none", &["golden holds no rows"]),
    ("input_name", &["input `features` is missing", "`x` is not part of the contract"]),
    ("output_name", &["output `probabilities` is missing", "`y` is not part of the contract"]),
    ("fixed_batch", &["fixed batch of 1", "dynamic_shapes"]),
    ("quantiles", &["`quantiles` belongs to a part of the contract that is not built yet"]),
    ("unknown_output", &["`attention` is not part of the contract"]),
    ("f64", &["output `probabilities` is", "f32 is needed"]),
];

#[test]
fn broken_models_are_refused() {
    let Some(python) = crate::support::server("TICKCAST_TEST_PYTHON") else { return };
    let folder = tempfile::tempdir().unwrap();
    let root = Path::new(env!("CARGO_MANIFEST_DIR"));
    let reference = root.join("onnx/models/reference.onnx");
    let made = Command::new(python)
        .arg(root.join("tests/py/break_model.py"))
        .args([reference.as_path(), folder.path()])
        .output()
        .unwrap();
    assert!(made.status.success(), "{}", String::from_utf8_lossy(&made.stderr));
    assert_eq!(std::fs::read_dir(folder.path()).unwrap().count(), BROKEN.len());

    let validate = |file: &str| bare(folder.path(), &["model", "validate", file], &[]);
    let good = validate(reference.to_str().unwrap());
    assert_eq!(good.code, 0, "{}", good.err);
    assert!(good.out.contains("keeps the contract") && good.out.contains("reference 1.0.0"), "{}", good.out);
    for (name, parts) in BROKEN {
        let file = format!("{name}.onnx");
        let refused = validate(&file);
        assert_eq!(refused.code, 1, "{name}: {}{}", refused.out, refused.err);
        for part in [file.as_str(), "breaks the contract"].iter().chain(parts) {
            assert!(refused.err.contains(part), "{name}: no `{part}` in: {}", refused.err);
        }
    }
    std::fs::write(folder.path().join("text.onnx"), "not a model").unwrap();
    for (file, part) in [("text.onnx", "not a model that ONNX Runtime can load"), ("absent.onnx", "absent.onnx")] {
        let refused = validate(file);
        assert!(refused.code == 1 && refused.err.contains(part), "{file}: {} {}", refused.code, refused.err);
    }
    run_refuses(folder.path());
}

/// A process does not start with a model that it cannot serve.
fn run_refuses(folder: &Path) {
    let Some(stage) = Stage::new("models", 1, &[]) else { return };
    let path = format!("model.path={}", folder.join("sequence_32.onnx").display());
    for (sets, part) in [
        (vec![path.as_str()], "[-1, 32, 16] is needed"),
        (vec!["model.path=absent.onnx"], "absent.onnx"),
        (vec!["bars.max_fill=256"], "bars.max_fill 256 must be less than its window of 256 bars"),
    ] {
        let mut service = stage.run(&sets);
        assert_eq!(service.end(), 1, "{}", service.output());
        assert!(service.output().contains(part), "{}", service.output());
    }
}
