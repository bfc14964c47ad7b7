//! What a hop between cores costs.
//!
//! Posting and draining without any wake-up, which is what a busy core pays; the look at all
//! peers at a turn's end, where nothing was posted; and a round trip between two threads that
//! both sleep in between, which is nearly all wake-ups.

use std::hint::black_box;
use std::thread;

use criterion::{BatchSize, Criterion, Throughput, criterion_group, criterion_main};
use seshun::runtime::doorbell::{Doorbell, UnhungBell};
use seshun::runtime::driver::{CoreRuntime, DriverChoice};
use seshun::runtime::mailbox::{MailboxReceiver, MailboxRoom, MailboxSender, mailbox};

/// A pointer, as every item of the real lanes is.
type Frame = Box<u64>;
type Sender = MailboxSender<Frame, Frame, Frame>;
type Receiver = MailboxReceiver<Frame, Frame, Frame>;

/// Frames that one turn posts to one peer.
const BURST: u64 = 32;
const ROOM: MailboxRoom = MailboxRoom { requests_max: 1024, replies_max: 1024, controls_max: 64 };

fn new_mailbox() -> (Sender, Receiver, UnhungBell) {
    let (doorbell, bell) = Doorbell::new().expect("the system gives an eventfd");
    let (sender, receiver) = mailbox(ROOM, doorbell);
    (sender, receiver, bell)
}

fn post_and_drain(criterion: &mut Criterion) {
    let (sender, receiver, _bell) = new_mailbox();
    let mut group = criterion.benchmark_group("mailbox");
    group.throughput(Throughput::Elements(BURST));
    group.bench_function("post and drain, awake", |bencher| {
        bencher.iter_batched(
            || (0..BURST).map(Box::new).collect::<Vec<Frame>>(),
            |frames| {
                for frame in frames {
                    let _ = sender.post_request(frame);
                }
                sender.ring_if_parked();
                receiver.drain_requests(usize::MAX).map(|frame| *black_box(frame)).sum::<u64>()
            },
            BatchSize::SmallInput,
        );
    });
    group.finish();
}

fn look_at_peers(criterion: &mut Criterion) {
    let mut group = criterion.benchmark_group("mailbox/peers that got nothing");
    for count in [7, 63, 255] {
        let peers: Vec<_> = (0..count).map(|_| new_mailbox()).collect();
        group.bench_function(count.to_string(), |bencher| {
            bencher.iter(|| peers.iter().for_each(|(peer, ..)| black_box(peer).ring_if_parked()));
        });
    }
    group.finish();
}

/// Answers each request; a control frame ends it.
fn answer(mut receiver: Receiver, bell: UnhungBell, asking: Sender) {
    let mut runtime = CoreRuntime::build(DriverChoice::Auto).expect("a driver");
    let kind = runtime.kind();
    runtime.block_on(async {
        let mut bell = bell.hang(kind).expect("a bell enters its runtime");
        while receiver.try_control().is_none() {
            receiver.drain_requests(usize::MAX).for_each(|frame| asking.post_reply(frame));
            asking.ring_if_parked();
            if receiver.prepare_to_park() {
                let _ = bell.wait().await;
                receiver.unpark();
            }
        }
    });
}

fn round_trip(criterion: &mut Criterion) {
    let (to_answering, at_answering, answering_bell) = new_mailbox();
    let (to_asking, mut at_asking, asking_bell) = new_mailbox();
    let answering = thread::spawn(move || answer(at_answering, answering_bell, to_asking));
    let mut runtime = CoreRuntime::build(DriverChoice::Auto).expect("a driver");
    let kind = runtime.kind();
    let mut bell = None;
    let mut unhung = Some(asking_bell);
    criterion.bench_function("mailbox/round trip, both asleep", |bencher| {
        bencher.iter_custom(|rounds| {
            runtime.block_on(async {
                if let Some(unhung) = unhung.take() {
                    bell = Some(unhung.hang(kind).expect("a bell enters its runtime"));
                }
                let bell = bell.as_mut().expect("hung in the first round");
                let watch = Stopwatch::start();
                for round in 0..rounds {
                    let _ = to_answering.post_request(Box::new(round));
                    to_answering.ring_if_parked();
                    while at_asking.try_reply().is_none() {
                        if at_asking.prepare_to_park() {
                            let _ = bell.wait().await;
                            at_asking.unpark();
                        }
                    }
                }
                watch.elapsed()
            })
        });
    });
    let _ = to_answering.post_and_ring(Box::new(0));
    let _ = answering.join();
}

/// Wall time of a measurement.
struct Stopwatch(std::time::Instant);

impl Stopwatch {
    fn start() -> Self {
        #[expect(clippy::disallowed_methods, reason = "a bench measures real time")]
        Self(std::time::Instant::now())
    }

    fn elapsed(&self) -> std::time::Duration {
        self.0.elapsed()
    }
}

criterion_group!(benches, post_and_drain, look_at_peers, round_trip);
criterion_main!(benches);
