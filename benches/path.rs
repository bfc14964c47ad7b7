//! What a request costs beside its sockets: judged alone, and from bytes in to bytes out.
//!
//! `cargo bench --bench path`; with `--test` over 10,000 sessions instead of a million.

use std::hint::black_box;

use criterion::{Criterion, Throughput, criterion_group};
use mimalloc::MiMalloc;
use seshun::api::{Caller, Judge};
use seshun::http::{Connection, Event, Limits};
use seshun::registry::{BucketState, Replica};
use seshun::types::{ApiKey, BucketId, BucketName};

#[path = "path/bed.rs"]
mod bed;
#[path = "path/requests.rs"]
mod requests;

use bed::{Bed, DATA_BYTES};
use requests::{Requests, template};

#[global_allocator]
static ALLOCATOR: MiMalloc = MiMalloc;

/// Requests that a pipelining client sends at once.
const PIPELINED: usize = 16;
/// So few sessions that they stay in a core's cache.
const SESSIONS_IN_CACHE: usize = 100;

fn sessions() -> usize {
    if std::env::args().any(|argument| argument == "--test") { 10_000 } else { 1_000_000 }
}

fn judging(c: &mut Criterion) {
    let bucket = BucketName::parse(b"cart").expect("a bucket's name");
    let mut replica = Replica::new(&[7; 32]);
    let key = Some(ApiKey::from_random(&[1; 32]));
    replica.restore(&[BucketState { id: BucketId::new(0), name: bucket, key }]);
    let settings = bed::settings();
    let judge = Judge { settings: &settings, replica: &replica, is_draining: false };
    let mut connection = Connection::new(Limits::default());
    let key = ApiKey::from_random(&[1; 32]);
    let head = format!(
        "GET /session/cart/0191d6b2-7e2a-4c3d-9f10-0a1b2c3d4e5f HTTP/1.1\r\nHost: seshun.internal:8385\r\n\
         User-Agent: axios/1.7.9\r\nAccept: application/json, text/plain, */*\r\nX-Session-Key: {}\r\n\r\n",
        key.expose()
    );
    connection.receive(head.as_bytes());
    assert_eq!(connection.poll(), Event::Head);
    let (caller, mut content_type) = (Caller { is_loopback: true }, Vec::new());
    let mut group = c.benchmark_group("judge");
    group.throughput(Throughput::Elements(1));
    group.bench_function("route_and_key", |b| {
        b.iter(|| judge.judge(&black_box(connection.head()), caller, &mut content_type).is_ok());
    });
    group.finish();
}

/// Measures requests of a connection to the first node, about any of these sessions.
fn exchange(c: &mut Criterion, name: &str, bed: &mut Bed, mut requests: Requests) {
    let (mut link, mut received) = (bed.connect(0), Vec::new());
    let mut group = c.benchmark_group("path");
    group.throughput(Throughput::Elements(requests.places.len() as u64));
    group.bench_function(name, |b| {
        b.iter(|| {
            received.clear();
            bed.exchange(&mut link, requests.next(), &mut received);
            assert!(received.starts_with(b"HTTP/1.1 200"));
        });
    });
    group.finish();
}

fn local(c: &mut Criterion) {
    let mut bed = Bed::new(1);
    let ids = bed.fill(0, sessions());
    let (get, post) = (template(&bed, "GET", 0), template(&bed, "POST", DATA_BYTES));
    exchange(c, "get", &mut bed, Requests::new(&get, 1, ids.clone()));
    exchange(c, "get_pipelined", &mut bed, Requests::new(&get, PIPELINED, ids.clone()));
    exchange(c, "post", &mut bed, Requests::new(&post, 1, ids.clone()));
    // The same without the misses of the caches: what the code itself costs.
    let few = ids[..SESSIONS_IN_CACHE].to_vec();
    exchange(c, "get_in_cache", &mut bed, Requests::new(&get, 1, few.clone()));
    exchange(c, "post_in_cache", &mut bed, Requests::new(&post, 1, few));
}

fn forwarded(c: &mut Criterion) {
    let mut bed = Bed::new(2);
    let ids = bed.fill(1, SESSIONS_IN_CACHE);
    let get = template(&bed, "GET", 0);
    exchange(c, "forwarded_get_in_cache", &mut bed, Requests::new(&get, 1, ids.clone()));
    exchange(c, "forwarded_get_pipelined_in_cache", &mut bed, Requests::new(&get, PIPELINED, ids));
}

criterion_group!(benches, judging, local, forwarded);

fn main() {
    // As the server does.
    seshun::runtime::allocator::prepare();
    benches();
    Criterion::default().configure_from_args().final_summary();
}
