//! Where a value stands along an axis, and which values get a tick there.
//!
//! Pure: a [`Scale`] maps values to a place from 0 to 1, an [`Axis`] adds ticks and a label.
//! Bounds are rounded outwards to numbers that people count in. The tail scale gives each
//! nine of a percentile the same room: 90 %, 99 % and 99.9 % stand evenly spaced.

/// The room beside the last nine where the maximum stands, in nines.
const MAX_ROOM: f64 = 0.4;

/// Ticks that an axis of amounts has, about.
const AMOUNT_TICKS: f64 = 5.0;

/// Ticks that an axis of time has at most.
const TIME_TICKS_MAX: f64 = 10.0;

/// The steps between ticks of time, in seconds.
const TIME_STEPS_S: [f64; 16] =
    [0.1, 0.2, 0.5, 1.0, 2.0, 5.0, 10.0, 15.0, 30.0, 60.0, 120.0, 300.0, 600.0, 1200.0, 1800.0, 3600.0];

/// A longer axis of time counts in minutes, in seconds.
const SECONDS_MAX: f64 = 180.0;

/// How values become places.
#[derive(Clone, Copy, PartialEq, Debug)]
pub enum Scale {
    /// Evenly from 0 on.
    Linear {
        /// What stands at 1. Above 0.
        to: f64,
    },
    /// Each power of ten takes the same room.
    Log {
        /// What stands at 0. Above 0.
        from: f64,
        /// What stands at 1. `from < to`
        to: f64,
    },
    /// Percentiles: each nine takes the same room, and 100 stands at 1, a little apart.
    Tail {
        /// So many nines have room. Above 0.
        nines: f64,
    },
}

/// A value that is marked on an axis.
#[derive(Clone, PartialEq, Debug)]
pub struct Tick {
    /// Which.
    pub value: f64,
    /// What stands beside it; nothing where it is a line alone.
    pub text: String,
}

/// A scale with its ticks.
#[derive(Clone, PartialEq, Debug)]
pub struct Axis {
    /// Where values stand.
    pub scale: Scale,
    /// The ticks, those first whose text must not go where room is short.
    pub ticks: Vec<Tick>,
    /// What is counted, and in what.
    pub label: String,
}

impl Scale {
    /// Where a value stands, from 0 to 1; nothing for what stands nowhere on the scale.
    pub fn place(self, value: f64) -> Option<f64> {
        let place = match self {
            Self::Linear { to } => value / to,
            Self::Log { from, to } => (value / from).ln() / (to / from).ln(),
            Self::Tail { .. } if value >= 100.0 => 1.0,
            Self::Tail { nines } => nines_of(value) / (nines + MAX_ROOM),
        };
        // A value at a bound may stand a rounding error beyond it.
        (-1e-9..=1.0 + 1e-9).contains(&place).then(|| place.clamp(0.0, 1.0))
    }
}

/// How many nines a percentile has: 1 for 90, 2 for 99.
fn nines_of(percentile: f64) -> f64 {
    -(1.0 - percentile / 100.0).log10()
}

impl Axis {
    /// Amounts from 0 to about `max`.
    pub fn amounts(max: f64, label: &str, text: impl Fn(f64) -> String) -> Self {
        let max = if max > 0.0 && max.is_finite() { max } else { 1.0 };
        let step = round_up(max / AMOUNT_TICKS);
        let count = (max / step - 1e-9).ceil();
        debug_assert!((1.0..=10.0).contains(&count), "a step is a good part of the whole");
        let ticks = (0..=count as u32).map(|number| f64::from(number) * step);
        let ticks = ticks.map(|value| Tick { value, text: text(value) }).collect();
        Self { scale: Scale::Linear { to: step * count }, ticks, label: label.to_owned() }
    }

    /// Latencies in microseconds, over all of `values` that are above 0; none where none is.
    pub fn latencies(values: impl IntoIterator<Item = f64>, label: &str) -> Option<Self> {
        let told = values.into_iter().filter(|&us| us > 0.0 && us.is_finite());
        let bounds = told.fold(None, |bounds: Option<(f64, f64)>, us| {
            Some(bounds.map_or((us, us), |(min, max)| (min.min(us), max.max(us))))
        });
        let (min, max) = bounds?;
        let (from, mut to) = (round_down(min), round_up(max));
        if from >= to {
            to = round_up(from * 1.5);
        }
        let steps = steps_from(from).take_while(|&(value, _)| value <= to * (1.0 + 1e-9));
        let (mut ticks, others): (Vec<_>, Vec<_>) = steps.partition(|&(_, is_decade)| is_decade);
        // Powers of ten first: where room is short, it is the others that go without a text.
        ticks.extend(others);
        let ticks = ticks.into_iter().map(|(value, _)| Tick { value, text: super::short_latency(value) });
        Some(Self { scale: Scale::Log { from, to }, ticks: ticks.collect(), label: label.to_owned() })
    }

    /// Seconds from 0 to about `max_s`.
    pub fn time(max_s: f64) -> Self {
        let max_s = if max_s > 0.0 && max_s.is_finite() { max_s } else { 1.0 };
        let fits = |step: &f64| max_s / step <= TIME_TICKS_MAX;
        let hours = || (max_s / TIME_TICKS_MAX / 3600.0).ceil() * 3600.0;
        let step = TIME_STEPS_S.into_iter().find(fits).unwrap_or_else(hours);
        let count = (max_s / step + 1e-9).floor() as u32;
        let (text, label): (fn(f64) -> String, _) =
            if max_s <= SECONDS_MAX { (crate::human::short, "seconds") } else { (minutes, "minutes") };
        let ticks = (0..=count).map(|number| f64::from(number) * step);
        let ticks = ticks.map(|value| Tick { value, text: text(value) }).collect();
        Self { scale: Scale::Linear { to: max_s }, ticks, label: label.to_owned() }
    }

    /// Percentiles up to `end` and the maximum beyond it.
    pub fn percentiles(end: f64) -> Self {
        let nines = nines_of(end.clamp(0.0, 99.999)).max(1.0).ceil();
        let named = ["0", "50", "90", "99", "99.9", "99.99", "99.999"];
        let last = nines as usize + 1;
        let tick = |text: &&str| text.parse().ok().map(|value| Tick { value, text: format!("{text} %") });
        // The last nine stands closest to the maximum, and its text is the first to go.
        let mut ticks = vec![Tick { value: 100.0, text: "max".to_owned() }];
        ticks.extend(named.iter().take(last + 1).filter_map(tick));
        Self { scale: Scale::Tail { nines }, ticks, label: "percent of the answers".to_owned() }
    }
}

/// The numbers that people count in, from `from` on, and whether each is a power of ten.
fn steps_from(from: f64) -> impl Iterator<Item = (f64, bool)> {
    let exponent = from.log10().floor() as i32;
    let steps = (exponent..).flat_map(|exponent| [1.0, 2.0, 5.0].map(|digit| (digit, exponent)));
    let steps = steps.map(|(digit, exponent)| (digit * 10_f64.powi(exponent), digit == 1.0));
    steps.skip_while(move |&(value, _)| value < from * (1.0 - 1e-9))
}

/// The smallest number that people count in and that is not below `value`.
fn round_up(value: f64) -> f64 {
    steps_from(value).next().map_or(value, |(step, _)| step)
}

/// The largest number that people count in and that is not above `value`.
fn round_down(value: f64) -> f64 {
    let below = steps_from(value / 3.0).take_while(|&(step, _)| step <= value * (1.0 + 1e-9));
    below.last().map_or(value, |(step, _)| step)
}

/// Seconds as minutes, with hours before them where there are any.
fn minutes(seconds: f64) -> String {
    let seconds = seconds as u64;
    match seconds / 3600 {
        0 => format!("{}:{:02}", seconds / 60, seconds % 60),
        hours => format!("{hours}:{:02}:{:02}", seconds / 60 % 60, seconds % 60),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::human;

    fn texts(axis: &Axis) -> Vec<&str> {
        axis.ticks.iter().map(|tick| tick.text.as_str()).collect()
    }

    #[track_caller]
    fn assert_places(scale: Scale, table: &[(f64, Option<f64>)]) {
        for &(value, expected) in table {
            let place = scale.place(value);
            let is_right = match (place, expected) {
                (Some(place), Some(expected)) => (place - expected).abs() < 1e-6,
                (place, expected) => place == expected,
            };
            assert!(is_right, "{scale:?}: {value} at {place:?}, not {expected:?}");
        }
    }

    #[test]
    fn a_linear_scale_is_even_and_has_two_ends() {
        let table = [(0.0, Some(0.0)), (5.0, Some(0.5)), (10.0, Some(1.0)), (10.1, None), (-1.0, None)];
        assert_places(Scale::Linear { to: 10.0 }, &table);
        assert_places(Scale::Linear { to: 10.0 }, &[(f64::NAN, None), (f64::INFINITY, None)]);
    }

    #[test]
    fn a_log_scale_gives_powers_of_ten_the_same_room() {
        let table = [(10.0, Some(0.0)), (100.0, Some(0.5)), (1000.0, Some(1.0)), (0.0, None), (-5.0, None)];
        assert_places(Scale::Log { from: 10.0, to: 1000.0 }, &table);
    }

    #[test]
    fn a_tail_scale_gives_nines_the_same_room_and_the_maximum_a_place_of_its_own() {
        let table = [(0.0, Some(0.0)), (90.0, Some(1.0 / 5.4)), (99.9, Some(3.0 / 5.4)), (100.0, Some(1.0))];
        assert_places(Scale::Tail { nines: 5.0 }, &table);
        assert_places(Scale::Tail { nines: 5.0 }, &[(99.999, Some(5.0 / 5.4)), (-10.0, None)]);
    }

    #[test]
    fn amounts_have_round_ticks_from_nothing_to_beyond_the_largest() {
        let table: [(f64, &[&str]); 5] = [
            (0.0, &["0", "0.2", "0.4", "0.6", "0.8", "1"]),
            (5.0, &["0", "1", "2", "3", "4", "5"]),
            (151_234.0, &["0", "50000", "100000", "150000", "200000"]),
            (0.03, &["0", "0.01", "0.02", "0.03"]),
            (1e12, &["0", "200000000000", "400000000000", "600000000000", "800000000000", "1000000000000"]),
        ];
        for (max, expected) in table {
            let axis = Axis::amounts(max, "", human::short);
            assert_eq!(texts(&axis), expected, "{max}");
            assert!(axis.scale.place(max).is_some(), "{max}");
        }
    }

    #[test]
    fn latencies_have_ticks_at_powers_of_ten_before_all_others() {
        let table: [(&[f64], &[&str]); 4] = [
            (&[120.0, 0.0, 1900.0], &["100 µs", "1 ms", "200 µs", "500 µs", "2 ms"]),
            (&[3.0, 90.0], &["10 µs", "100 µs", "2 µs", "5 µs", "20 µs", "50 µs"]),
            (&[100.0], &["100 µs", "200 µs"]),
            (&[70.0, 71.0], &["100 µs", "50 µs"]),
        ];
        for (values, expected) in table {
            let axis = Axis::latencies(values.iter().copied(), "").expect("one is above 0");
            assert_eq!(texts(&axis), expected, "{values:?}");
            assert!(values.iter().all(|&us| us == 0.0 || axis.scale.place(us).is_some()), "{values:?}");
        }
        assert_eq!(Axis::latencies([0.0, f64::NAN], ""), None);
    }

    #[test]
    fn time_is_told_in_seconds_or_in_minutes() {
        let table: [(f64, &[&str]); 5] = [
            (0.0, &["0", "0.1", "0.2", "0.3", "0.4", "0.5", "0.6", "0.7", "0.8", "0.9", "1"]),
            (3.5, &["0", "0.5", "1", "1.5", "2", "2.5", "3", "3.5"]),
            (45.0, &["0", "5", "10", "15", "20", "25", "30", "35", "40", "45"]),
            (3600.0, &["0:00", "10:00", "20:00", "30:00", "40:00", "50:00", "1:00:00"]),
            (
                90_000.0,
                &[
                    "0:00", "3:00:00", "6:00:00", "9:00:00", "12:00:00", "15:00:00", "18:00:00", "21:00:00",
                    "24:00:00",
                ],
            ),
        ];
        for (max_s, expected) in table {
            assert_eq!(texts(&Axis::time(max_s)), expected, "{max_s}");
        }
    }

    #[test]
    fn percentiles_go_as_far_as_there_are_answers() {
        let table: [(f64, &[&str]); 4] = [
            (0.0, &["max", "0 %", "50 %", "90 %"]),
            (99.75, &["max", "0 %", "50 %", "90 %", "99 %", "99.9 %"]),
            (99.999, &["max", "0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]),
            (100.0, &["max", "0 %", "50 %", "90 %", "99 %", "99.9 %", "99.99 %", "99.999 %"]),
        ];
        for (end, expected) in table {
            let axis = Axis::percentiles(end);
            assert_eq!(texts(&axis), expected, "{end}");
            assert!(axis.ticks.iter().all(|tick| axis.scale.place(tick.value).is_some()), "{end}");
        }
    }
}
