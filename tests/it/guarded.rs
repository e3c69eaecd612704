//! Kafka and PostgreSQL that ask for TLS and passwords: what runs end to end, and what is said about a wrong authority, host
//! name, user, password or protocol.

use std::fs;
use std::io::{BufRead as _, BufReader};
use std::process::{Command, Stdio};

use crate::support::authority::Authority;
use crate::support::kafka::GuardedKafka;
use crate::support::postgres::PrivatePostgres;
use crate::support::stage::{Outcome, Stage, bare};
use crate::support::{self, store};

/// What both servers' certificates are made out to. They listen on 127.0.0.1, which is another name.
const HOST: &str = "localhost";
const PASSWORD: &str = "hunter2hunter2";
const T: i64 = 1_723_161_600_000_000;

/// `check --connect` with these settings; a secret must never show.
fn check(sets: &[String]) -> Outcome {
    check_where(sets, "/dev/null")
}

/// The same where the system trusts the authorities in the file `system`.
fn check_where(sets: &[String], system: &str) -> Outcome {
    let folder = tempfile::tempdir().unwrap();
    let args = ["check", "--connect", "--set", "bars.interval=1s"];
    let args: Vec<&str> = args.into_iter().chain(sets.iter().flat_map(|set| ["--set", set.as_str()])).collect();
    // In the environment, where nobody else on the machine can read it.
    let outcome =
        bare(folder.path(), &args, &[("TICKCAST__KAFKA__SASL_PASSWORD", PASSWORD), ("SSL_CERT_FILE", system)]);
    assert!(!outcome.out.contains("hunter") && !outcome.err.contains("hunter"), "{}{}", outcome.out, outcome.err);
    outcome
}

fn refused(sets: &[String], parts: &[&str]) {
    let outcome = check(sets);
    assert_eq!(outcome.code, 1, "{sets:?}: {}{}", outcome.out, outcome.err);
    for part in parts {
        assert!(outcome.err.contains(part), "no `{part}` for {sets:?} in: {}", outcome.err);
    }
}

/// An authority that the system trusts, in `system`, is as good as one that is named, and counts no more where another is named.
fn system_authorities(unnamed: &[String], other: &[String], system: &str) {
    let outcome = check_where(unnamed, system);
    assert_eq!(outcome.code, 0, "{unnamed:?}: {}{}", outcome.out, outcome.err);
    let outcome = check_where(other, system);
    assert!(outcome.code == 1 && outcome.err.contains("the authority that signed it"), "{other:?}: {}", outcome.err);
}

fn sets<const N: usize>(of: [(&str, &str); N]) -> Vec<String> {
    of.iter().map(|(key, value)| format!("{key}={value}")).collect()
}

/// A server with the user `guarded`, who owns the database.
fn postgres(authority: &Authority) -> Option<PrivatePostgres> {
    let server = PrivatePostgres::start()?;
    support::runtime().block_on(async {
        let client = store::connect(&server.url()).await;
        let user = format!("CREATE ROLE guarded LOGIN PASSWORD '{PASSWORD}'; ALTER DATABASE tickcast OWNER TO guarded");
        client.batch_execute(&user).await.unwrap();
    });
    server.guard(authority, HOST);
    Some(server)
}

#[test]
fn postgres_over_tls() {
    let Some(stage) = Stage::new("guarded_postgres", 1, &[]) else { return };
    let ours = Authority::new("ours");
    let Some(server) = postgres(&ours) else { return };
    let folder = tempfile::tempdir().unwrap();
    let (right, wrong) =
        (ours.write(folder.path(), "ours.pem"), Authority::new("other").write(folder.path(), "other.pem"));
    let (right, wrong) = (right.display(), wrong.display());
    let url = |host: &str, password: &str, query: String| {
        let url = format!("postgres://guarded:{password}@{host}:{}/tickcast?{query}", server.port());
        vec![format!("kafka.topic_prefix={}", stage.prefix), format!("postgres.url={url}")]
    };
    let accepted = [
        (HOST, format!("sslmode=verify-full&sslrootcert={right}")),
        ("127.0.0.1", format!("sslmode=verify-ca&sslrootcert={right}")),
        ("127.0.0.1", format!("sslmode=require&sslrootcert={right}")),
        ("127.0.0.1", "sslmode=require".to_owned()),
        ("127.0.0.1", String::new()),
    ];
    for (host, query) in accepted {
        let outcome = check(&url(host, PASSWORD, query));
        assert_eq!(outcome.code, 0, "{}{}", outcome.out, outcome.err);
        assert!(outcome.out.contains("/tickcast: ok"), "{}", outcome.out);
    }
    let remedy = "must name the authority that signed it";
    refused(
        &url(HOST, PASSWORD, format!("sslmode=verify-full&sslrootcert={wrong}")),
        &["other.pem", remedy, "certificate"],
    );
    refused(&url(HOST, PASSWORD, "sslmode=verify-full".to_owned()), &["the system's authorities", remedy]);
    // libpq's meaning too: with sslrootcert, require checks the authority.
    refused(&url(HOST, PASSWORD, format!("sslmode=require&sslrootcert={wrong}")), &["other.pem", remedy]);
    let other = url(HOST, PASSWORD, format!("sslmode=verify-full&sslrootcert={wrong}"));
    system_authorities(&url(HOST, PASSWORD, "sslmode=verify-full".to_owned()), &other, &right.to_string());
    let named = ["made out to another name", "sslmode=verify-ca"];
    refused(&url("127.0.0.1", PASSWORD, format!("sslmode=verify-full&sslrootcert={right}")), &named);
    let password = ["password authentication failed", "check the user (guarded) and the password in postgres.url"];
    refused(&url(HOST, "hunter3", format!("sslmode=verify-full&sslrootcert={right}")), &password);
    refused(&url(HOST, PASSWORD, "sslmode=disable".to_owned()), &["pg_hba.conf", "sslmode in postgres.url"]);
    let absent = ["sslrootcert=/absent.pem cannot be read as certificates"];
    refused(&url(HOST, PASSWORD, "sslmode=verify-full&sslrootcert=/absent.pem".to_owned()), &absent);
}

#[test]
fn kafka_over_tls_and_sasl_to_postgres_over_tls() {
    let ours = Authority::new("ours");
    let Some(kafka) = GuardedKafka::start(&ours, HOST, PASSWORD) else { return };
    let Some(server) = postgres(&ours) else { return };
    let folder = tempfile::tempdir().unwrap();
    let write = |name: &str, text: &str| {
        fs::write(folder.path().join(name), text).unwrap();
        folder.path().join(name).display().to_string()
    };
    let right = ours.write(folder.path(), "ours.pem").display().to_string();
    let wrong = Authority::new("other").write(folder.path(), "other.pem").display().to_string();
    let url = format!(
        "postgres://guarded:{PASSWORD}@{HOST}:{}/tickcast?sslmode=verify-full&sslrootcert={right}",
        server.port()
    );
    let (password, url) = (write("password", &format!("{PASSWORD}\n")), write("url", &url));
    let (ssl, sasl_ssl) = (format!("{HOST}:{}", kafka.ssl), format!("{HOST}:{}", kafka.sasl_ssl));

    let guarded = sets([
        ("kafka.brokers", &sasl_ssl),
        ("kafka.security_protocol", "sasl_ssl"),
        ("kafka.ssl_ca_location", &right),
        ("kafka.sasl_username", "scram"),
        ("kafka.sasl_password_file", &password),
        ("postgres.url_file", &url),
        ("log.filter", "info,tickcast=debug"),
    ]);
    let assignments: Vec<&str> = guarded.iter().map(String::as_str).collect();
    let stage = Stage::at(&format!("127.0.0.1:{}", kafka.plaintext), "guarded", 2, &assignments);
    let prefix = ("kafka.topic_prefix", stage.prefix.as_str());

    let trust = ("kafka.ssl_ca_location", right.as_str());
    let sasl = [("kafka.brokers", sasl_ssl.as_str()), ("kafka.security_protocol", "sasl_ssl"), prefix];
    let with = |more: &[(&str, &str)]| -> Vec<String> {
        sasl.iter().chain(more).map(|(key, value)| format!("{key}={value}")).collect()
    };
    let no_postgres = ("postgres.url", "");
    let sha_256 = ("kafka.sasl_mechanism", "SCRAM-SHA-256");
    let accepted = [
        with(&[trust, ("kafka.sasl_username", "scram"), ("postgres.url_file", &url)]),
        with(&[trust, ("kafka.sasl_username", "scram"), sha_256, no_postgres]),
        with(&[trust, ("kafka.sasl_username", "plain"), ("kafka.sasl_mechanism", "PLAIN"), no_postgres]),
        sets([("kafka.brokers", &ssl), ("kafka.security_protocol", "ssl"), trust, prefix, no_postgres]),
    ];
    for sets in &accepted {
        let outcome = check(sets);
        assert_eq!(outcome.code, 0, "{sets:?}: {}{}", outcome.out, outcome.err);
        assert!(outcome.out.contains("kafka: ok"), "{}", outcome.out);
    }

    let scram = ("kafka.sasl_username", "scram");
    let elsewhere = format!("127.0.0.1:{}", kafka.sasl_ssl);
    let bad_password = write("bad", "hunter3");
    let signed = "must name a PEM file with the authority that signed it";
    let refusals: [(Vec<String>, &[&str]); 7] = [
        (with(&[("kafka.ssl_ca_location", &wrong), scram]), &["the certificate of localhost:", "other.pem", signed]),
        (with(&[scram]), &["the certificate of localhost:", "(empty: the system's authorities)", signed]),
        (
            with(&[trust, scram, ("kafka.brokers", &elsewhere)]),
            &["mismatch", "kafka.brokers", "as its certificate does"],
        ),
        (
            with(&[trust, scram, ("kafka.sasl_password_file", &bad_password)]),
            &["authentication", "SCRAM-SHA-512", "check kafka.sasl_username `scram`, its password"],
        ),
        (with(&[trust, ("kafka.sasl_username", "nobody")]), &["kafka.sasl_username `nobody`"]),
        (
            with(&[("kafka.ssl_ca_location", "/absent.pem"), scram]),
            &["kafka.ssl_ca_location `/absent.pem` must be a file"],
        ),
        (
            sets([
                ("kafka.brokers", &format!("127.0.0.1:{}", kafka.plaintext)),
                ("kafka.security_protocol", "ssl"),
                trust,
                prefix,
            ]),
            &["(ssl)", "does that listener speak ssl?", "kafka.security_protocol"],
        ),
    ];
    std::thread::scope(|scope| {
        for (sets, parts) in &refusals {
            scope.spawn(move || refused(sets, parts));
        }
    });

    system_authorities(&with(&[scram, no_postgres]), &refusals[0].0, &right);

    end_to_end(&stage, &server);
    the_bot_reads_it(&stage, &sasl_ssl, &right);
}

/// Trades of two symbols through replay, forecast and store, all of it over TLS.
fn end_to_end(stage: &Stage, server: &PrivatePostgres) {
    let rows = (0..120).map(|n| format!("{},{},{},1\n", T + n * 100_000, ["A", "B"][n as usize % 2], 100 + n % 7));
    fs::write(stage.path("trades.csv"), format!("ts_us,symbol,price,size\n{}", rows.collect::<String>())).unwrap();
    stage.ok(&["replay", "trades.csv"]);
    let mut service = stage.run_as("forecast,store", &[]);
    service.wait("every tick is committed", || stage.log.drained());
    let (bars, predictions) = (stage.read("bars").len(), stage.read("predictions").len());
    assert!(bars == 24 && predictions == 72, "12 seconds of two symbols, three horizons: {bars} {predictions}");

    let runtime = support::runtime();
    let client = runtime.block_on(store::connect(&server.url()));
    service.wait("every record is a row", || {
        let count = "SELECT (SELECT count(*) FROM bars), (SELECT count(*) FROM predictions)";
        let row = runtime.block_on(client.query_one(count, &[]));
        row.is_ok_and(|row| (row.get::<_, i64>(0), row.get::<_, i64>(1)) == (bars as i64, predictions as i64))
    });
    let sessions = "SELECT count(*) FILTER (WHERE ssl), count(*) FROM pg_stat_ssl JOIN pg_stat_activity USING (pid) \
                    WHERE usename = 'guarded'";
    let row = runtime.block_on(client.query_one(sessions, &[])).unwrap();
    assert!(row.get::<_, i64>(0) > 0 && row.get::<_, i64>(0) == row.get::<_, i64>(1), "{row:?}");
    assert_eq!(stage.ok(&["tail", "bars", "--from-beginning", "--until-end", "--json"]).lines().count(), bars);
    assert!(!service.output().contains("hunter"), "{}", service.output());
    service.stop();
}

/// deploy/examples/bot.py, which here begins at the first prediction and acts on each, takes the settings of the program.
fn the_bot_reads_it(stage: &Stage, brokers: &str, authority: &str) {
    let Some(python) = support::server("TICKCAST_TEST_PYTHON") else { return };
    let changes = [
        ("\"latest\"", "\"earliest\""),
        ("stale or p[\"decision\"] == \"abstain\" or ", ""),
        ("\"wait\"}", "\"wait\", \"abstain\": \"?\"}"),
    ];
    let mut bot = include_str!("../../deploy/examples/bot.py").to_owned();
    for (old, new) in changes {
        assert!(bot.contains(old), "{old}");
        bot = bot.replace(old, new);
    }
    let mut child = Command::new(python)
        .args(["-c", &bot])
        .envs([("TICKCAST__KAFKA__BROKERS", brokers), ("TICKCAST__KAFKA__TOPIC_PREFIX", &stage.prefix)])
        .envs([("TICKCAST__KAFKA__SECURITY_PROTOCOL", "sasl_ssl"), ("TICKCAST__KAFKA__SSL_CA_LOCATION", authority)])
        .envs([("TICKCAST__KAFKA__SASL_MECHANISM", "SCRAM-SHA-512"), ("TICKCAST__KAFKA__SASL_USERNAME", "scram")])
        .env("TICKCAST__KAFKA__SASL_PASSWORD", PASSWORD)
        .stdout(Stdio::piped())
        .spawn()
        .unwrap();
    // It reads for ever, or ends at an error without a line.
    let mut line = String::new();
    BufReader::new(child.stdout.take().unwrap()).read_line(&mut line).unwrap();
    let _ = child.kill();
    let _ = child.wait();
    assert!(line.contains("prediction_id"), "{line}");
}
