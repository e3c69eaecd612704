//! Bearer tokens of the HTTP server, as an operator gives them: in a file and in the environment.

use crate::support::stage::{Stage, bare};

const READ: &str = "hunter2-may-read";
const OPERATE: &str = "hunter2-may-operate";

#[test]
fn a_port_for_all_needs_tokens_and_shows_none() {
    let folder = tempfile::tempdir().unwrap();
    let file = folder.path().join("tokens");
    std::fs::write(&file, format!("grafana:read:{READ}\nops:operate:{OPERATE}\n")).unwrap();
    let environment = ("TICKCAST__HTTP__TOKENS", format!("one:read:{READ}, two:read+operate:{OPERATE}"));
    let listen = ("TICKCAST__HTTP__LISTEN", "0.0.0.0:8080");
    let named = ("TICKCAST__HTTP__TOKENS_FILE", file.to_str().unwrap());

    let refused = bare(folder.path(), &["run"], &[listen]);
    assert!(refused.code == 2 && refused.err.contains("give http.tokens_file or http.tokens"), "{}", refused.err);
    let broken = bare(folder.path(), &["check"], &[listen, ("TICKCAST__HTTP__TOKENS", READ)]);
    assert!(
        broken.code == 2 && broken.err.contains("http.tokens: token 1 is not NAME:SCOPES:SECRET"),
        "{}",
        broken.err
    );
    let set = format!("http.tokens=one:read:{READ}");
    let accepted = [
        bare(folder.path(), &["check"], &[listen, named]),
        bare(folder.path(), &["check"], &[listen, (environment.0, environment.1.as_str())]),
        bare(folder.path(), &["check", "--set", &set], &[listen]),
    ];
    for outcome in accepted.iter().chain([&refused, &broken]) {
        assert!(!outcome.out.contains("hunter") && !outcome.err.contains("hunter"), "{}{}", outcome.out, outcome.err);
    }
    assert!(accepted.iter().all(|outcome| outcome.code == 0 && outcome.out.contains("0.0.0.0:8080")));

    // The service itself, on every address of this machine.
    let Some(stage) = Stage::new("tokens", 1, &[&format!("http.tokens_file={}", file.display())]) else { return };
    let mut service = stage.run_for_all();
    service.wait_ready(200, "ok");
    assert_eq!(service.get("/livez"), (200, "ok\n".to_owned()));
    assert_eq!(service.get("/metrics").0, 401);
    assert_eq!(service.get_with("/metrics", "grafana").0, 401);
    assert_eq!(service.get_with("/metrics", OPERATE).0, 403);
    let (code, metrics) = service.get_with("/metrics", READ);
    assert!(code == 200 && metrics.contains("tickcast_http_refused_total{reason=\"scope\"} 1"), "{code} {metrics}");
    assert!(!service.output().contains("hunter"), "{}", service.output());
    service.stop();
}
