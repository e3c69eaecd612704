//! The command line from outside: exit codes (0 done, 2 usage or configuration, 1 anything else) and what is said with them.

use std::time::Instant;

use crate::support::stage::{Outcome, Stage, bare, free_address};

const T: i64 = 1_723_161_600_000_000;

fn folder() -> tempfile::TempDir {
    tempfile::tempdir().unwrap()
}

fn says(outcome: &Outcome, code: i32, parts: &[&str]) {
    assert_eq!(outcome.code, code, "{}{}", outcome.out, outcome.err);
    for part in parts {
        assert!(outcome.err.contains(part), "no `{part}` in: {}", outcome.err);
    }
}

#[test]
fn usage_and_configuration_end_with_2() {
    let folder = folder();
    std::fs::write(folder.path().join("bad.toml"), "[bars]\ninterval = \"7s\"\n").unwrap();
    std::fs::write(folder.path().join("broken.toml"), "[bars\n").unwrap();
    let cases: [(&[&str], &[&str]); 16] = [
        (&[], &["Usage"]),
        (&["nonsense"], &["nonsense"]),
        (&["run", "--nonsense"], &["--nonsense"]),
        (&["run", "--roles", "nonsense"], &["nonsense"]),
        (&["replay"], &["FILE"]),
        (&["replay", "a.csv", "--speed", "fast"], &["fast", "max"]),
        (&["tail"], &["TOPIC"]),
        (&["topics", "apply"], &["--partitions"]),
        (&["topics", "apply", "--partitions", "0"], &["0"]),
        (&["check", "--set", "kafka.broker=x"], &["broker"]),
        (&["check", "--set", "kafka.brokers"], &["kafka.brokers", "key=value"]),
        (&["check", "--set", "bars.interval=7s"], &["7s", "divides a day"]),
        (&["check", "--set", "bars.idle_timeout=soon"], &["soon"]),
        (&["check", "--config", "bad.toml"], &["7s"]),
        (&["check", "--config", "broken.toml"], &["broken.toml"]),
        (&["run", "--config", "absent.toml"], &["absent.toml"]),
    ];
    for (args, parts) in cases {
        says(&bare(folder.path(), args, &[]), 2, parts);
    }
    // Every problem at once, wherever it comes from.
    let args = ["run", "--set", "forecast.lanes=0", "--set", "http.listen=0.0.0.0:80"];
    let outcome = bare(folder.path(), &args, &[("TICKCAST__LOG__FORMAT", "xml"), ("TICKCAST__KAFKA__GROUP", "")]);
    says(&outcome, 2, &["forecast.lanes", "http.listen", "log.format", "kafka.group"]);
    let outcome = bare(folder.path(), &["check"], &[("TICKCAST__BARS__INTERVALL", "1m")]);
    says(&outcome, 2, &["intervall"]);
}

#[test]
fn check_prints_settings_and_no_secrets() {
    let folder = folder();
    std::fs::write(folder.path().join("secret"), "hunter3\n").unwrap();
    let set = ["bars.interval=60s", "bars.idle_timeout=off", "kafka.sasl_password_file=secret"];
    let args: Vec<_> = ["check"].into_iter().chain(set.iter().flat_map(|set| ["--set", set])).collect();
    let env = [
        ("TICKCAST__POSTGRES__URL", "postgres://me:hunter2@localhost/db"),
        ("TICKCAST__KAFKA__SASL_PASSWORD", "hunter1"),
        ("TICKCAST__KAFKA__GROUP", "of-the-environment"),
    ];
    let outcome = bare(folder.path(), &args, &env);
    says(&outcome, 0, &[]);
    assert!(outcome.out.contains("1m") && outcome.out.contains("of-the-environment"), "{}", outcome.out);
    assert!(!outcome.out.contains("hunter") && !outcome.err.contains("hunter"), "{}{}", outcome.out, outcome.err);

    let defaults = bare(folder.path(), &["check", "--defaults"], &[]);
    says(&defaults, 0, &[]);
    std::fs::write(folder.path().join("defaults.toml"), &defaults.out).unwrap();
    says(&bare(folder.path(), &["check", "--config", "defaults.toml"], &[]), 0, &[]);
    says(&bare(folder.path(), &["--version"], &[]), 0, &[]);
    says(&bare(folder.path(), &["--help"], &[]), 0, &[]);
}

/// Nobody listens there: each command says so in time and ends with 1.
#[test]
fn without_kafka_commands_end_with_1() {
    let folder = folder();
    std::fs::write(folder.path().join("a.csv"), format!("ts_us,symbol,price,size\n{T},A,1,1\n")).unwrap();
    let nobody = format!("kafka.brokers={}", free_address());
    let cases: [&[&str]; 4] =
        [&["tail", "bars", "--until-end"], &["topics", "apply", "--partitions", "1"], &["replay", "a.csv"], &["run"]];
    std::thread::scope(|scope| {
        for args in cases {
            let (folder, nobody) = (folder.path(), &nobody);
            scope.spawn(move || {
                let begin = Instant::now();
                let all: Vec<_> = args.iter().copied().chain(["--set", nobody, "--set", "http.listen=off"]).collect();
                says(&bare(folder, &all, &[]), 1, &["Kafka"]);
                assert!(begin.elapsed().as_secs() < 60, "{args:?}: {:?}", begin.elapsed());
            });
        }
    });
}

#[test]
fn topics_are_needed_and_made_once() {
    let Some(stage) = Stage::new("cli_topics", 2, &[]) else { return };
    assert!(stage.ok(&["topics", "apply", "--partitions", "2"]).contains("unchanged"));
    says(
        &stage.call(&["topics", "apply", "--partitions", "3"]),
        1,
        &["has 2 partitions where 3 are needed", "--alter"],
    );
    // Where topics are missing, nothing is made beside one that does not fit: with another count all can still be made.
    let prefix = format!("{}hand.", stage.prefix);
    crate::support::make_topic(&format!("{prefix}bars"), 2);
    let elsewhere = format!("kafka.topic_prefix={prefix}");
    let apply = |count| stage.call_with(&["topics", "apply", "--partitions", count], &[elsewhere.as_str()]);
    says(&apply("3"), 1, &["bars has 2 partitions where 3 are needed"]);
    says(&apply("2"), 0, &[]);
    stage.ok(&["topics", "check"]);
    stage.ok(&["check", "--connect"]);
    let mut elsewhere = vec!["--set".to_owned(), format!("kafka.topic_prefix=none-{}", stage.prefix)];
    elsewhere.extend(["--set".to_owned(), "http.listen=off".to_owned()]);
    let cases: [&[&str]; 5] = [
        &["check", "--connect"],
        &["topics", "check"],
        &["run"],
        &["tail", "bars", "--until-end"],
        &["replay", "a.csv"],
    ];
    std::fs::write(stage.path("a.csv"), format!("ts_us,symbol,price,size\n{T},A,1,1\n")).unwrap();
    for args in cases {
        let all: Vec<_> = args.iter().copied().chain(elsewhere.iter().map(String::as_str)).collect();
        says(&bare(stage.folder.path(), &all, &[]), 1, &["none-"]);
    }
}

#[test]
fn a_taken_port_is_named() {
    let Some(stage) = Stage::new("port", 1, &[]) else { return };
    let taken = std::net::TcpListener::bind("127.0.0.1:0").unwrap();
    let listen = format!("http.listen={}", taken.local_addr().unwrap());
    let mut service = stage.run(&[&listen]);
    assert_eq!(service.end(), 1, "{}", service.output());
    assert!(service.output().contains(&format!("http.listen {}", taken.local_addr().unwrap())), "{}", service.output());
}

/// The port answers before anything else is there: that is alive, and not ready.
#[test]
fn starting_is_not_ready() {
    let Some(stage) = Stage::new("starting", 1, &[]) else { return };
    let nobody = format!("kafka.brokers={}", free_address());
    let service = stage.run(&[&nobody]);
    let (code, why) = service.first("/readyz");
    assert_eq!((code, why.as_str()), (503, "process: starting\n"));
    assert_eq!(service.get("/livez").0, 200);
}
