//! Which user comes next: a few come often, most of them rarely.
//!
//! Ranks are drawn from the continuous form of Zipf's law: rank `k` comes as often as the
//! integral of `x^-s` from `k + 1` to `k + 2` says. It takes one power and no table, so
//! ten million users cost no more than ten. An exponent of 0 draws all alike.

use crate::rng::Rng;

/// The largest exponent: beyond it the first user is almost alone.
pub const EXPONENT_MAX: f64 = 3.0;

/// Nearer to 1 than this the law is that of 1, whose integral has another form.
const NEAR_ONE: f64 = 1e-6;

/// A law for so many ranks.
#[derive(Clone, Copy, Debug)]
pub struct Zipf {
    exponent: f64,
    /// How many ranks there are. At least 1.
    count: usize,
    /// What the drawn share is scaled by; from both of the above.
    scale: f64,
}

impl Zipf {
    /// The law with this exponent, 0 to [`EXPONENT_MAX`], over `count` ranks.
    pub fn new(exponent: f64, count: usize) -> Self {
        debug_assert!((0.0..=EXPONENT_MAX).contains(&exponent), "the exponent is within its bounds");
        let count = count.max(1);
        let end = count as f64 + 1.0;
        let scale = if is_one(exponent) { end.ln() } else { end.powf(1.0 - exponent) - 1.0 };
        Self { exponent, count, scale }
    }

    /// How many ranks it draws from.
    pub const fn count(&self) -> usize {
        self.count
    }

    /// A rank below [`Self::count`]; 0 comes most often.
    pub fn draw(&self, rng: &mut Rng) -> usize {
        if self.exponent == 0.0 {
            return rng.below(self.count);
        }
        // 53 bits are all that a share of one holds.
        let share = (rng.bits() >> 11) as f64 / (1_u64 << 53) as f64;
        let point = if is_one(self.exponent) {
            (share * self.scale).exp()
        } else {
            share.mul_add(self.scale, 1.0).powf(1.0 / (1.0 - self.exponent))
        };
        debug_assert!(point >= 1.0, "ranks are counted from 1 here: {point}");
        // Rounding may reach the open end.
        (point as usize - 1).min(self.count - 1)
    }
}

fn is_one(exponent: f64) -> bool {
    (exponent - 1.0).abs() < NEAR_ONE
}

#[cfg(test)]
mod tests {
    use super::*;

    fn counts(zipf: Zipf, draws: usize) -> Vec<usize> {
        let mut rng = Rng::new(5);
        let mut counts = vec![0; zipf.count()];
        for _ in 0..draws {
            counts[zipf.draw(&mut rng)] += 1;
        }
        counts
    }

    #[test]
    fn every_rank_comes_as_often_as_the_integral_says() {
        for exponent in [0.5, 0.99, 1.0, 1.0 + 1e-9, 1.5] {
            let (draws, ranks) = (200_000, 50);
            let counts = counts(Zipf::new(exponent, ranks), draws);
            let integral = |from: f64, to: f64| {
                let steps = 200;
                let width = (to - from) / f64::from(steps);
                (0..steps)
                    .map(|at| (from + (f64::from(at) + 0.5) * width).powf(-exponent) * width)
                    .sum::<f64>()
            };
            let whole: f64 = (1..=ranks).map(|rank| integral(rank as f64, rank as f64 + 1.0)).sum();
            for (rank, count) in counts.into_iter().enumerate() {
                let expected = integral(rank as f64 + 1.0, rank as f64 + 2.0) / whole * draws as f64;
                let off = (count as f64 - expected).abs();
                // Five standard deviations of a count.
                assert!(
                    off < 5.0 * expected.sqrt() + 5.0,
                    "s {exponent}, rank {rank}: {count}, not {expected}"
                );
            }
        }
    }

    #[test]
    fn an_exponent_of_nothing_draws_all_alike() {
        let counts = counts(Zipf::new(0.0, 10), 100_000);
        assert!(counts.iter().all(|count| (9_500..10_500).contains(count)), "{counts:?}");
    }

    #[test]
    fn one_rank_is_always_drawn_and_many_are_never_passed() {
        assert_eq!(counts(Zipf::new(0.99, 1), 100), [100]);
        assert_eq!(Zipf::new(0.99, 0).count(), 1, "nothing to draw from is one rank");
        let (many, mut rng) = (Zipf::new(0.8, 10_000_000), Rng::new(1));
        let most = (0..100_000).map(|_| many.draw(&mut rng)).max();
        assert!(most.is_some_and(|most| (9_000_000..10_000_000).contains(&most)), "{most:?}");
    }
}
