//! A Kafka that belongs to one test, with listeners for TLS and for SASL over TLS.

use std::fs;

use super::authority::Authority;
use super::deploy;

/// The broker; it stops and its data go when this goes out of scope.
pub struct GuardedKafka {
    folder: tempfile::TempDir,
    /// Without TLS, on 127.0.0.1.
    pub plaintext: u16,
    /// TLS.
    pub ssl: u16,
    /// TLS with SASL: SCRAM or PLAIN.
    pub sasl_ssl: u16,
}

impl GuardedKafka {
    /// Starts one with a certificate for `host`, and a user with a password: `scram` with SCRAM, `plain` with PLAIN.
    /// Nothing, and a word about it, where Kafka or Java is not installed.
    ///
    /// A second time where the first fails: on a machine full of brokers one may not be up in time.
    pub fn start(authority: &Authority, host: &str, password: &str) -> Option<Self> {
        match Self::begin(authority, host, password)? {
            Ok(server) => Some(server),
            Err(why) => {
                eprintln!("a broker did not start: {why}");
                Some(Self::begin(authority, host, password)?.expect("a broker that starts"))
            }
        }
    }

    fn begin(authority: &Authority, host: &str, password: &str) -> Option<Result<Self, String>> {
        let folder = deploy::folder("kafka");
        let made = "from servers.kafka import Kafka, cache_env\nfrom servers.process import free_port\nimport os, shutil\n\
                    jars = os.environ.get('TICKCAST_KAFKA_JARS') or cache_env()['TICKCAST_KAFKA_JARS']\n\
                    assert shutil.which('java') and os.path.isdir(jars), 'Kafka is not installed: run `make setup`'\n\
                    print(*(free_port() for _ in range(4)))";
        let ports = match deploy::python(folder.path(), made) {
            Ok(ports) => ports,
            Err(why) => {
                eprintln!("SKIPPED: {why}");
                return None;
            }
        };
        let ports: Vec<u16> = ports.split(' ').map(|port| port.parse().expect("a port")).collect();
        let [plaintext, ssl, sasl_ssl, controller] = ports[..] else { panic!("four ports: {ports:?}") };
        let (certificate, key) = authority.certificate(host);
        let store = folder.path().join("broker.pem");
        fs::write(&store, format!("{key}{certificate}")).expect("a key store");
        let more = [
            (
                "listeners",
                format!(
                    "PLAINTEXT://127.0.0.1:{plaintext},SSL://127.0.0.1:{ssl},SASL_SSL://127.0.0.1:{sasl_ssl},\
                 CONTROLLER://127.0.0.1:{controller}"
                ),
            ),
            (
                "advertised.listeners",
                format!("PLAINTEXT://127.0.0.1:{plaintext},SSL://{host}:{ssl},SASL_SSL://{host}:{sasl_ssl}"),
            ),
            (
                "listener.security.protocol.map",
                "PLAINTEXT:PLAINTEXT,CONTROLLER:PLAINTEXT,SSL:SSL,SASL_SSL:SASL_SSL".into(),
            ),
            ("inter.broker.listener.name", "PLAINTEXT".into()),
            ("ssl.keystore.type", "PEM".into()),
            ("ssl.keystore.location", store.display().to_string()),
            ("sasl.enabled.mechanisms", "SCRAM-SHA-256,SCRAM-SHA-512,PLAIN".into()),
            (
                "listener.name.sasl_ssl.scram-sha-256.sasl.jaas.config",
                "org.apache.kafka.common.security.scram.ScramLoginModule required;".into(),
            ),
            (
                "listener.name.sasl_ssl.scram-sha-512.sasl.jaas.config",
                "org.apache.kafka.common.security.scram.ScramLoginModule required;".into(),
            ),
            (
                "listener.name.sasl_ssl.plain.sasl.jaas.config",
                format!("org.apache.kafka.common.security.plain.PlainLoginModule required user_plain=\"{password}\";"),
            ),
        ];
        let more = more.map(|(key, value)| format!("{key:?}: {value:?}")).join(", ");
        let server = Self { folder, plaintext, ssl, sasl_ssl };
        let line = format!(
            "server.more = {{{more}}}; server.users = {{'scram': {password:?}}}; server.begin(); server.finish()"
        );
        let begun = server.tell(&format!("server.ports['controller'] = {controller}; {line}"));
        Some(begun.map(|_| server))
    }

    fn tell(&self, line: &str) -> Result<String, String> {
        let script =
            format!("from servers.kafka import Kafka\nserver = Kafka(folder, {{'kafka': {}}})\n{line}", self.plaintext);
        deploy::python(self.folder.path(), &script)
    }
}

impl Drop for GuardedKafka {
    fn drop(&mut self) {
        let _ = self.tell("server.stop_signals = (signal.SIGKILL,); server.stop()");
    }
}
