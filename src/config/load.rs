//! Where settings come from, and in which order.

use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat, Map, Source, Value, ValueKind};

use super::Config;

/// The embedded defaults: every key, commented.
pub const DEFAULTS: &str = include_str!("default.toml");

/// Settings that cannot be used. The program ends with exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A source cannot be read, or a key or a type is wrong.
    #[error("configuration: {origin}: {why} (keys and defaults: `tickcast check --defaults`)")]
    Source {
        /// The file, the environment or the assignment.
        origin: String,
        /// What is wrong with it.
        why: String,
    },
    /// `--set` without `=`, or without a key; its key, for the rest may be a secret.
    #[error("--set `{0}`: write key=value, for example --set kafka.brokers=127.0.0.1:9092")]
    Assignment(String),
    /// Values that are out of range, all of them.
    #[error("configuration:\n  - {}", .0.join("\n  - "))]
    Values(Vec<String>),
    /// A secret's file cannot be read.
    #[error("configuration: {key} `{path}` cannot be read: {source}")]
    SecretFile {
        /// The key that names the file.
        key: &'static str,
        /// The file.
        path: PathBuf,
        /// Why.
        source: std::io::Error,
    },
}

/// The error without the lines of the file that the parser shows beside it: one may hold a secret.
fn told(error: &config::ConfigError) -> String {
    let is_quoted =
        |line: &str| line.trim_start_matches(|c: char| c.is_ascii_digit() || c.is_whitespace()).starts_with('|');
    let text = error.to_string();
    text.lines().filter(|line| !is_quoted(line)).collect::<Vec<_>>().join(": ")
}

/// Reads the settings: defaults < `file` < environment (`TICKCAST__SECTION__KEY`) < `assignments` (`section.key=value`).
///
/// # Errors
/// Unknown keys, wrong types, values out of range (all at once), a file that cannot be read.
pub fn load(file: Option<&Path>, assignments: &[String]) -> Result<Config, ConfigError> {
    load_over("", file, assignments)
}

/// The same for a command with `defaults` (TOML) of its own, which stand between the embedded ones and all that a user says.
///
/// # Errors
/// See [`load`].
pub fn load_over(defaults: &str, file: Option<&Path>, assignments: &[String]) -> Result<Config, ConfigError> {
    let environment = Environment::with_prefix("TICKCAST").prefix_separator("__").separator("__");
    load_from(defaults, file, environment, assignments)
}

fn load_from(
    defaults: &str,
    file: Option<&Path>,
    environment: Environment,
    assignments: &[String],
) -> Result<Config, ConfigError> {
    let mut layers = vec![
        Layer::new("the defaults", File::from_str(DEFAULTS, FileFormat::Toml)),
        Layer::new("the command's defaults", File::from_str(defaults, FileFormat::Toml)),
    ];
    if let Some(path) = file {
        layers.push(Layer::new(path.display().to_string(), File::from(path).format(FileFormat::Toml)));
    }
    layers.push(Layer::new("the environment (TICKCAST__SECTION__KEY)", environment));
    for assignment in assignments {
        layers.push(Layer::assignment(assignment)?);
    }
    let mut config = read(&layers)?;
    read_secret_files(&mut config)?;
    let problems = config.problems();
    if problems.is_empty() { Ok(config) } else { Err(ConfigError::Values(problems)) }
}

/// One place where settings come from.
struct Layer {
    /// What people call it.
    origin: String,
    source: Box<dyn Source + Send + Sync>,
}

impl Layer {
    fn new(origin: impl Into<String>, source: impl Source + Send + Sync + 'static) -> Self {
        Self { origin: origin.into(), source: Box::new(source) }
    }

    /// `key=value` of a `--set`.
    fn assignment(text: &str) -> Result<Self, ConfigError> {
        let wrong = || {
            let is_key = |c: char| c.is_ascii_alphanumeric() || matches!(c, '.' | '_');
            ConfigError::Assignment(text.split(|c| !is_key(c)).next().unwrap_or_default().to_owned())
        };
        let (key, value) = text.split_once('=').ok_or_else(wrong)?;
        let builder = config::Config::builder().set_override(key.trim(), value.trim()).map_err(|_| wrong())?;
        // The value may be a secret.
        Ok(Self::new(format!("--set {}", key.trim()), builder.build().map_err(|_| wrong())?))
    }

    fn failed(&self, why: &config::ConfigError) -> ConfigError {
        ConfigError::Source { origin: self.origin.clone(), why: told(why) }
    }

    fn values(&self) -> Result<Map<String, Value>, ConfigError> {
        self.source.collect().map_err(|error| self.failed(&error))
    }
}

/// The settings of all layers, later ones over earlier ones. The first is complete, and no section is anything else in a later
/// one.
fn read(layers: &[Layer]) -> Result<Config, ConfigError> {
    let Some((complete, others)) = layers.split_first() else { return Err(ConfigError::Values(Vec::new())) };
    let sections = complete.values()?;
    for layer in others {
        for (name, value) in layer.values()? {
            let is_section = |value: &Value| matches!(value.kind, ValueKind::Table(_));
            if sections.get(&name).is_some_and(is_section) && !is_section(&value) {
                let why = format!("`{name}` is a section and not a value: write {name}.KEY, or [{name}] in a file");
                return Err(ConfigError::Source { origin: layer.origin.clone(), why });
            }
        }
    }
    let merged = |layers: &mut dyn Iterator<Item = &Layer>| -> Result<Config, config::ConfigError> {
        let mut builder = config::Config::builder();
        for layer in layers {
            builder = builder.add_source(vec![layer.source.clone_into_box()]);
        }
        builder.build()?.try_deserialize()
    };
    merged(&mut layers.iter()).map_err(|error| {
        // Which of them is to blame: the first that the defaults cannot be read with.
        let blamed = others.iter().find_map(|layer| Some((layer, merged(&mut [complete, layer].into_iter()).err()?)));
        blamed.map_or_else(|| complete.failed(&error), |(layer, error)| layer.failed(&error))
    })
}

/// A file's secret takes the place of one that was given itself; tokens of a file are added to those.
fn read_secret_files(config: &mut Config) -> Result<(), ConfigError> {
    let kafka = &mut config.kafka;
    if let Some(password) = secret("kafka.sasl_password_file", &kafka.sasl_password_file)? {
        kafka.sasl_password = password.trim_end().to_owned().into();
    }
    let postgres = &mut config.postgres;
    if let Some(url) = secret("postgres.url_file", &postgres.url_file)? {
        postgres.url = url.trim().to_owned().into();
    }
    let http = &mut config.http;
    if let Some(tokens) = secret("http.tokens_file", &http.tokens_file)? {
        if tokens.trim().is_empty() {
            return Err(ConfigError::Values(vec![format!(
                "http.tokens_file `{}` holds no token: write NAME:SCOPES:SECRET lines, such as grafana:read:SECRET",
                http.tokens_file.display()
            )]));
        }
        http.tokens = format!("{}\n{tokens}", http.tokens.expose()).into();
    }
    Ok(())
}

/// What a file holds; nothing where none is named.
fn secret(key: &'static str, path: &Path) -> Result<Option<String>, ConfigError> {
    if path.as_os_str().is_empty() {
        return Ok(None);
    }
    let failed = |source| ConfigError::SecretFile { key, path: path.to_owned(), source };
    std::fs::read_to_string(path).map(Some).map_err(failed)
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::Write as _;

    use super::super::tokens;
    use super::*;

    fn environment(pairs: &[(&str, &str)]) -> Environment {
        let map: HashMap<String, String> = pairs.iter().map(|(k, v)| ((*k).to_owned(), (*v).to_owned())).collect();
        Environment::with_prefix("TICKCAST").prefix_separator("__").separator("__").source(Some(map))
    }

    fn assignments(list: &[&str]) -> Vec<String> {
        list.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn the_defaults_are_valid() {
        let config = load_from("", None, environment(&[]), &[]).unwrap();
        assert_eq!(config.kafka.topic_prefix, "tickcast.");
        assert!(config.forecast.max_staleness.get().is_none());
        assert_eq!(config.judge.trigger(), Ok(crate::flow::trigger::Settings::default()), "one default, in two places");
    }

    #[test]
    fn later_sources_win() {
        let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        write!(file, "[bars]\ninterval = \"1m\"\nmax_fill = 7\n[kafka]\ngroup = \"file\"").unwrap();
        let env = environment(&[
            ("TICKCAST__KAFKA__GROUP", "env"),
            ("TICKCAST__FORECAST__LANES", "3"),
            ("TICKCAST_CACHE", "x"),
        ]);
        let config = load_from(
            "[bars]\nmax_fill = 5\n[judge]\nwindow = 300",
            Some(file.path()),
            env,
            &assignments(&["kafka.group=set", "bars.idle_timeout=off"]),
        )
        .unwrap();
        assert_eq!((config.bars.interval.to_string().as_str(), config.bars.max_fill), ("1m", 7));
        assert_eq!((config.kafka.group.as_str(), config.forecast.lanes), ("set", 3));
        assert!(config.bars.idle_timeout.get().is_none());
        assert_eq!(config.judge.window, 300, "a command's own default, where nobody says otherwise");
    }

    #[test]
    fn unknown_keys_are_errors() {
        for set in ["kafka.broker=x", "nonsense.key=1", "bars.interval.x=1"] {
            let error = load_from("", None, environment(&[]), &assignments(&[set])).unwrap_err().to_string();
            assert!(error.contains(&format!("--set {}:", set.split_once('=').unwrap().0)), "{error}");
        }
        let error = load_from("", None, environment(&[("TICKCAST__BARS__INTERVALL", "1m")]), &[]).unwrap_err();
        assert!(error.to_string().contains("the environment"), "{error}");
        let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        write!(file, "[bars]\nintervall = \"1m\"").unwrap();
        let set = assignments(&["kafka.group=x"]);
        let error = load_from("", Some(file.path()), environment(&[]), &set).unwrap_err().to_string();
        assert!(error.contains(&format!("{}:", file.path().display())) && error.contains("intervall"), "{error}");
    }

    #[test]
    fn what_is_no_assignment_or_no_section_is_said() {
        for set in ["=x", "kafka.brokers", "a b=x", "kafka..group=x"] {
            let error = load_from("", None, environment(&[]), &assignments(&[set])).unwrap_err();
            assert!(matches!(error, ConfigError::Assignment(_)), "{set}: {error}");
        }
        let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        write!(file, "bars = 3").unwrap();
        let error = load_from("", Some(file.path()), environment(&[]), &[]).unwrap_err().to_string();
        assert!(error.contains("`bars` is a section") && error.contains(".toml"), "{error}");
    }

    #[test]
    fn a_url_or_a_symbol_that_nobody_can_use_is_refused() {
        for url in ["host=1 password=hunter2", "postgres://me:hunter2@db/a b", "garbage"] {
            let set = assignments(&[&format!("postgres.url={url}")]);
            let error = load_from("", None, environment(&[]), &set).unwrap_err().to_string();
            assert!(error.contains("postgres.url") && !error.contains("hunter2"), "{error}");
        }
        let mut file = tempfile::NamedTempFile::with_suffix(".toml").unwrap();
        write!(file, "[[assets]]\nsymbol = \"A\"\n[[assets]]\nsymbol = \"B\"\n[[assets]]\nsymbol = \"A\"").unwrap();
        let error = load_from("", Some(file.path()), environment(&[]), &[]).unwrap_err().to_string();
        assert!(error.contains("A is given twice"), "{error}");
    }

    #[test]
    fn retention_is_a_day_or_more_or_off() {
        let retention = |text: &str| {
            let set = assignments(&[&format!("store.retention={text}")]);
            load_from("", None, environment(&[]), &set)
                .map(|config| config.store.retention.get().map(|span| span.get()))
        };
        assert!(matches!(retention("off"), Ok(None)));
        assert!(matches!(retention("1day"), Ok(Some(span)) if span.as_secs() == 86_400));
        assert!(retention("23h 59m").unwrap_err().to_string().contains("store.retention"));
    }

    #[test]
    fn secrets_come_from_files_and_never_show() {
        let folder = tempfile::tempdir().unwrap();
        let file = |name: &str, text: &str| {
            std::fs::write(folder.path().join(name), text).unwrap();
            format!("{}", folder.path().join(name).display())
        };
        let sets = [
            format!("kafka.sasl_password_file={}", file("password", "hunter1\n")),
            format!("postgres.url_file={}", file("url", "postgres://me:hunter2@db/x\n")),
            format!("http.tokens_file={}", file("tokens", "ops:operate:hunter3hunter3hunter3\n")),
            "http.listen=0.0.0.0:80".to_owned(),
        ];
        let env = environment(&[("TICKCAST__HTTP__TOKENS", "grafana:read:hunter4hunter4hunter4")]);
        let config = load_from("", None, env, &sets).unwrap();
        assert_eq!(config.kafka.sasl_password.expose(), "hunter1");
        assert_eq!(config.postgres.url.expose(), "postgres://me:hunter2@db/x");
        let names: Vec<_> = tokens::parse(&config.http.tokens).unwrap().into_iter().map(|token| token.name).collect();
        assert_eq!(names, ["grafana", "ops"], "those of the file are added");
        assert!(!format!("{config:#?}").contains("hunter"), "{config:#?}");

        let bad = [
            (format!("http.tokens_file={}", file("none", "\n")), "holds no token"),
            (
                format!("http.tokens_file={}", file("bad", "hunter5hunter5hunter5\n")),
                "token 1 is not NAME:SCOPES:SECRET",
            ),
            ("http.tokens_file=/absent/tokens".to_owned(), "`/absent/tokens` cannot be read"),
            ("postgres.url_file=/absent/url".to_owned(), "postgres.url_file `/absent/url` cannot be read"),
            ("kafka.sasl_password hunter6".to_owned(), "--set `kafka.sasl_password`"),
        ];
        for (set, part) in bad {
            let error = load_from("", None, environment(&[]), &[set]).unwrap_err().to_string();
            assert!(error.contains(part) && !error.contains("hunter"), "{error}");
        }
        let broken = PathBuf::from(file("broken.toml", "[kafka]\nsasl_password = \"hunter7\n"));
        let error = load_from("", Some(&broken), environment(&[]), &[]).unwrap_err().to_string();
        assert!(error.contains("line 2") && !error.contains("hunter"), "{error}");
    }

    #[test]
    fn sasl_needs_a_user_and_a_password_and_a_port_for_all_needs_tokens() {
        let problems = |sets: &[&str]| match load_from("", None, environment(&[]), &assignments(sets)) {
            Ok(_) => String::new(),
            Err(error) => error.to_string(),
        };
        assert!(problems(&["kafka.security_protocol=sasl_ssl"]).contains("needs kafka.sasl_username and a password"));
        let gssapi = ["kafka.security_protocol=sasl_ssl", "kafka.sasl_mechanism=GSSAPI"];
        assert!(problems(&gssapi).contains("kafka.sasl_mechanism must be"));
        assert!(problems(&["http.listen=0.0.0.0:80"]).contains("give http.tokens_file"));
        assert!(problems(&["http.listen=[::]:80"]).contains("is not loopback"));
        assert_eq!(problems(&["http.listen=[::]:80", "http.tokens=a:read:0123456789abcdef"]), "");
        assert_eq!(problems(&["http.listen=[::1]:80"]), "");
    }

    #[test]
    fn every_problem_is_named_at_once() {
        let error = load_from(
            "",
            None,
            environment(&[]),
            &assignments(&["forecast.lanes=0", "http.listen=0.0.0.0:80", "log.format=xml", "otlp.endpoint=https://a"]),
        )
        .unwrap_err()
        .to_string();
        for key in ["forecast.lanes", "http.listen", "log.format", "otlp.endpoint"] {
            assert!(error.contains(key), "{error}");
        }
    }
}
