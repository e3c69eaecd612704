//! A PostgreSQL that belongs to one test, to be stopped and started at will.

use std::fs;
use std::os::unix::fs::{MetadataExt as _, PermissionsExt as _, chown};

use super::authority::Authority;
use super::deploy;

/// The server; it stops and its data go when this goes out of scope.
pub struct PrivatePostgres {
    folder: tempfile::TempDir,
    port: u16,
}

impl PrivatePostgres {
    /// Starts one; nothing, and a word about it, where PostgreSQL is not installed.
    pub fn start() -> Option<Self> {
        let folder = deploy::folder("postgres");
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

    /// Its port.
    pub fn port(&self) -> u16 {
        self.port
    }

    /// From now on it speaks TLS with a certificate for `host`, and the user `guarded` comes in over TLS with a password only.
    pub fn guard(&self, authority: &Authority, host: &str) {
        let data = self.folder.path().join("postgres/data");
        let (certificate, key) = authority.certificate(host);
        let owner = fs::metadata(&data).expect("its data");
        for (name, text) in [("server.crt", &certificate), ("server.key", &key)] {
            let path = data.join(name);
            fs::write(&path, text).expect("a file");
            fs::set_permissions(&path, fs::Permissions::from_mode(0o600)).expect("permissions");
            chown(&path, Some(owner.uid()), Some(owner.gid())).expect("an owner");
        }
        let settings = data.join("postgresql.conf");
        let text = fs::read_to_string(&settings).expect("settings");
        fs::write(settings, format!("{text}\nssl = on\n")).expect("settings");
        let rules = "hostssl all guarded 127.0.0.1/32 scram-sha-256\nhost all guarded 127.0.0.1/32 reject\n\
                     host all tickcast 127.0.0.1/32 trust\n";
        fs::write(data.join("pg_hba.conf"), rules).expect("rules");
        self.crash();
        self.up();
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

    /// Runs a line of Python with `server`.
    fn tell(&self, line: &str) -> Result<String, String> {
        let script = format!(
            "from servers.postgres import Postgres, program\nserver = Postgres(folder, {{'postgres': {}}})\n{line}",
            self.port
        );
        deploy::python(self.folder.path(), &script)
    }
}

impl Drop for PrivatePostgres {
    fn drop(&mut self) {
        let _ = self.tell("server.stop(); server.wipe()");
    }
}
