//! What HTTP costs beside the sockets: a usual request's head, a chunked body, an answer.
//!
//! `cargo bench --bench http`

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group, criterion_main};
use seshun::http::{BodyPlan, Connection, DateCache, Event, Limits, Persistence, ResponseWriter, Status};

/// About 300 bytes, as an app server's HTTP client sends them.
const REQUEST: &[u8] = b"GET /session/shop/0191d6b2-7e2a-4c3d-9f10-0a1b2c3d4e5f HTTP/1.1\r\n\
    Host: seshun.internal:8385\r\n\
    User-Agent: axios/1.7.9\r\n\
    Accept: application/json, text/plain, */*\r\n\
    Accept-Encoding: gzip, compress, deflate, br\r\n\
    X-SESSION-KEY: AAECAwQFBgcICQoLDA0ODxAREhMUFRYXGBkaGxwdHh8\r\n\
    Connection: keep-alive\r\n\r\n";

const BODY_BYTES: usize = 64 * 1024;
const CHUNK_BYTES: usize = 4 * 1024;

fn request_head(c: &mut Criterion) {
    let mut group = c.benchmark_group("request_head");
    group.throughput(Throughput::Bytes(REQUEST.len() as u64));
    let mut connection = Connection::new(Limits::default());
    group.bench_function("usual", |b| {
        b.iter(|| {
            connection.receive(black_box(REQUEST));
            assert_eq!(connection.poll(), Event::Head);
            black_box(connection.head().path());
            connection.finish_request();
        });
    });
    group.finish();
}

fn chunked_body(c: &mut Criterion) {
    let mut wire = b"PUT /session/shop HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n".to_vec();
    for chunk in vec![b'x'; BODY_BYTES].chunks(CHUNK_BYTES) {
        wire.extend_from_slice(format!("{:x}\r\n", chunk.len()).as_bytes());
        wire.extend_from_slice(chunk);
        wire.extend_from_slice(b"\r\n");
    }
    wire.extend_from_slice(b"0\r\n\r\n");
    let mut group = c.benchmark_group("chunked_body");
    group.throughput(Throughput::Bytes(BODY_BYTES as u64));
    let mut connection = Connection::new(Limits::default());
    group.bench_function("64 KiB in 4 KiB chunks", |b| {
        b.iter(|| {
            connection.receive(black_box(&wire));
            assert_eq!(connection.poll(), Event::Head);
            let _ = connection.accept_body(BodyPlan::Collect { bytes_max: BODY_BYTES });
            assert_eq!(connection.poll(), Event::Body);
            black_box(connection.take_body());
            connection.finish_request();
        });
    });
    group.finish();
}

fn response_head(c: &mut Criterion) {
    let date = DateCache::new();
    let mut out = Vec::new();
    c.bench_function("response_head", |b| {
        b.iter(|| {
            out.clear();
            ResponseWriter::begin(&mut out, black_box(Status::Ok), &date)
                .field("ETag", b"\"1\"")
                .field_number("X-Session-TTL", black_box(2_592_000))
                .connection(Persistence::KeepAlive)
                .body(black_box(b""), false);
            black_box(out.len());
        });
    });
}

criterion_group!(benches, request_head, chunked_body, response_head);
criterion_main!(benches);
