//! The rules of the house, checked by walking `src/`: layers, purity of the core, size and opening of files.

use std::fs;
use std::path::{Path, PathBuf};

fn sources() -> Vec<(PathBuf, String)> {
    fn walk(folder: &Path, found: &mut Vec<(PathBuf, String)>) {
        for entry in fs::read_dir(folder).unwrap() {
            let path = entry.unwrap().path();
            if path.is_dir() {
                walk(&path, found);
            } else if path.extension().is_some_and(|extension| extension == "rs") {
                let text = fs::read_to_string(&path).unwrap();
                found.push((path, text));
            }
        }
    }
    let mut found = Vec::new();
    walk(&Path::new(env!("CARGO_MANIFEST_DIR")).join("src"), &mut found);
    assert!(found.len() > 50, "the walk found {} files", found.len());
    found
}

fn layer(path: &Path) -> String {
    let inside = path.strip_prefix(Path::new(env!("CARGO_MANIFEST_DIR")).join("src")).unwrap();
    let first = inside.components().next().unwrap().as_os_str().to_string_lossy().into_owned();
    first.trim_end_matches(".rs").to_owned()
}

/// What each layer may not know. Tests inside the files are bound as well.
const FORBIDDEN: [(&str, &[&str]); 4] = [
    ("flow", &["machine", "wire", "io", "service", "api", "config", "telemetry", "cli"]),
    ("machine", &["wire", "io", "service", "api", "config", "telemetry", "cli"]),
    ("wire", &["machine", "io", "service", "api", "config", "telemetry", "cli"]),
    ("io", &["machine", "service", "api", "cli"]),
];

#[test]
fn nobody_imports_upward() {
    for (path, text) in sources() {
        let Some((_, forbidden)) = FORBIDDEN.iter().find(|(name, _)| *name == layer(&path)) else { continue };
        for line in text.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for upper in *forbidden {
                let named = line.contains(&format!("crate::{upper}::")) || line.contains(&format!("crate::{upper};"));
                assert!(!named, "{}: {line}", path.display());
            }
        }
    }
}

#[test]
fn the_core_is_pure() {
    let impure = [
        "async ",
        "SystemTime",
        "Instant",
        "std::env",
        "std::fs",
        "std::net",
        "thread::",
        "rdkafka",
        "tokio",
        "println!",
    ];
    for (path, text) in sources() {
        if !["flow", "machine"].contains(&layer(&path).as_str()) {
            continue;
        }
        let code = text.split("#[cfg(test)]").next().unwrap_or_default();
        for line in code.lines().filter(|line| !line.trim_start().starts_with("//")) {
            for word in impure {
                assert!(!line.contains(word), "{} uses `{word}`: {line}", path.display());
            }
        }
    }
}

#[test]
fn files_are_short_and_say_what_lives_in_them() {
    for (path, text) in sources() {
        let lines = text.lines().count();
        assert!(lines <= 400, "{} has {lines} lines: it hides a second noun", path.display());
        assert!(text.starts_with("//!"), "{} does not say what lives in it", path.display());
    }
}
