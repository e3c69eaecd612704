//! A world for black-box tests: topics, a group and a folder of its own, and the program itself in child processes.

use std::fs::{self, File};
use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::path::{Path, PathBuf};
use std::process::{Child, Command, Stdio};
use std::sync::atomic::{AtomicU32, Ordering};
use std::time::{Duration, Instant};

use super::raw::{Log, Read};

/// How long anything may take before a test fails.
pub const PATIENCE: Duration = Duration::from_secs(90);

/// Topics, group and folder that nobody else uses.
pub struct Stage {
    /// Before every topic name.
    pub prefix: String,
    /// The consumer group.
    pub group: String,
    /// Its topics, read and written without the program's help.
    pub log: Log,
    /// Files of this test.
    pub folder: tempfile::TempDir,
    sets: Vec<String>,
    count: AtomicU32,
}

/// What a command left behind.
pub struct Outcome {
    /// The exit code.
    pub code: i32,
    /// Standard output.
    pub out: String,
    /// Standard error.
    pub err: String,
}

impl Stage {
    /// Makes it, with topics of `partitions` and these settings (`key=value`); nothing where Kafka is absent.
    pub fn new(what: &str, partitions: i32, sets: &[&str]) -> Option<Self> {
        super::kafka().map(|brokers| Self::at(&brokers, what, partitions, sets))
    }

    /// The same at `brokers`, which the program may be told to reach in another way.
    pub fn at(brokers: &str, what: &str, partitions: i32, sets: &[&str]) -> Self {
        let group = super::unique(what);
        let prefix = format!("{group}.");
        let mut all = vec![format!("kafka.topic_prefix={prefix}"), format!("kafka.group={group}")];
        all.extend(["http.listen=off", "bars.interval=1s", "bars.idle_timeout=off"].map(str::to_owned));
        all.extend(sets.iter().map(|set| (*set).to_owned()));
        let log = Log::new(brokers, &prefix, &group, partitions);
        let folder = tempfile::tempdir().expect("a folder");
        let stage = Self { prefix, group, log, folder, sets: all, count: AtomicU32::new(0) };
        stage.ok(&["topics", "apply", "--partitions", &partitions.to_string(), "--replication", "1"]);
        stage
    }

    /// A path in the folder.
    pub fn path(&self, name: &str) -> PathBuf {
        self.folder.path().join(name)
    }

    /// Runs a command to its end.
    pub fn call(&self, args: &[&str]) -> Outcome {
        self.call_with(args, &[])
    }

    /// The same; `more` goes behind the other settings.
    pub fn call_with(&self, args: &[&str], more: &[&str]) -> Outcome {
        let mut all: Vec<&str> = args.to_vec();
        let sets = self.sets.iter().map(String::as_str).chain(more.iter().copied());
        sets.for_each(|set| all.extend(["--set", set]));
        call(self.folder.path(), self.count.fetch_add(1, Ordering::Relaxed), &all, &[])
    }

    /// Runs a command that must end well; gives what it printed.
    pub fn ok(&self, args: &[&str]) -> String {
        let outcome = self.call(args);
        assert_eq!(outcome.code, 0, "{args:?}: {}{}", outcome.out, outcome.err);
        outcome.out
    }

    /// Starts the forecast role; `more` goes behind the other settings.
    pub fn run(&self, more: &[&str]) -> Service {
        self.run_as("forecast", more)
    }

    /// Starts these roles (`forecast,verify`).
    pub fn run_as(&self, roles: &str, more: &[&str]) -> Service {
        self.spawn(&["--roles", roles], more)
    }

    /// Starts the forecast role with its HTTP server on every address of this machine.
    pub fn run_for_all(&self) -> Service {
        let address = free_address();
        let mut service = self.run(&[&format!("http.listen=0.0.0.0:{}", address.port())]);
        service.address = address;
        service
    }

    fn spawn(&self, arguments: &[&str], more: &[&str]) -> Service {
        let address = free_address();
        let listen = format!("http.listen={address}");
        let mut command = program();
        command.arg("run").args(arguments);
        for set in self.sets.iter().map(String::as_str).chain([listen.as_str()]).chain(more.iter().copied()) {
            command.args(["--set", set]);
        }
        let path = self.path(&format!("run-{}.log", self.count.fetch_add(1, Ordering::Relaxed)));
        let file = File::create(&path).expect("a log");
        command.stdout(file.try_clone().expect("a log")).stderr(file);
        Service { child: command.spawn().expect("the program"), path, address }
    }

    /// Runs forecast until it has committed everything in `ticks`, then stops it; gives its last metrics.
    pub fn forecast(&self, more: &[&str]) -> String {
        self.forecast_by(self.run(more))
    }

    fn forecast_by(&self, mut service: Service) -> String {
        service.wait("every tick is committed", || self.log.drained());
        let metrics = service.get("/metrics").1;
        service.stop();
        metrics
    }

    /// The same with a file of settings, which `--set` still overrides.
    pub fn forecast_with(&self, file: &Path, more: &[&str]) -> String {
        self.forecast_by(
            self.spawn(&["--roles", "forecast", "--config", file.to_str().expect("a path in UTF-8")], more),
        )
    }

    /// Every committed record of an output topic.
    pub fn read(&self, topic: &str) -> Vec<Read> {
        self.log.read(topic)
    }
}

/// A running `tickcast run`; killed when it goes out of scope.
pub struct Service {
    child: Child,
    path: PathBuf,
    address: SocketAddr,
}

impl Service {
    /// Waits until `holds`; fails when it does not in time, or when the process ends first.
    pub fn wait(&mut self, what: &str, mut holds: impl FnMut() -> bool) {
        let begin = Instant::now();
        while !holds() {
            if let Some(status) = self.child.try_wait().expect("a child") {
                panic!("the process ended ({status}) before: {what}\n{}", self.output());
            }
            assert!(begin.elapsed() < PATIENCE, "not in time: {what}\n{}", self.output());
            std::thread::sleep(Duration::from_millis(20));
        }
    }

    /// Status and body of an HTTP answer; status 0 while nobody listens.
    pub fn get(&self, path: &str) -> (u16, String) {
        http(self.address, path).unwrap_or_default()
    }

    /// The same with a bearer token.
    pub fn get_with(&self, path: &str, token: &str) -> (u16, String) {
        request(self.address, path, &format!("Authorization: Bearer {token}\r\n")).unwrap_or_default()
    }

    /// The first answer there is.
    pub fn first(&self, path: &str) -> (u16, String) {
        let begin = Instant::now();
        loop {
            match self.get(path) {
                (0, _) => assert!(begin.elapsed() < PATIENCE, "nobody listens: {}", self.output()),
                answer => return answer,
            }
            std::thread::sleep(Duration::from_millis(5));
        }
    }

    /// Waits until `/readyz` answers `status` with a text that holds `part`.
    pub fn wait_ready(&mut self, status: u16, part: &str) -> String {
        let address = self.address;
        let mut last = String::new();
        self.wait(&format!("/readyz says {status} {part}"), || {
            let (code, body) = http(address, "/readyz").unwrap_or_default();
            last = body;
            code == status && last.contains(part)
        });
        last
    }

    /// Waits until its `/metrics` are such that `holds`.
    pub fn wait_metrics(&mut self, what: &str, mut holds: impl FnMut(&str) -> bool) {
        let address = self.address;
        self.wait(what, || http(address, "/metrics").is_ok_and(|(code, text)| code == 200 && holds(&text)));
    }

    /// SIGTERM: it must drain and end with 0.
    pub fn stop(mut self) {
        let kill = Command::new("kill").args(["-TERM", &self.child.id().to_string()]).status().expect("kill");
        assert!(kill.success());
        let code = self.end();
        assert_eq!(code, 0, "{}", self.output());
    }

    /// Waits for its end; gives the exit code.
    pub fn end(&mut self) -> i32 {
        end(&mut self.child).unwrap_or_else(|| panic!("it does not end:\n{}", self.output()))
    }

    /// What it has logged.
    pub fn output(&self) -> String {
        fs::read_to_string(&self.path).unwrap_or_default()
    }
}

impl Drop for Service {
    fn drop(&mut self) {
        let _ = self.child.kill();
        let _ = self.child.wait();
    }
}

/// Runs the program with `args` and no settings but the environment's and `env`.
pub fn bare(folder: &Path, args: &[&str], env: &[(&str, &str)]) -> Outcome {
    static COUNT: AtomicU32 = AtomicU32::new(0);
    call(folder, 1_000 + COUNT.fetch_add(1, Ordering::Relaxed), args, env)
}

fn call(folder: &Path, number: u32, args: &[&str], env: &[(&str, &str)]) -> Outcome {
    let file = |kind: &str| folder.join(format!("call-{number}.{kind}"));
    let (out, err) = (File::create(file("out")).expect("a file"), File::create(file("err")).expect("a file"));
    let mut command = program();
    command.args(args).envs(env.iter().copied()).current_dir(folder).stdin(Stdio::null()).stdout(out).stderr(err);
    let mut child = command.spawn().expect("the program");
    let code = end(&mut child);
    let text = |kind| String::from_utf8_lossy(&fs::read(file(kind)).expect("output")).into_owned();
    let outcome = Outcome { code: code.unwrap_or(-1), out: text("out"), err: text("err") };
    assert!(code.is_some(), "{args:?} does not end: {}{}", outcome.out, outcome.err);
    outcome
}

fn program() -> Command {
    Command::new(env!("CARGO_BIN_EXE_tickcast"))
}

/// The exit code, -1 for a signal; kills what does not end in time and gives nothing then.
fn end(child: &mut Child) -> Option<i32> {
    let begin = Instant::now();
    loop {
        if let Some(status) = child.try_wait().expect("a child") {
            return Some(status.code().unwrap_or(-1));
        }
        if begin.elapsed() > PATIENCE {
            let _ = child.kill();
            let _ = child.wait();
            return None;
        }
        std::thread::sleep(Duration::from_millis(10));
    }
}

/// An address that was free a moment ago.
pub fn free_address() -> SocketAddr {
    TcpListener::bind("127.0.0.1:0").and_then(|listener| listener.local_addr()).expect("a free port")
}

fn http(address: SocketAddr, path: &str) -> std::io::Result<(u16, String)> {
    request(address, path, "")
}

fn request(address: SocketAddr, path: &str, headers: &str) -> std::io::Result<(u16, String)> {
    let mut stream = TcpStream::connect_timeout(&address, Duration::from_secs(2))?;
    stream.set_read_timeout(Some(Duration::from_secs(5)))?;
    write!(stream, "GET {path} HTTP/1.1\r\nHost: {address}\r\nConnection: close\r\n{headers}\r\n")?;
    let mut answer = String::new();
    stream.read_to_string(&mut answer)?;
    let (head, body) = answer.split_once("\r\n\r\n").unwrap_or((&answer, ""));
    let code = head.split(' ').nth(1).and_then(|code| code.parse().ok()).unwrap_or(0);
    Ok((code, body.to_owned()))
}

/// The value of one line of `/metrics`, such as `tickcast_ticks_total{result="used"}`; 0 where it is absent.
pub fn metric(metrics: &str, name: &str) -> u64 {
    let line = metrics.lines().find_map(|line| line.strip_prefix(name)?.strip_prefix(' '));
    line.map_or(0, |value| value.parse().expect("a whole number"))
}
