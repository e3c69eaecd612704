//! A collector of spans: OTLP over HTTP, as little of it as an exporter needs.

use std::collections::BTreeMap;
use std::io::{BufRead as _, BufReader, Read as _, Write as _};
use std::net::{SocketAddr, TcpListener, TcpStream};
use std::sync::{Arc, Mutex};

use opentelemetry_proto::tonic::collector::trace::v1::ExportTraceServiceRequest;
use opentelemetry_proto::tonic::common::v1::any_value::Value;
use prost::Message as _;

/// A span as it came; ids in hexadecimal.
#[derive(Clone, Debug)]
pub struct Span {
    pub name: String,
    pub trace: String,
    pub id: String,
    /// Empty for the first of its trace.
    pub parent: String,
    pub attributes: BTreeMap<String, i64>,
    /// Trace and span of each link.
    pub links: Vec<(String, String)>,
    pub begun: u64,
    pub ended: u64,
}

/// What it was sent. It ends with the process.
pub struct Collector {
    pub address: SocketAddr,
    spans: Arc<Mutex<Vec<Span>>>,
}

impl Collector {
    /// One that takes everything.
    pub fn start() -> Self {
        let (listener, address) = listen();
        let spans = Arc::new(Mutex::new(Vec::new()));
        let to = Arc::clone(&spans);
        std::thread::spawn(move || {
            // One thread after the other: an exporter sends one batch at a time.
            listener.incoming().for_each(|stream| to.lock().unwrap().extend(take(stream.unwrap())));
        });
        Self { address, spans }
    }

    /// One that takes connections and never answers; dropped by nobody.
    pub fn mute() -> SocketAddr {
        let (listener, address) = listen();
        std::thread::spawn(move || {
            let _held: Vec<_> = listener.incoming().collect();
        });
        address
    }

    /// Everything so far.
    pub fn spans(&self) -> Vec<Span> {
        self.spans.lock().unwrap().clone()
    }
}

fn listen() -> (TcpListener, SocketAddr) {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let address = listener.local_addr().expect("an address");
    (listener, address)
}

fn take(stream: TcpStream) -> Vec<Span> {
    let mut reader = BufReader::new(stream);
    let mut head = Vec::new();
    while !head.ends_with(b"\r\n\r\n") {
        assert!(reader.read_until(b'\n', &mut head).expect("a head") > 0, "{}", String::from_utf8_lossy(&head));
    }
    let head = String::from_utf8(head).expect("a head is text").to_lowercase();
    assert!(head.starts_with("post /v1/traces http/1.1\r\n"), "{head}");
    assert!(head.contains("\r\ncontent-type: application/x-protobuf\r\n"), "{head}");
    let length = head.lines().find_map(|line| line.strip_prefix("content-length: ")).expect("a length");
    let mut body = vec![0; length.parse().expect("a number")];
    reader.read_exact(&mut body).expect("a body");
    let request = ExportTraceServiceRequest::decode(&body[..]).expect("spans");
    reader.get_mut().write_all(b"HTTP/1.1 200 OK\r\nContent-Length: 0\r\n\r\n").expect("somebody listens");
    let mut spans = Vec::new();
    for resource in request.resource_spans {
        let attributes = resource.resource.expect("a resource").attributes;
        assert!(attributes.iter().any(|pair| pair.key == "service.name"), "{attributes:?}");
        for span in resource.scope_spans.into_iter().flat_map(|scope| scope.spans) {
            spans.push(Span {
                name: span.name,
                trace: hex(&span.trace_id),
                id: hex(&span.span_id),
                parent: hex(&span.parent_span_id),
                attributes: span
                    .attributes
                    .into_iter()
                    .filter_map(|pair| match pair.value?.value? {
                        Value::IntValue(number) => Some((pair.key, number)),
                        _ => None,
                    })
                    .collect(),
                links: span.links.iter().map(|link| (hex(&link.trace_id), hex(&link.span_id))).collect(),
                begun: span.start_time_unix_nano,
                ended: span.end_time_unix_nano,
            });
        }
    }
    spans
}

fn hex(id: &[u8]) -> String {
    id.iter().map(|byte| format!("{byte:02x}")).collect()
}
