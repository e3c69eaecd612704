//! Servers that belong to one test, by their definitions in `deploy/servers`.

use std::path::Path;
use std::process::Command;

/// A folder for one, where the user that PostgreSQL runs as may enter.
pub fn folder(what: &str) -> tempfile::TempDir {
    let folder =
        tempfile::Builder::new().prefix(&format!("tickcast-{what}.")).tempdir_in("/var/tmp").expect("a folder");
    let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
    std::fs::set_permissions(folder.path(), open).expect("permissions");
    folder
}

/// Runs `script` in Python beside `deploy/servers`, `folder` being a path; gives what it prints, or why it failed.
pub fn python(folder: &Path, script: &str) -> Result<String, String> {
    let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
    let script = format!(
        "import pathlib, signal, sys\nsys.dont_write_bytecode = True\nsys.path.insert(0, sys.argv[1])\n\
         folder = pathlib.Path(sys.argv[2])\n{script}\n"
    );
    let output = Command::new("python3")
        .args(["-c", &script])
        .args([&deploy, folder])
        .output()
        .map_err(|error| format!("python3: {error}"))?;
    let said = String::from_utf8_lossy(&output.stderr);
    if output.status.success() {
        Ok(String::from_utf8_lossy(&output.stdout).trim().to_owned())
    } else {
        Err(said.trim().to_owned())
    }
}
