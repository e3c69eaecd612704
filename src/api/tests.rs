//! The server on a socket: who gets an answer, and what becomes of those who ask for too much or too slowly.

use std::io::{Read as _, Write as _};
use std::net::{SocketAddr, TcpStream};
use std::time::Duration;

use super::*;

const TOKENS: &str = "grafana:read:0123456789abcdef,ops:operate:fedcba9876543210";

struct World {
    address: SocketAddr,
    metrics: Arc<Metrics>,
    health: Health,
    _runtime: tokio::runtime::Runtime,
}

fn serve_with(tokens: &str, limits: Limits) -> World {
    let runtime = tokio::runtime::Builder::new_multi_thread().worker_threads(1).enable_all().build().unwrap();
    let listener = runtime.block_on(tokio::net::TcpListener::bind("127.0.0.1:0")).unwrap();
    let address = listener.local_addr().unwrap();
    let access = Access::new(tokens::parse(&tokens.to_owned().into()).unwrap());
    let metrics = Arc::new(Metrics::default());
    let health = Health::default();
    let shared = Shared { metrics: Arc::clone(&metrics), health: health.clone(), access, limits };
    runtime.spawn(server::serve(listener, router(shared), limits));
    World { address, metrics, health, _runtime: runtime }
}

impl World {
    /// Sends `text` and gives all that comes back until the server closes the connection.
    fn say(&self, text: &str) -> String {
        let mut stream = TcpStream::connect(self.address).unwrap();
        stream.set_read_timeout(Some(Duration::from_secs(60))).unwrap();
        stream.write_all(text.as_bytes()).unwrap();
        let mut answer = Vec::new();
        match stream.read_to_end(&mut answer) {
            // It may close while something that it will not read is on its way.
            Err(error) if error.kind() != std::io::ErrorKind::ConnectionReset => panic!("not closed: {error}"),
            _ => String::from_utf8(answer).unwrap(),
        }
    }

    fn get(&self, path: &str, authorization: &str) -> String {
        self.say(&format!("GET {path} HTTP/1.1\r\nHost: x\r\nConnection: close\r\n{authorization}\r\n"))
    }

    fn refused(&self, reason: &'static str) -> u64 {
        self.metrics.http_refused.get_or_create(&ReasonLabel { reason }).get()
    }
}

#[test]
fn metrics_need_a_token_and_probes_do_not() {
    let world = serve_with(TOKENS, LIMITS);
    for path in ["/livez", "/readyz"] {
        assert!(world.get(path, "").starts_with("HTTP/1.1 200 "));
    }
    let none = world.get("/metrics", "");
    assert!(
        none.starts_with("HTTP/1.1 401 ") && none.contains("www-authenticate: Bearer realm=\"tickcast\"\r\n"),
        "{none}"
    );
    let wrong = world.get("/metrics", "Authorization: Bearer 0123456789abcdeF\r\n");
    assert!(wrong.starts_with("HTTP/1.1 401 ") && wrong.contains("error=\"invalid_token\""), "{wrong}");
    let other = world.get("/metrics", "Authorization: Bearer fedcba9876543210\r\n");
    assert!(other.starts_with("HTTP/1.1 403 ") && other.contains("scope=\"read\""), "{other}");
    let right = world.get("/metrics", "Authorization: Bearer 0123456789abcdef\r\n");
    assert!(
        right.starts_with("HTTP/1.1 200 ") && right.contains("tickcast_http_refused_total{reason=\"scope\"} 1"),
        "{right}"
    );
    assert_eq!(["no_token", "unknown_token", "scope"].map(|reason| world.refused(reason)), [1, 1, 1]);
    assert!(world.get("/nowhere", "").starts_with("HTTP/1.1 404 "));

    let open = serve_with("", LIMITS);
    assert!(open.get("/metrics", "").starts_with("HTTP/1.1 200 "));
}

#[test]
fn what_is_too_large_or_too_slow_is_cut_off() {
    let world = serve_with("", Limits { head: Duration::from_millis(50), connections: 2, ..LIMITS });
    let large = world.say("GET /livez HTTP/1.1\r\nHost: x\r\nContent-Length: 65537\r\nConnection: close\r\n\r\n");
    assert!(large.starts_with("HTTP/1.1 413 ") && world.refused("too_large") == 1, "{large}");
    let head = world.say(&format!("GET /livez HTTP/1.1\r\nHost: x\r\nX: {}\r\n\r\n", "x".repeat(100_000)));
    assert!(head.is_empty() || head.starts_with("HTTP/1.1 431 "), "{head}");

    // Each of these waits until the server closes: the head never ends, nothing is asked, or nothing more is asked.
    for slow in ["GET /livez HTTP/1.1\r\nHost:", "", "GET /livez HTTP/1.1\r\nHost: x\r\n\r\n"] {
        let answer = world.say(slow);
        assert_eq!(answer.starts_with("HTTP/1.1 200 "), slow.ends_with("\r\n\r\n"), "{answer}");
    }

    // Two who say nothing take all seats, and a third gets its answer when their time is over.
    let silent = [(); 2].map(|()| TcpStream::connect(world.address).unwrap());
    assert!(world.get("/livez", "").starts_with("HTTP/1.1 200 "));
    drop(silent);

    let brief = serve_with("", Limits { connection: Duration::from_millis(50), ..LIMITS });
    let answer = brief.say("GET /livez HTTP/1.1\r\nHost: x\r\n\r\n");
    assert!(answer.starts_with("HTTP/1.1 200 "), "{answer}");
}

/// What the watchdog says reaches whoever restarts dead processes, and is over when the partition gets on.
#[test]
fn a_partition_without_progress_is_not_alive() {
    let world = serve_with("", LIMITS);
    let lane = world.health.part("lane 0", Duration::from_secs(3_600));
    lane.ready();
    assert!(world.get("/livez", "").starts_with("HTTP/1.1 200 "));
    lane.broken(Some("ticks/1: 5 records to read and no progress for 61s".to_owned()));
    // A sign of life is none of progress.
    lane.beat();
    for path in ["/livez", "/readyz"] {
        let answer = world.get(path, "");
        let why = "\r\n\r\nlane 0: ticks/1: 5 records to read and no progress for 61s\n";
        assert!(answer.starts_with("HTTP/1.1 503 ") && answer.ends_with(why), "{answer}");
    }
    lane.broken(None);
    assert!(world.get("/livez", "").starts_with("HTTP/1.1 200 "));
}
