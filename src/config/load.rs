//! Where settings come from, and in which order.

use std::path::{Path, PathBuf};

use config::{Environment, File, FileFormat};

use super::Config;

/// The embedded defaults: every key, commented.
pub const DEFAULTS: &str = include_str!("default.toml");

/// Settings that cannot be used. The program ends with exit code 2.
#[derive(Debug, thiserror::Error)]
pub enum ConfigError {
    /// A source cannot be read, or a key or a type is wrong.
    #[error("configuration: {0} (keys and defaults: `tickcast check --defaults`)")]
    Source(#[from] config::ConfigError),
    /// `--set` without `=`.
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
    let mut builder = config::Config::builder()
        .add_source(File::from_str(DEFAULTS, FileFormat::Toml))
        .add_source(File::from_str(defaults, FileFormat::Toml));
    if let Some(path) = file {
        builder = builder.add_source(File::from(path).format(FileFormat::Toml));
    }
    builder = builder.add_source(environment);
    for assignment in assignments {
        let (key, value) = assignment.split_once('=').ok_or_else(|| ConfigError::Assignment(assignment.clone()))?;
        builder = builder.set_override(key.trim(), value.trim())?;
    }
    let mut config: Config = builder.build()?.try_deserialize()?;
    read_secret_files(&mut config)?;
    let problems = config.problems();
    if problems.is_empty() { Ok(config) } else { Err(ConfigError::Values(problems)) }
}

fn read_secret_files(config: &mut Config) -> Result<(), ConfigError> {
    let path = &config.kafka.sasl_password_file;
    if !path.as_os_str().is_empty() {
        let text = std::fs::read_to_string(path).map_err(|source| ConfigError::SecretFile {
            key: "kafka.sasl_password_file",
            path: path.clone(),
            source,
        })?;
        config.kafka.sasl_password = text.trim_end().to_owned().into();
    }
    Ok(())
}

#[cfg(test)]
mod tests {
    use std::collections::HashMap;
    use std::io::Write as _;

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
            assert!(load_from("", None, environment(&[]), &assignments(&[set])).is_err(), "{set}");
        }
        assert!(load_from("", None, environment(&[("TICKCAST__BARS__INTERVALL", "1m")]), &[]).is_err());
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
