//! What the model knows of keys: which ones must be taken, which must not, and which may be
//! either because a change is under way.

use crate::registry::KeyOutcome;

/// The buckets of a simulation.
pub(super) const BUCKETS: [&str; 3] = ["cart", "shop", "blog"];

/// What is asked of a bucket's key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verb {
    Make,
    Read,
    Remove,
}

/// What must become of a request that shows a key.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub(super) enum Verdict {
    Good,
    Bad,
    /// The key is being removed: some cores know it and some do not.
    Unsure,
}

#[derive(Default)]
struct Bucket {
    /// The key, and the step at which it was handed out.
    current: Option<(String, u64)>,
    /// Keys whose removal was answered.
    removed: Vec<String>,
    /// Removals that have begun to arrive and were not answered.
    removals: usize,
    /// The last step at which there was one.
    removing_until: u64,
}

/// The keys of all buckets.
#[derive(Default)]
pub(super) struct Keys([Bucket; BUCKETS.len()]);

impl Keys {
    pub(super) fn current(&self, bucket: usize) -> Option<&str> {
        self.0[bucket].current.as_ref().map(|(key, _)| key.as_str())
    }

    pub(super) fn removed(&self, bucket: usize) -> &[String] {
        &self.0[bucket].removed
    }

    pub(super) fn removal_begins(&mut self, bucket: usize) {
        self.0[bucket].removals += 1;
    }

    pub(super) fn removal_ends(&mut self, bucket: usize, step: u64) {
        self.0[bucket].removals -= 1;
        self.0[bucket].removing_until = step;
    }

    /// Takes the authority's word, which is final for every core.
    pub(super) fn judged(&mut self, bucket: usize, verb: Verb, outcome: &KeyOutcome, step: u64) {
        let bucket = &mut self.0[bucket];
        let current = bucket.current.take();
        match (verb, outcome, current) {
            (Verb::Make, KeyOutcome::Made(key), None) => {
                bucket.current = Some((key.expose().to_owned(), step));
            }
            (Verb::Make, KeyOutcome::Taken, Some(current)) => bucket.current = Some(current),
            (Verb::Read, KeyOutcome::Found(key), Some(current)) => {
                assert_eq!(key.expose(), current.0);
                bucket.current = Some(current);
            }
            (Verb::Remove, KeyOutcome::Removed, Some((key, _))) => bucket.removed.push(key),
            (Verb::Read | Verb::Remove, KeyOutcome::Missing, None) => {}
            wrong => panic!("{wrong:?}"),
        }
    }

    /// What becomes of a request whose first byte was read at step `began`.
    pub(super) fn verdict(&self, bucket: usize, key: &str, began: u64) -> Verdict {
        let bucket = &self.0[bucket];
        match &bucket.current {
            Some((current, _)) if current != key => Verdict::Bad,
            None => Verdict::Bad,
            Some((_, made)) => {
                let is_settled = bucket.removals == 0 && bucket.removing_until < began && *made < began;
                if is_settled { Verdict::Good } else { Verdict::Unsure }
            }
        }
    }

    /// The same for a key that any bucket may have.
    pub(super) fn verdict_of_any(&self, key: &str, began: u64) -> Verdict {
        let verdicts = (0..BUCKETS.len()).map(|bucket| self.verdict(bucket, key, began));
        verdicts.fold(Verdict::Bad, |found, next| if found == Verdict::Bad { next } else { found })
    }
}
