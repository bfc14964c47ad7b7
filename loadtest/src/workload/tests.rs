//! What is drawn from which shape, and that every step can be done.

use super::*;
use crate::session::Terms;
use crate::sizes::Sizes;

const TERMS: Terms = Terms { run: 1, sizes: Sizes::Fixed(8), ttl_s: 60, short_ttl_s: 2, wave: None };

const SHAPE: Shape = Shape {
    mix: Mix::DEFAULT,
    zipf: 0.9,
    population: 10,
    abandoned_percent: 5,
    contested_percent: 2,
    has_data: true,
};

/// The first steps of a core whose creations all fail to be recorded.
fn first_steps(seed: u64, shape: Shape, count: usize) -> Vec<Step> {
    let mut ledger = Ledger::new(TERMS, 0);
    let mut workload = Workload::new(Rng::new(seed), shape);
    (0..count).map(|_| workload.next(&mut ledger, Moment::default())).collect()
}

#[test]
fn a_seed_always_gives_the_same_steps() {
    assert_eq!(first_steps(3, SHAPE, 100), first_steps(3, SHAPE, 100));
    assert_ne!(first_steps(3, SHAPE, 100), first_steps(4, SHAPE, 100));
}

#[test]
fn a_core_without_sessions_makes_some() {
    let steps = first_steps(5, SHAPE, 500);
    assert!(steps.iter().all(|step| matches!(step, Step::Create { .. })));
    let leaving = |step: &&Step| matches!(step, Step::Create { visit: Visit::Abandons, .. });
    let short = steps.iter().filter(leaving).count();
    assert!((5..60).contains(&short), "{short} of 500 are short-lived");
}

#[test]
fn the_population_is_made_first_and_no_more_than_can_be() {
    let mut workload = Workload::new(Rng::new(1), SHAPE);
    let mut ledger = Ledger::new(TERMS, 0);
    let mut made = 0;
    while let Some(step) = workload.fill(&mut ledger) {
        let _ = ledger.begin(step, Moment::default());
        made += 1;
    }
    assert_eq!(ledger.staying_count(), 10);
    assert!((10..30).contains(&made), "some are short-lived: {made}");
    // A server that takes none is asked a bounded number of times.
    let (mut workload, mut ledger) = (Workload::new(Rng::new(1), SHAPE), Ledger::new(TERMS, 0));
    assert_eq!(std::iter::from_fn(|| workload.fill(&mut ledger)).count(), 120);
}

#[test]
fn sessions_without_bytes_are_made_without_data() {
    for step in first_steps(1, Shape { has_data: false, contested_percent: 0, ..SHAPE }, 100) {
        assert!(matches!(step, Step::Create { with_data: false, .. }), "{step:?}");
    }
}

#[test]
fn bots_come_as_often_as_the_mix_says() {
    let mix = "bot=3,create=1".parse().unwrap();
    let steps = first_steps(2, Shape { mix, contested_percent: 0, ..SHAPE }, 1000);
    let bots = steps.iter().filter(|step| matches!(step, Step::Create { visit: Visit::Bot, .. })).count();
    assert!((700..800).contains(&bots), "{bots} of 1000");
}

#[test]
fn a_mix_is_read_from_its_parts_and_written_with_those_that_count() {
    assert_eq!("read=80,update=10,create=5,delete=5".parse(), Ok(Mix::DEFAULT));
    assert_eq!(Mix::DEFAULT.to_string(), "read=80,update=10,create=5,delete=5");
    let mix = Mix { read: 1, update: 0, create: 0, delete: 0, bot: 7 };
    assert_eq!("bot=7,read=1".parse(), Ok(mix));
    for text in ["", "read", "read=", "read=-1", "write=3", "read=0", "read=1,", "read=99999999999"] {
        assert!(text.parse::<Mix>().is_err(), "{text:?}");
    }
}

#[test]
fn the_parts_of_a_mix_have_a_maximum_that_is_told() {
    let most = "read=1000000,update=1000000,create=1000000,delete=1000000,bot=1000000";
    assert_eq!(most.parse::<Mix>().map(Mix::sum), Ok(5 * PART_MAX as usize));
    for text in ["read=1000001", "read=4294967295,bot=4294967295", "read=4294967296"] {
        let error = text.parse::<Mix>().expect_err(text).to_string();
        assert!(error.contains("none above 1000000"), "{error}");
    }
}
