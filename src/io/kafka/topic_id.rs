//! Which topic a name stands for: a topic that is deleted and made anew keeps its name and loses its records, and only its
//! id tells. The safe API of rdkafka does not give the id, so this file calls librdkafka, and nothing else in it is unsafe.

use std::ffi::{CStr, CString};
use std::fmt;
use std::ptr::{self, NonNull};
use std::time::Duration;

use rdkafka::bindings as rd;
use rdkafka::client::{Client, ClientContext};

use super::KafkaError;

/// A topic of a cluster, whatever it is called.
#[derive(Clone, Debug, PartialEq, Eq, Hash)]
pub struct TopicIdentity {
    /// The cluster's id, as `kafka-cluster cluster-id` shows it.
    pub cluster_id: String,
    /// The topic's id in URL-safe base64, as `kafka-topics --describe` shows it.
    pub topic_id: String,
}

impl fmt::Display for TopicIdentity {
    /// `cluster/topic`: neither id holds a slash (both are URL-safe base64).
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        write!(f, "{}/{}", self.cluster_id, self.topic_id)
    }
}

/// Asks Kafka which topic `topic` is; waits for at most `timeout`, twice.
///
/// Any client will do, a consumer within its rebalance callback included: the answer comes on a queue of its own.
///
/// # Errors
/// When Kafka does not answer in time, or does not know the topic.
pub fn identity<C: ClientContext>(
    client: &Client<C>,
    topic: &str,
    timeout: Duration,
) -> Result<TopicIdentity, KafkaError> {
    let cluster_id = client
        .fetch_cluster_id(timeout)
        .ok_or_else(|| KafkaError::State("the cluster did not say its id: are the brokers up?".to_owned()))?;
    Ok(TopicIdentity { cluster_id, topic_id: topic_id(client, topic, timeout)? })
}

/// Asks Kafka for the id of `topic`, in URL-safe base64; waits for at most `timeout`.
///
/// # Errors
/// When Kafka does not answer in time, or does not know the topic.
pub fn topic_id<C: ClientContext>(client: &Client<C>, topic: &str, timeout: Duration) -> Result<String, KafkaError> {
    let failed = |why: &str| KafkaError::State(format!("asking for the id of topic {topic}: {why}"));
    let name = CString::new(topic).map_err(|_| failed("a name cannot hold a NUL"))?;
    let millis = i32::try_from(timeout.as_millis()).unwrap_or(i32::MAX);
    let rk = client.native_ptr();

    // SAFETY: `rk` is valid for as long as `client` is borrowed. Everything made here is owned by an `Owned`, which destroys
    // it once, in reverse order, on every path: the event before the queue it came from. librdkafka copies the names and
    // the options before `rd_kafka_DescribeTopics` returns. Pointers read out of the event are used before it is dropped.
    unsafe {
        let queue = Owned::new(rd::rd_kafka_queue_new(rk), rd::rd_kafka_queue_destroy, failed)?;
        let operation = rd::rd_kafka_admin_op_t::RD_KAFKA_ADMIN_OP_DESCRIBETOPICS;
        let options =
            Owned::new(rd::rd_kafka_AdminOptions_new(rk, operation), rd::rd_kafka_AdminOptions_destroy, failed)?;
        rd::rd_kafka_AdminOptions_set_request_timeout(options.ptr(), millis, ptr::null_mut(), 0);
        let mut names = [name.as_ptr()];
        let names = rd::rd_kafka_TopicCollection_of_topic_names(names.as_mut_ptr(), names.len());
        let names = Owned::new(names, rd::rd_kafka_TopicCollection_destroy, failed)?;
        rd::rd_kafka_DescribeTopics(rk, names.ptr(), options.ptr(), queue.ptr());

        // librdkafka answers with an error of its own when its time is over; the extra second lets that come through.
        let event = rd::rd_kafka_queue_poll(queue.ptr(), millis.saturating_add(1_000));
        let event = Owned::new(event, rd::rd_kafka_event_destroy, |_| failed("no answer in time"))?;
        if rd::rd_kafka_event_error(event.ptr()) != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(failed(&text(rd::rd_kafka_event_error_string(event.ptr()))));
        }
        let result = rd::rd_kafka_event_DescribeTopics_result(event.ptr());
        if result.is_null() {
            return Err(failed("the answer is of another kind"));
        }
        let mut count = 0;
        let topics = rd::rd_kafka_DescribeTopics_result_topics(result, &raw mut count);
        if topics.is_null() || count != 1 {
            return Err(failed("the answer does not hold one topic"));
        }
        let description = *topics;
        let error = rd::rd_kafka_TopicDescription_error(description);
        if rd::rd_kafka_error_code(error) != rd::rd_kafka_resp_err_t::RD_KAFKA_RESP_ERR_NO_ERROR {
            return Err(failed(&text(rd::rd_kafka_error_string(error))));
        }
        let id = rd::rd_kafka_TopicDescription_topic_id(description);
        if id.is_null() {
            return Err(failed("the broker gives topics no ids: Kafka 3.1 or later is needed"));
        }
        // The text belongs to the id, the id to the event. librdkafka writes plain base64, Kafka's own tools the URL-safe one.
        Ok(text(rd::rd_kafka_Uuid_base64str(id)).replace('+', "-").replace('/', "_"))
    }
}

/// An object of librdkafka that is destroyed when it goes out of scope.
struct Owned<T> {
    pointer: NonNull<T>,
    destroy: unsafe extern "C" fn(*mut T),
}

impl<T> Owned<T> {
    /// # Safety
    /// `pointer` is null or owned by nobody else, and `destroy` is what frees it.
    unsafe fn new(
        pointer: *mut T,
        destroy: unsafe extern "C" fn(*mut T),
        failed: impl Fn(&str) -> KafkaError,
    ) -> Result<Self, KafkaError> {
        let pointer = NonNull::new(pointer).ok_or_else(|| failed("librdkafka refused the request"))?;
        Ok(Self { pointer, destroy })
    }

    fn ptr(&self) -> *mut T {
        self.pointer.as_ptr()
    }
}

impl<T> Drop for Owned<T> {
    fn drop(&mut self) {
        // SAFETY: see `Owned::new`; nothing else destroys it.
        unsafe { (self.destroy)(self.ptr()) }
    }
}

/// # Safety
/// `text` is null or a C string that outlives the call.
unsafe fn text(text: *const std::ffi::c_char) -> String {
    if text.is_null() {
        return "no reason given".to_owned();
    }
    // SAFETY: not null, and a C string as the caller promises.
    unsafe { CStr::from_ptr(text) }.to_string_lossy().into_owned()
}
