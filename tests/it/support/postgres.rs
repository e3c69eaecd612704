//! A PostgreSQL that belongs to one test, to be stopped and started at will.

use std::path::Path;
use std::process::Command;

/// The server; it stops and its data go when this goes out of scope.
pub struct PrivatePostgres {
    folder: tempfile::TempDir,
    port: u16,
}

impl PrivatePostgres {
    /// Starts one; nothing, and a word about it, where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        // Under /var/tmp, where the user that PostgreSQL runs as may enter.
        let folder = tempfile::Builder::new().prefix("tickcast-postgres.").tempdir_in("/var/tmp").expect("a folder");
        let open = std::os::unix::fs::PermissionsExt::from_mode(0o755);
        std::fs::set_permissions(folder.path(), open).expect("permissions");
        let port = std::net::TcpListener::bind("127.0.0.1:0").and_then(|s| s.local_addr()).expect("a free port").port();
        let server = Self { folder, port };
        if let Err(why) = server.tell("program('initdb')") {
            eprintln!("SKIPPED: {why}");
            return None;
        }
        server.up();
        Some(server)
    }

    /// Where its database is.
    pub fn url(&self) -> String {
        format!("postgres://tickcast@127.0.0.1:{}/tickcast", self.port)
    }

    /// Starts it again.
    pub fn up(&self) {
        self.tell("server.begin(); server.finish()").expect("a server that starts");
    }

    /// Stops it as a crash does: no clean shutdown, and the next start recovers from the log.
    pub fn crash(&self) {
        self.tell("server.stop_signals = (signal.SIGQUIT, signal.SIGKILL); server.stop()")
            .expect("a server that stops");
    }

    /// Runs a line of Python beside the server's definition in `deploy/servers`.
    fn tell(&self, line: &str) -> Result<(), String> {
        let deploy = Path::new(env!("CARGO_MANIFEST_DIR")).join("deploy");
        let script = format!(
            "import pathlib, signal, sys\nsys.dont_write_bytecode = True\nsys.path.insert(0, sys.argv[1])\n\
             from servers.postgres import Postgres, program\n\
             server = Postgres(pathlib.Path(sys.argv[2]), {{'postgres': {}}})\n{line}\n",
            self.port
        );
        let output = Command::new("python3")
            .args(["-c", &script])
            .args([&deploy, self.folder.path()])
            .output()
            .map_err(|error| format!("python3: {error}"))?;
        let said = String::from_utf8_lossy(&output.stderr);
        if output.status.success() { Ok(()) } else { Err(said.lines().last().unwrap_or_default().to_owned()) }
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        let _ = self.tell("server.stop(); server.wipe()");
    }
}
