//! How long blobs are: always the same, or as a distribution.
//!
//! Pure: a blob's length follows from a word that its session and version give, so that
//! whoever checks it later finds the same length without having kept it. The longest
//! length is known beforehand, because a server takes only so much.

use std::fmt;
use std::str::FromStr;

use crate::args::parse_size;

/// The widest lognormal: beyond it almost everything is nothing or the longest.
const SIGMA_MAX: f64 = 4.0;

/// The law that blobs' lengths follow, in bytes.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Sizes {
    /// All alike.
    Fixed(usize),
    /// Each length within the bounds as often as any other. `min <= max`
    Uniform {
        /// The shortest.
        min: usize,
        /// The longest.
        max: usize,
    },
    /// Most of them near the median, a few much longer, as sessions of real users are.
    LogNormal {
        /// Half of them are shorter. `1 <= median <= max`
        median: usize,
        /// The spread: a third of them lie outside of `median / e^sigma ..= median * e^sigma`.
        sigma: f64,
        /// What would be longer is cut to this.
        max: usize,
    },
}

/// Why a text is no law of sizes.
#[derive(Clone, PartialEq, Eq, Debug, thiserror::Error)]
#[error(
    "{0:?} is no size: write it like 1kb, uniform:200-4kb or lognormal:2kb,1.0,256kb (median, sigma, max)"
)]
pub struct SizesError(String);

impl Sizes {
    /// The longest that can be.
    pub const fn max(&self) -> usize {
        match *self {
            Self::Fixed(len) => len,
            Self::Uniform { max, .. } | Self::LogNormal { max, .. } => max,
        }
    }

    /// The length that follows from 64 evenly spread bits.
    pub fn len_of(&self, bits: u64) -> usize {
        let len = match *self {
            Self::Fixed(len) => len,
            Self::Uniform { min, max } => {
                let choices = u128::from(max.abs_diff(min) as u64) + 1;
                min + ((u128::from(bits) * choices) >> 64) as usize
            }
            Self::LogNormal { median, sigma, max } => {
                let len = median as f64 * (sigma * normal_of(bits)).exp();
                // The cast saturates, so an infinite length is the longest too.
                (len.round() as usize).clamp(1, max)
            }
        };
        debug_assert!(len <= self.max(), "nothing is longer than the longest");
        len
    }

    fn parse(text: &str) -> Option<Self> {
        let size = |text: &str| parse_size(text.trim()).ok();
        let Some((name, rest)) = text.split_once(':') else { return size(text).map(Self::Fixed) };
        match name {
            "fixed" => size(rest).map(Self::Fixed),
            "uniform" => {
                let (min, max) = rest.split_once('-')?;
                let (min, max) = (size(min)?, size(max)?);
                (min <= max).then_some(Self::Uniform { min, max })
            }
            "lognormal" => {
                let mut parts = rest.split(',');
                let median = size(parts.next()?)?;
                let sigma: f64 = parts.next()?.trim().parse().ok()?;
                let max = size(parts.next()?)?;
                let fits = (1..=max).contains(&median) && (0.0..=SIGMA_MAX).contains(&sigma);
                (fits && parts.next().is_none()).then_some(Self::LogNormal { median, sigma, max })
            }
            _ => None,
        }
    }
}

impl FromStr for Sizes {
    type Err = SizesError;

    fn from_str(text: &str) -> Result<Self, SizesError> {
        Self::parse(text).ok_or_else(|| SizesError(text.to_owned()))
    }
}

impl fmt::Display for Sizes {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        match self {
            Self::Fixed(len) => write!(f, "{len}"),
            Self::Uniform { min, max } => write!(f, "uniform:{min}-{max}"),
            Self::LogNormal { median, sigma, max } => write!(f, "lognormal:{median},{sigma},{max}"),
        }
    }
}

/// A normally distributed number from evenly spread bits (Box and Muller, 1958).
fn normal_of(bits: u64) -> f64 {
    let half = |word: u32| (f64::from(word) + 0.5) / 2.0_f64.powi(32);
    let (radius, angle) = (half((bits >> 32) as u32), half(bits as u32));
    (-2.0 * radius.ln()).sqrt() * (std::f64::consts::TAU * angle).cos()
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::rng::Rng;

    fn drawn(sizes: Sizes, count: usize) -> Vec<usize> {
        let mut rng = Rng::new(11);
        let mut lens: Vec<usize> = (0..count).map(|_| sizes.len_of(rng.bits())).collect();
        lens.sort_unstable();
        lens
    }

    #[test]
    fn every_law_is_read_and_written_in_one_form() {
        let table = [
            ("1kb", Some("1024")),
            ("0", Some("0")),
            ("fixed:2kb", Some("2048")),
            ("uniform:200-4kb", Some("uniform:200-4096")),
            ("uniform:5-5", Some("uniform:5-5")),
            ("lognormal:2kb,1.5,1mb", Some("lognormal:2048,1.5,1048576")),
            ("uniform:4kb-200", None),
            ("uniform:4kb", None),
            ("lognormal:2kb,1.5", None),
            ("lognormal:2kb,1.5,1kb", None),
            ("lognormal:0,1,1kb", None),
            ("lognormal:2kb,-1,1mb", None),
            ("lognormal:2kb,NaN,1mb", None),
            ("lognormal:2kb,1,1mb,9", None),
            ("pareto:1kb", None),
            ("uniform:1-65mb", None),
            ("", None),
        ];
        for (text, expected) in table {
            let sizes = text.parse::<Sizes>().ok();
            assert_eq!(sizes.map(|sizes| sizes.to_string()).as_deref(), expected, "{text:?}");
            if let Some(sizes) = sizes {
                assert_eq!(sizes.to_string().parse(), Ok(sizes), "{text:?}");
            }
        }
    }

    #[test]
    fn uniform_lengths_reach_both_bounds_and_none_beyond() {
        let lens = drawn(Sizes::Uniform { min: 3, max: 9 }, 1000);
        assert_eq!((lens.first(), lens.last()), (Some(&3), Some(&9)));
        let sizes = Sizes::Uniform { min: 0, max: usize::MAX };
        assert_eq!((sizes.len_of(0), sizes.len_of(u64::MAX)), (0, usize::MAX));
    }

    #[test]
    fn lognormal_lengths_lie_around_the_median_and_below_the_longest() {
        let lens = drawn(Sizes::LogNormal { median: 2000, sigma: 1.0, max: 50_000 }, 20_000);
        assert!((1900..2100).contains(&lens[10_000]), "median {}", lens[10_000]);
        // One sigma above the median lie 15.9 % of them, at median * e.
        assert!((5000..5900).contains(&lens[16_820]), "{}", lens[16_820]);
        assert!(lens[0] >= 1 && lens[19_999] <= 50_000);
        assert_eq!(drawn(Sizes::LogNormal { median: 9, sigma: 0.0, max: 9 }, 100), [9; 100]);
    }
}
