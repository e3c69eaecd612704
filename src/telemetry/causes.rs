//! An error and its causes in one line, each said once.

/// The error and its causes, joined by `: `. A cause whose text the one above it already holds is left out: many libraries show
/// their source and give it as a source, too.
pub fn told(error: &anyhow::Error) -> String {
    let mut text = String::new();
    let mut above = String::new();
    for cause in error.chain() {
        let cause = cause.to_string();
        if !above.is_empty() && above.contains(&cause) {
            continue;
        }
        if !text.is_empty() {
            text.push_str(": ");
        }
        text.push_str(&cause);
        above = cause;
    }
    text
}

#[cfg(test)]
mod tests {
    use anyhow::Context as _;

    use super::*;
    use crate::io::kafka::KafkaError;

    #[test]
    fn a_cause_that_is_shown_already_is_not_repeated() {
        let code = rdkafka::types::RDKafkaErrorCode::BrokerTransportFailure;
        let error = KafkaError::call("asking")(rdkafka::error::KafkaError::MetadataFetch(code));
        let told = told(&anyhow::Error::from(error).context("looking"));
        assert!(told.starts_with("looking: Kafka: asking: Meta data fetch error: BrokerTransportFailure"), "{told}");
        assert_eq!(told.matches("BrokerTransportFailure").count(), 1, "{told}");
    }

    #[test]
    fn a_cause_that_is_not_shown_is_told() {
        let error = Err::<(), _>(std::io::Error::other("the disk is full")).context("writing");
        assert_eq!(told(&error.unwrap_err()), "writing: the disk is full");
    }
}
