//! Numbers as people read them: three digits and a unit, commas, powers of 1,024.
//!
//! Pure, and the same in the live view, the tables and the pages, so that a figure can be
//! looked for in all of them. Nothing here is meant to be parsed again.

/// Microseconds with three digits, in the unit that fits them.
pub fn micros(micros: f64) -> String {
    let (value, unit) = in_unit(micros);
    format!("{} {unit}", three_digits(value))
}

/// The same as short as it can be said without a loss: what stands at a tick.
pub fn short_micros(micros: f64) -> String {
    let (value, unit) = in_unit(micros);
    format!("{} {unit}", short(value))
}

/// With a comma behind every three digits.
pub fn grouped(number: u64) -> String {
    let digits = number.to_string();
    let mut text = String::with_capacity(digits.len() + digits.len() / 3);
    for (at, digit) in digits.chars().enumerate() {
        if at > 0 && (digits.len() - at).is_multiple_of(3) {
            text.push(',');
        }
        text.push(digit);
    }
    text
}

/// A number as short as it can be said, with commas where it is large.
pub fn amount(value: f64) -> String {
    if value < 1000.0 { short(value) } else { grouped(value.round() as u64) }
}

/// A number of bytes with three digits, in powers of 1,024.
pub fn bytes(bytes: f64) -> String {
    let (value, unit) = match bytes {
        ..1024.0 => return format!("{bytes:.0} bytes"),
        ..1_048_576.0 => (bytes / 1024.0, "kb"),
        ..1_073_741_824.0 => (bytes / 1_048_576.0, "mb"),
        _ => (bytes / 1_073_741_824.0, "gb"),
    };
    format!("{} {unit}", three_digits(value))
}

/// A share of 1 in percent.
pub fn percent(share: f64) -> String {
    format!("{} %", three_digits(share * 100.0))
}

/// Seconds, with minutes and hours where they are too many to picture.
pub fn seconds(seconds: f64) -> String {
    let whole = seconds as u64;
    match seconds {
        ..120.0 => format!("{} s", short((seconds * 100.0).round() / 100.0)),
        ..7200.0 => format!("{} min {} s", whole / 60, whole % 60),
        _ => format!("{} h {} min", whole / 3600, whole / 60 % 60),
    }
}

/// At least three digits of a number that is not negative, with commas where there are many.
pub fn three_digits(value: f64) -> String {
    if value >= 1000.0 {
        return grouped(value.round() as u64);
    }
    let digits = if value < 10.0 { 2 } else { usize::from(value < 100.0) };
    format!("{value:.digits$}")
}

/// A number without the zeros that say nothing.
pub fn short(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

fn in_unit(micros: f64) -> (f64, &'static str) {
    match micros {
        ..1000.0 => (micros, "us"),
        ..1_000_000.0 => (micros / 1e3, "ms"),
        _ => (micros / 1e6, "s"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn figures_keep_three_digits() {
        let table =
            [(0.0, "0.00 us"), (9.994, "9.99 us"), (42.25, "42.2 us"), (999.0, "999 us"), (1e6, "1.00 s")];
        for (value, expected) in table {
            assert_eq!(micros(value), expected);
        }
        let table = [(0.0, "0 bytes"), (1536.0, "1.50 kb"), (52_428_800.0, "50.0 mb"), (2e12, "1,863 gb")];
        for (value, expected) in table {
            assert_eq!(bytes(value), expected);
        }
        assert_eq!((percent(0.123_45), percent(1.0)), ("12.3 %".to_owned(), "100 %".to_owned()));
    }

    #[test]
    fn ticks_say_no_more_than_they_must() {
        let table = [(0.5, "0.5 us"), (200.0, "200 us"), (1000.0, "1 ms"), (2_500_000.0, "2.5 s")];
        for (value, expected) in table {
            assert_eq!(short_micros(value), expected);
        }
        assert_eq!([0.0, 100.0, 0.25].map(short), ["0", "100", "0.25"]);
        assert_eq!([0.25, 999.0, 20_000.0].map(amount), ["0.25", "999", "20,000"]);
    }

    #[test]
    fn large_numbers_have_commas() {
        assert_eq!([0, 999, 1000, 1_000_000].map(grouped), ["0", "999", "1,000", "1,000,000"]);
    }

    #[test]
    fn long_times_have_minutes_and_hours() {
        let table = [(0.5, "0.5 s"), (119.0, "119 s"), (150.0, "2 min 30 s"), (7260.0, "2 h 1 min")];
        for (value, expected) in table {
            assert_eq!(seconds(value), expected);
        }
    }
}
