//! Wall time as text: the Date header's form, rendered once a second, and RFC 3339.
//!
//! The driver hands the time in; nothing here reads a clock. Years past 9999 have no text
//! in either form and are shown as the last moment of 9999.

use std::io::Write;
use std::time::{Duration, UNIX_EPOCH};

use crate::types::UnixMillis;

/// The length of an IMF-fixdate, `Sun, 06 Nov 1994 08:49:37 GMT` (RFC 9110, section 5.6.7).
const HTTP_DATE_LEN: usize = 29;

/// The last second that four digits of a year can tell: 9999-12-31T23:59:59Z.
const UNIX_SECONDS_MAX: u64 = 253_402_300_799;

/// The present as the Date header shows it.
#[derive(Clone, Debug)]
pub struct DateCache {
    /// Whole seconds since the epoch that `text` shows, at most [`UNIX_SECONDS_MAX`].
    unix_seconds: u64,
    text: [u8; HTTP_DATE_LEN],
}

impl DateCache {
    /// A cache that shows the epoch until its first update.
    pub fn new() -> Self {
        Self { unix_seconds: 0, text: *b"Thu, 01 Jan 1970 00:00:00 GMT" }
    }

    /// Shows `wall` from now on. Renders only when the second has changed, in either direction.
    pub fn update(&mut self, wall: UnixMillis) {
        let unix_seconds = wall.as_secs().min(UNIX_SECONDS_MAX);
        if unix_seconds == self.unix_seconds {
            return;
        }
        let date = httpdate::HttpDate::from(UNIX_EPOCH + Duration::from_secs(unix_seconds));
        let written = write!(&mut self.text[..], "{date}");
        debug_assert!(written.is_ok(), "an IMF-fixdate fills its 29 bytes");
        self.unix_seconds = unix_seconds;
    }

    /// The IMF-fixdate.
    pub fn http_date(&self) -> &[u8] {
        &self.text
    }
}

impl Default for DateCache {
    fn default() -> Self {
        Self::new()
    }
}

/// Appends `wall` as `2026-01-31T12:00:00.250Z` (RFC 3339): UTC, always with milliseconds.
pub fn write_rfc3339(out: &mut Vec<u8>, wall: UnixMillis) {
    let millis = wall.as_u64().min(UNIX_SECONDS_MAX * 1000 + 999);
    let seconds = millis / 1000;
    let (year, month, day) = civil_from_days((seconds / 86_400) as u32);
    let (second, milli) = ((seconds % 86_400) as u32, (millis % 1000) as u32);
    // Every answer about a session has one: it is filled in here and appended at once.
    let mut text = *b"0000-00-00T00:00:00.000Z";
    text[0..2].copy_from_slice(&digits(year / 100));
    text[2..4].copy_from_slice(&digits(year % 100));
    text[5..7].copy_from_slice(&digits(month));
    text[8..10].copy_from_slice(&digits(day));
    text[11..13].copy_from_slice(&digits(second / 3600));
    text[14..16].copy_from_slice(&digits(second / 60 % 60));
    text[17..19].copy_from_slice(&digits(second % 60));
    text[20] = b'0' + (milli / 100) as u8;
    text[21..23].copy_from_slice(&digits(milli % 100));
    out.extend_from_slice(&text);
}

/// Year, month (1–12) and day (1–31) of the day that lies `days` after 1970-01-01.
///
/// Counts in years that start on 1 March, so that the leap day is a year's last, and in
/// eras of 400 years, which all have the same length (Howard Hinnant, "chrono-Compatible
/// Low-Level Date Algorithms").
fn civil_from_days(days: u32) -> (u32, u32, u32) {
    let days = days + 719_468; // from 0000-03-01 to 1970-01-01
    let era = days / 146_097;
    let day_of_era = days % 146_097;
    let year_of_era = (day_of_era - day_of_era / 1_460 + day_of_era / 36_524 - day_of_era / 146_096) / 365;
    let day_of_year = day_of_era - (365 * year_of_era + year_of_era / 4 - year_of_era / 100);
    let month_from_march = (5 * day_of_year + 2) / 153;
    let day = day_of_year - (153 * month_from_march + 2) / 5 + 1;
    let month = if month_from_march < 10 { month_from_march + 3 } else { month_from_march - 9 };
    let year = era * 400 + year_of_era + u32::from(month <= 2);
    debug_assert!((1..=12).contains(&month) && (1..=31).contains(&day));
    (year, month, day)
}

/// `value` in two decimal digits.
fn digits(value: u32) -> [u8; 2] {
    debug_assert!(value < 100, "{value} has more than two digits");
    [b'0' + (value / 10) as u8, b'0' + (value % 10) as u8]
}

#[cfg(test)]
mod tests {
    use super::*;

    fn rfc3339(millis: u64) -> String {
        let mut out = Vec::new();
        write_rfc3339(&mut out, UnixMillis::new(millis));
        String::from_utf8(out).unwrap()
    }

    #[test]
    fn a_date_is_shown_in_the_preferred_form() {
        let mut date = DateCache::new();
        assert_eq!(date.http_date(), b"Thu, 01 Jan 1970 00:00:00 GMT");
        // RFC 9110, section 5.6.7
        date.update(UnixMillis::new(784_111_777_999));
        assert_eq!(date.http_date(), b"Sun, 06 Nov 1994 08:49:37 GMT");
        date.update(UnixMillis::new(784_111_776_000));
        assert_eq!(date.http_date(), b"Sun, 06 Nov 1994 08:49:36 GMT");
    }

    #[test]
    fn times_without_a_text_are_shown_as_the_last_one() {
        let mut date = DateCache::default();
        date.update(UnixMillis::new(u64::MAX));
        assert_eq!(date.http_date(), b"Fri, 31 Dec 9999 23:59:59 GMT");
        assert_eq!(rfc3339(u64::MAX), "9999-12-31T23:59:59.999Z");
    }

    #[test]
    fn rfc_3339_shows_milliseconds_always() {
        // `date -u -d @N +%FT%T.%3NZ`
        let rows = [
            (0, "1970-01-01T00:00:00.000Z"),
            (1, "1970-01-01T00:00:00.001Z"),
            (951_782_399_999, "2000-02-28T23:59:59.999Z"),
            (951_782_400_000, "2000-02-29T00:00:00.000Z"),
            (951_868_800_000, "2000-03-01T00:00:00.000Z"),
            (1_769_860_800_250, "2026-01-31T12:00:00.250Z"),
            (4_107_542_399_000, "2100-02-28T23:59:59.000Z"),
            (4_107_542_400_000, "2100-03-01T00:00:00.000Z"),
        ];
        for (millis, text) in rows {
            assert_eq!(rfc3339(millis), text);
        }
    }

    #[test]
    fn both_forms_name_the_same_day_through_eight_thousand_years() {
        let mut date = DateCache::new();
        for day in (0..UNIX_SECONDS_MAX / 86_400).step_by(97) {
            let wall = UnixMillis::new(day * 86_400_000);
            date.update(wall);
            let http = String::from_utf8(date.http_date().to_vec()).unwrap();
            let civil = rfc3339(wall.as_u64());
            assert_eq!((&http[12..16], &http[5..7]), (&civil[..4], &civil[8..10]), "day {day}");
        }
    }
}
