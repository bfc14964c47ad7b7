//! Sizes and times as people write them, and back.
//!
//! A bare number is bytes or seconds. Size units are powers of 1,024, whatever their
//! spelling; a decimal byte library would read `1mb` as a million. What is written is
//! read to the byte and to the millisecond or not at all, and what is shown is read back
//! as the same value.

use crate::types::{ByteCount, Millis};

/// Size units from the largest, each with the power of two that it stands for.
const SIZE_UNITS: [(&str, u32); 4] = [("gb", 30), ("mb", 20), ("kb", 10), ("b", 0)];
/// Time units from the largest, each with its milliseconds.
const SPAN_UNITS: [(&str, u64); 5] =
    [("d", 86_400_000), ("h", 3_600_000), ("m", 60_000), ("s", 1_000), ("ms", 1)];

/// The size that `text` spells: digits, then nothing, `b`, or `k`, `m`, `g` alone or with
/// `b` or `ib`, in any case. Nothing for fractions, signs and what does not fit.
pub(super) fn parse_size(text: &str) -> Option<ByteCount> {
    let text = text.trim();
    let digits_end = text.bytes().take_while(u8::is_ascii_digit).count();
    let (digits, unit) = text.split_at(digits_end);
    let shift = match unit.trim_start().to_ascii_lowercase().as_str() {
        "" | "b" => 0,
        "k" | "kb" | "kib" => 10,
        "m" | "mb" | "mib" => 20,
        "g" | "gb" | "gib" => 30,
        _ => return None,
    };
    let number: u64 = digits.parse().ok()?;
    number.checked_mul(1 << shift).map(ByteCount::new)
}

/// The time that `text` spells: digits alone are seconds, else numbers with units, as in
/// `500ms` or `1h30m`. Nothing for fractions and for parts of a millisecond.
pub(super) fn parse_span(text: &str) -> Option<Millis> {
    let text = text.trim();
    if !text.is_empty() && text.bytes().all(|byte| byte.is_ascii_digit()) {
        let seconds: u64 = text.parse().ok()?;
        return seconds.checked_mul(1_000).map(Millis::new);
    }
    // A capital M would be a month of 30.44 days; whoever writes it may well mean minutes.
    if text.contains(['M', '.']) {
        return None;
    }
    let span = humantime::parse_duration(text).ok()?;
    // Half a millisecond would be rounded without a word.
    let is_whole_millis = span.subsec_nanos().is_multiple_of(1_000_000);
    is_whole_millis.then_some(Millis::new(u64::try_from(span.as_millis()).ok()?))
}

/// The shortest text that [`parse_size`] reads as `size`.
pub(super) fn show_size(size: ByteCount) -> String {
    let bytes = size.as_u64();
    let fits = |shift: u32| bytes != 0 && bytes.is_multiple_of(1 << shift);
    let (unit, shift) = SIZE_UNITS.into_iter().find(|(_, shift)| fits(*shift)).unwrap_or(("b", 0));
    let text = format!("{}{unit}", bytes >> shift);
    debug_assert_eq!(parse_size(&text), Some(size), "{text} is read back");
    text
}

/// A text with one unit that [`parse_span`] reads as `span`.
pub(super) fn show_span(span: Millis) -> String {
    let millis = span.as_u64();
    let fits = |unit_millis: u64| millis != 0 && millis.is_multiple_of(unit_millis);
    let (unit, unit_millis) = SPAN_UNITS.into_iter().find(|(_, unit)| fits(*unit)).unwrap_or(("s", 1_000));
    format!("{}{unit}", millis / unit_millis)
}

#[cfg(test)]
mod tests {
    use super::*;

    const YEAR_MILLIS: u64 = 365 * 86_400_000;

    #[test]
    fn sizes_are_powers_of_1024_however_they_are_spelt() {
        let kib = [("1k", 1 << 10), ("1kb", 1 << 10), ("1KiB", 1 << 10), ("16 kb", 16 << 10)];
        let mib = [("1m", 1 << 20), ("1mb", 1 << 20), ("1MB", 1 << 20), ("1mib", 1 << 20)];
        let gib = [("1g", 1 << 30), ("2gb", 2 << 30), ("1GiB", 1 << 30), (" 1gb ", 1 << 30)];
        let bytes = [("0", 0), ("7", 7), ("7b", 7), ("1048576", 1 << 20), ("0mb", 0), ("007", 7)];
        for (text, size) in [&kib[..], &mib, &gib, &bytes].concat() {
            assert_eq!(parse_size(text), Some(ByteCount::new(size)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_size_is_refused() {
        let too_large = format!("{}gb", u64::MAX / 1024);
        for text in
            ["", " ", "mb", "1.5mb", "-1", "+1", "1tb", "1 k b", "1kbb", "0x10", "1_000", "1e3", "٣mb"]
        {
            assert_eq!(parse_size(text), None, "{text:?}");
        }
        assert_eq!(parse_size(&too_large), None);
        assert_eq!(parse_size("18446744073709551616"), None);
    }

    #[test]
    fn times_are_seconds_or_carry_their_unit() {
        let cases = [
            ("0", 0),
            ("75", 75_000),
            ("0s", 0),
            ("500ms", 500),
            ("30s", 30_000),
            ("10m", 600_000),
            ("12h", 43_200_000),
            ("30d", 2_592_000_000),
            ("1h30m", 5_400_000),
            ("1m 30s", 90_000),
            (" 1s250ms ", 1_250),
            ("3650d", 10 * YEAR_MILLIS),
        ];
        for (text, millis) in cases {
            assert_eq!(parse_span(text), Some(Millis::new(millis)), "{text:?}");
        }
    }

    #[test]
    fn what_is_no_time_is_refused() {
        let texts = [
            "", " ", "s", "-1", "-1s", "+1", "1.5s", "1M", "1x", "1us", "1ns", "1s1", "1:30", "0x1", "∞",
            "1h-5m",
        ];
        for text in texts {
            assert_eq!(parse_span(text), None, "{text:?}");
        }
        assert_eq!(parse_span("18446744073709551615"), None, "seconds whose milliseconds do not fit");
        assert_eq!(parse_span("99999999999999999999d"), None);
    }

    #[test]
    fn a_value_is_shown_in_its_largest_whole_unit() {
        let sizes =
            [(0, "0b"), (7, "7b"), (1 << 10, "1kb"), (1025, "1025b"), (1 << 20, "1mb"), (3 << 29, "1536mb")];
        for (bytes, text) in sizes {
            assert_eq!(show_size(ByteCount::new(bytes)), text);
        }
        let spans = [
            (0, "0s"),
            (1, "1ms"),
            (1_500, "1500ms"),
            (90_000, "90s"),
            (3_600_000, "1h"),
            (86_400_000, "1d"),
        ];
        for (millis, text) in spans {
            assert_eq!(show_span(Millis::new(millis)), text);
        }
    }

    proptest::proptest! {
        #[test]
        fn what_is_shown_is_read_back_as_the_same(bytes: u64, millis in 0..100 * YEAR_MILLIS) {
            assert_eq!(parse_size(&show_size(ByteCount::new(bytes))), Some(ByteCount::new(bytes)));
            assert_eq!(parse_span(&show_span(Millis::new(millis))), Some(Millis::new(millis)));
        }

        #[test]
        fn no_text_makes_a_parser_panic(text: String) {
            let _ = (parse_size(&text), parse_span(&text));
        }
    }
}
