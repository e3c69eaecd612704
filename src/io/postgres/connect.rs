//! From `postgres.url` to a connection, with TLS as libpq means it.

use std::fmt;
use std::time::Duration;

use openssl::ssl::SslVerifyMode;
use postgres_openssl::MakeTlsConnector;
use tokio_postgres::config::{Host, SslMode};
use tokio_postgres::error::SqlState;
use tokio_postgres::{Client, Config};

use super::PostgresError;
use crate::io::tls;

const CONNECT_TIMEOUT: Duration = Duration::from_secs(10);

/// How the server's certificate is checked; libpq's words and meanings.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Verify {
    /// `disable`, `prefer`, `require`: not at all.
    Nothing,
    /// `verify-ca`, and `require` with `sslrootcert`: signed by a known authority.
    Authority,
    /// `verify-full`: and made out to the host's name.
    Host,
}

/// Where to connect to.
#[derive(Clone)]
pub struct Target {
    config: Config,
    verify: Verify,
    root: Option<String>,
}

impl Target {
    /// Reads a URL. `sslmode` is disable, prefer (the default), require, verify-ca or verify-full; `sslrootcert` names a file
    /// with the only certificate authorities that count, else the system's do.
    ///
    /// # Errors
    /// When it is not such a URL. The error does not repeat it.
    pub fn parse(url: &str) -> Result<Self, PostgresError> {
        if url.is_empty() {
            return Err(PostgresError::Url("is empty"));
        }
        if !url.starts_with("postgres://") && !url.starts_with("postgresql://") {
            return Err(PostgresError::Url("is not a URL"));
        }
        // The driver would take a blank for part of a name or of the password, or ask a host that nobody meant.
        if url.contains(|c: char| c.is_whitespace() || c.is_control()) {
            return Err(PostgresError::Url("holds a blank"));
        }
        let (base, query) = url.split_once('?').unwrap_or((url, ""));
        let (mut verify, mut root, mut kept) = (Verify::Nothing, None, Vec::new());
        for pair in query.split('&').filter(|pair| !pair.is_empty()) {
            match pair.split_once('=') {
                Some(("sslmode", "verify-ca")) => {
                    verify = Verify::Authority;
                    kept.push("sslmode=require");
                }
                Some(("sslmode", "verify-full")) => {
                    verify = Verify::Host;
                    kept.push("sslmode=require");
                }
                Some(("sslrootcert", path)) => {
                    root = Some(
                        decoded(path).ok_or(PostgresError::Url("has an sslrootcert that is not percent-encoded"))?,
                    );
                }
                _ => kept.push(pair),
            }
        }
        let mut config: Config = format!("{base}?{}", kept.join("&"))
            .parse()
            .map_err(|_| PostgresError::Url("is malformed or has an unknown parameter"))?;
        if root.is_some() && verify == Verify::Nothing && config.get_ssl_mode() == SslMode::Require {
            verify = Verify::Authority;
        }
        if verify == Verify::Authority && root.is_none() {
            // Anybody can have a certificate of some public authority for some name.
            return Err(PostgresError::Url(
                "has sslmode=verify-ca without sslrootcert, which protects from nobody: use verify-full",
            ));
        }
        if config.get_hosts().is_empty() {
            return Err(PostgresError::Url("names no host"));
        }
        if config.get_connect_timeout().is_none() {
            config.connect_timeout(CONNECT_TIMEOUT);
        }
        // A server that vanishes is noticed within half a minute also while a statement runs.
        config
            .keepalives_idle(Duration::from_secs(10))
            .keepalives_interval(Duration::from_secs(5))
            .keepalives_retries(3);
        Ok(Self { config, verify, root })
    }

    /// What to do about a connection that failed with `error`, which is told behind it.
    fn connecting(&self, error: &tokio_postgres::Error) -> String {
        let source = std::error::Error::source(error).map(ToString::to_string).unwrap_or_default();
        let user = self.config.get_user().unwrap_or("?");
        let advice = if source.contains("mismatch") {
            "its certificate is made out to another name: use that name in postgres.url, or sslmode=verify-ca"
                .to_owned()
        } else if source.contains("certificate verify failed") {
            let root = self.root.as_deref().unwrap_or("is not given: the system's authorities count");
            format!(
                "its certificate is not accepted: sslrootcert in postgres.url ({root}) must name the authority that signed it"
            )
        } else if source.contains("does not support TLS") {
            "it speaks no TLS: set ssl=on there, or sslmode=prefer or disable in postgres.url".to_owned()
        } else {
            match error.code() {
                Some(&SqlState::INVALID_PASSWORD) => {
                    format!("check the user ({user}) and the password in postgres.url")
                }
                Some(&SqlState::INVALID_AUTHORIZATION_SPECIFICATION) => {
                    format!("it does not let user {user} in this way: see its pg_hba.conf, and sslmode in postgres.url")
                }
                _ => return "connecting".to_owned(),
            }
        };
        format!("connecting: {advice}")
    }

    fn tls(&self) -> Result<MakeTlsConnector, PostgresError> {
        let mut builder = tls::client(self.root.as_deref()).map_err(|why| {
            let root = self.root.as_deref().unwrap_or_default();
            let why = format!("sslrootcert={root} cannot be read as certificates (PEM): {why}");
            PostgresError::Tls { target: self.to_string(), why }
        })?;
        if self.verify == Verify::Nothing {
            builder.set_verify(SslVerifyMode::NONE);
        }
        let mut connector = MakeTlsConnector::new(builder.build());
        let by_host = self.verify == Verify::Host;
        connector.set_callback(move |ssl, _| {
            ssl.set_verify_hostname(by_host);
            Ok(())
        });
        Ok(connector)
    }
}

/// Undoes percent-encoding.
fn decoded(text: &str) -> Option<String> {
    let mut parts = text.split('%');
    let mut bytes = parts.next()?.as_bytes().to_vec();
    for part in parts {
        bytes.push(u8::from_str_radix(part.get(..2)?, 16).ok()?);
        bytes.extend_from_slice(&part.as_bytes()[2..]);
    }
    String::from_utf8(bytes).ok()
}

impl fmt::Display for Target {
    /// Host, port and database; never the user's password.
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        for (index, host) in self.config.get_hosts().iter().enumerate() {
            let ports = self.config.get_ports();
            let port = ports.get(index).or(ports.first()).copied().unwrap_or(5432);
            let comma = if index == 0 { "" } else { "," };
            match host {
                Host::Tcp(name) => write!(f, "{comma}{name}:{port}")?,
                #[cfg(unix)]
                Host::Unix(path) => write!(f, "{comma}{}:{port}", path.display())?,
            }
        }
        write!(f, "/{}", self.config.get_dbname().or(self.config.get_user()).unwrap_or("?"))
    }
}

impl fmt::Debug for Target {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        fmt::Display::fmt(self, f)
    }
}

/// Connects, and leaves the connection's own work to a task of the current runtime, which ends when the client is dropped.
///
/// # Errors
/// When the server cannot be reached, or refuses.
pub async fn connect(target: &Target) -> Result<Client, PostgresError> {
    let attempt = target.config.connect(target.tls()?);
    // The driver's own limit covers the connection, not the log-in that follows.
    let limit = CONNECT_TIMEOUT * 2;
    let (client, connection) = tokio::time::timeout(limit, attempt)
        .await
        .map_err(|_| PostgresError::Timeout {
            target: target.to_string(),
            what: "connecting",
            seconds: limit.as_secs(),
        })?
        .map_err(|error| PostgresError::call(target, target.connecting(&error))(error))?;
    tokio::spawn(async move {
        // Whoever uses the client gets the error; here it would be told twice.
        if let Err(error) = connection.await {
            tracing::debug!(%error, "the connection to PostgreSQL ended");
        }
    });
    Ok(client)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_password_never_shows() {
        let target = Target::parse("postgres://me:hunter2@db.example:5433/market?sslmode=verify-full").unwrap();
        assert_eq!(format!("{target} {target:?}"), "db.example:5433/market db.example:5433/market");
        assert_eq!((target.verify, target.config.get_ssl_mode()), (Verify::Host, SslMode::Require));
        for url in [
            "postgres://me:hunter2@db:port/x",
            "me:hunter2@db",
            "postgres://me:hunter2@db/x?hunter2=1",
            "postgres://me:hunter2@db/my x",
            "",
        ] {
            let error = Target::parse(url).unwrap_err();
            assert!(!format!("{error} {error:?}").contains("hunter2"), "{error}");
        }
    }

    #[test]
    fn tls_means_what_it_means_to_libpq() {
        let parse = |query: &str| {
            let target = Target::parse(&format!("postgres://h/d?{query}")).unwrap();
            (target.verify, target.config.get_ssl_mode())
        };
        assert_eq!(parse(""), (Verify::Nothing, SslMode::Prefer));
        assert_eq!(parse("sslmode=disable"), (Verify::Nothing, SslMode::Disable));
        assert_eq!(parse("sslmode=require"), (Verify::Nothing, SslMode::Require));
        assert_eq!(parse("sslmode=require&sslrootcert=/ca.pem"), (Verify::Authority, SslMode::Require));
        assert_eq!(parse("sslmode=verify-ca&sslrootcert=/ca.pem"), (Verify::Authority, SslMode::Require));
        let root = |query: &str| Target::parse(&format!("postgres://h/d?{query}")).map(|target| target.root);
        assert_eq!(root("sslrootcert=%2Fmy%20ca.pem").unwrap().as_deref(), Some("/my ca.pem"));
        assert!(root("sslrootcert=%2").is_err());
        assert!(root("sslmode=verify-ca").unwrap_err().to_string().contains("use verify-full"));
    }
}
