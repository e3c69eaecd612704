//! Whether the brokers let us in; if not, why, and which setting mends it.
//!
//! librdkafka tries for ever, and what it answers to a question in the meantime is that there is no broker. The reason, such as
//! a wrong password, comes as an event beside it. Not here: what happens to a client that was let in once ([`super::client`]).

use std::net::{TcpStream, ToSocketAddrs as _};
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use openssl::ssl::HandshakeError;
use openssl::x509::X509VerifyResult;
use rdkafka::ClientContext;
use rdkafka::config::RDKafkaLogLevel;
use rdkafka::error::{KafkaError as Error, RDKafkaErrorCode as Code};
use rdkafka::message::DeliveryResult;
use rdkafka::producer::{BaseProducer, Producer as _, ProducerContext};

use super::{KafkaError, client};
use crate::config::Kafka;
use crate::io::tls;

/// How long brokers that are away are waited for: they may be starting.
const PATIENCE: Duration = Duration::from_secs(30);
/// How often the events are looked at.
const SLICE: Duration = Duration::from_millis(100);
/// Events that are taken at a look: more than there are brokers' complaints in a slice.
const EVENTS: u32 = 16;
/// How long one look at a broker's certificate may take.
const LOOK: Duration = Duration::from_secs(5);

/// What went wrong, the newest of each kind.
#[derive(Clone, Default)]
struct Heard(Arc<Mutex<Vec<(Code, String)>>>);

impl ClientContext for Heard {
    fn error(&self, error: Error, reason: &str) {
        if let Some(code) = error.rdkafka_error_code() {
            self.note(code, reason);
        }
    }

    /// A broker that hangs up is no error to librdkafka: it is a line of its log.
    fn log(&self, _: RDKafkaLogLevel, facility: &str, line: &str) {
        if facility == "FAIL" {
            self.note(Code::BrokerTransportFailure, line.split_once("]: ").map_or(line, |(_, reason)| reason));
        }
    }
}

impl Heard {
    fn note(&self, code: Code, reason: &str) {
        let mut heard = self.0.lock().unwrap_or_else(PoisonError::into_inner);
        heard.retain(|(other, _)| *other != code);
        heard.push((code, reason.to_owned()));
    }
}

impl ProducerContext for Heard {
    type DeliveryOpaque = ();

    fn delivery(&self, _: &DeliveryResult<'_>, (): ()) {}
}

/// Connects once, and leaves nothing behind.
///
/// # Errors
/// When all brokers refuse us, at once; when none answers, after half a minute.
pub fn reach(config: &Kafka) -> Result<(), KafkaError> {
    reach_unless(config, || false)
}

/// The same; returns at once, without an answer, when `stop` says so.
///
/// # Errors
/// See [`reach`].
pub fn reach_unless(config: &Kafka, stop: impl Fn() -> bool) -> Result<(), KafkaError> {
    let refused = |cause: String, remedy: String| KafkaError::Unreached {
        brokers: config.brokers.clone(),
        protocol: config.security_protocol.clone(),
        cause,
        remedy,
    };
    let heard = Heard::default();
    let mut settings = client::base(config);
    settings.set_log_level(RDKafkaLogLevel::Info);
    let producer: BaseProducer<Heard> = settings.create_with_context(heard.clone()).map_err(|error| {
        let remedy = if config.ssl_ca_location.is_empty() {
            "see the keys kafka.security_protocol, kafka.sasl_* and kafka.ssl_ca_location".to_owned()
        } else {
            format!("kafka.ssl_ca_location `{}` must be a file of certificates (PEM)", config.ssl_ca_location)
        };
        refused(error.to_string(), remedy)
    })?;
    let topic = format!("{}ticks", config.topic_prefix);
    let deadline = Instant::now() + PATIENCE;
    let mut told = false;
    while !stop() {
        let answer = producer.client().fetch_metadata(Some(&topic), SLICE);
        (0..EVENTS).for_each(|_| producer.poll(Duration::ZERO));
        if answer.is_ok() {
            return Ok(());
        }
        let heard = heard.0.lock().unwrap_or_else(PoisonError::into_inner).clone();
        // One of several brokers may refuse us while another is still being connected to.
        let refusal = heard.iter().find(|(code, reason)| is_refusal(*code, reason));
        if let Some((code, reason)) = refusal.filter(|_| heard.iter().any(|(code, _)| *code == Code::AllBrokersDown)) {
            let (cause, remedy) = explain(config, *code, reason);
            return Err(refused(cause, remedy));
        }
        if Instant::now() > deadline {
            let nothing = (Code::AllBrokersDown, "no broker answers".to_owned());
            let (code, reason) = heard.iter().rfind(|(code, _)| *code != Code::AllBrokersDown).unwrap_or(&nothing);
            let (cause, remedy) = explain(config, *code, reason);
            return Err(refused(cause, remedy));
        }
        let complaint = heard.iter().rfind(|(code, _)| *code != Code::AllBrokersDown);
        if let (Some((_, why)), false) = (complaint, told) {
            told = true;
            let brokers = &config.brokers;
            tracing::warn!(
                brokers,
                why,
                "Kafka cannot be reached (kafka.brokers); trying for {} s",
                PATIENCE.as_secs()
            );
        }
    }
    Ok(())
}

/// Whether trying again cannot help.
fn is_refusal(code: Code, reason: &str) -> bool {
    matches!(code, Code::SSL | Code::Authentication | Code::UnsupportedFeature) || is_other_protocol(reason)
}

/// Whether the listener speaks no TLS, as far as librdkafka can guess. The other way round it just hangs up, as a proxy does
/// whose broker is starting: that is waited for.
fn is_other_protocol(reason: &str) -> bool {
    reason.contains("PLAINTEXT broker listener")
}

/// Cause and remedy.
fn explain(config: &Kafka, code: Code, reason: &str) -> (String, String) {
    let protocol = &config.security_protocol;
    let remedy = match code {
        _ if is_other_protocol(reason) => {
            format!("does that listener speak {protocol}? kafka.security_protocol must be what it speaks")
        }
        Code::Authentication => format!(
            "check kafka.sasl_username `{}`, its password (kafka.sasl_password_file or TICKCAST__KAFKA__SASL_PASSWORD) and \
             kafka.sasl_mechanism={}, and that the listener is one for {protocol}",
            config.sasl_username, config.sasl_mechanism
        ),
        Code::SSL => {
            let broker = reason.split_once("://").and_then(|(_, rest)| rest.split('/').next());
            let Some((broker, why)) = broker.and_then(|broker| Some((broker, certificate(config, broker)?))) else {
                let remedy = format!("is that a listener for TLS? kafka.security_protocol is {protocol}");
                return (reason.to_owned(), remedy);
            };
            let cause = format!("the certificate of {broker} is not accepted: {}", why.error_string());
            return (cause, certificate_remedy(config, broker, why));
        }
        _ => format!(
            "are the brokers up, can they be reached from here, and do they listen for kafka.security_protocol={protocol}?"
        ),
    };
    (reason.to_owned(), remedy)
}

/// What is wrong with the certificate that `broker` (host:port) shows; librdkafka does not tell. Nothing where it is good, or
/// shows none.
fn certificate(config: &Kafka, broker: &str) -> Option<X509VerifyResult> {
    let (host, _) = broker.rsplit_once(':')?;
    let root = Some(config.ssl_ca_location.as_str()).filter(|path| !path.is_empty());
    let builder = tls::client(root).ok()?;
    let stream = broker.to_socket_addrs().ok()?.find_map(|address| TcpStream::connect_timeout(&address, LOOK).ok())?;
    stream.set_read_timeout(Some(LOOK)).ok()?;
    match builder.build().connect(host.trim_matches(['[', ']']), stream) {
        Err(HandshakeError::Failure(failed)) => {
            Some(failed.ssl().verify_result()).filter(|why| *why != X509VerifyResult::OK)
        }
        _ => None,
    }
}

fn certificate_remedy(config: &Kafka, broker: &str, why: X509VerifyResult) -> String {
    let text = why.error_string();
    let authorities = match config.ssl_ca_location.as_str() {
        "" => "kafka.ssl_ca_location (empty: the system's authorities)".to_owned(),
        file => format!("kafka.ssl_ca_location `{file}`"),
    };
    if text.contains("mismatch") {
        format!("kafka.brokers (and the broker's advertised.listeners) must call {broker} as its certificate does")
    } else if text.contains("expired") || text.contains("not yet valid") {
        "renew it, or set this machine's clock".to_owned()
    } else {
        format!("{authorities} must name a PEM file with the authority that signed it")
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_wish_to_stop_ends_the_waiting() {
        // Port 1 is a reserved one that nothing listens on.
        let kafka = crate::config::load(None, &["kafka.brokers=127.0.0.1:1".to_owned()]).unwrap().kafka;
        let looks = std::cell::Cell::new(0);
        let stop = || looks.replace(looks.get() + 1) == 1;
        reach_unless(&kafka, stop).unwrap();
        assert_eq!(looks.get(), 2);
    }
}
