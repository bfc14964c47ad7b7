//! Which of two forms a client prefers: bare text or JSON.
//!
//! JSON only where `Accept` gives `application/json` a higher weight than `text/plain`; a
//! wildcard counts for text, so that `application/json, text/plain, */*` gets bare text.

use crate::http::RequestHead;

/// How precisely a media range names a type; a more precise one wins (RFC 9110, section 12.5.1).
#[derive(Clone, Copy, PartialEq, Eq, PartialOrd, Ord, Default)]
enum Precision {
    #[default]
    Unnamed,
    AnyType,
    AnySubtype,
    Exact,
}

/// The weight that one type has been given so far: 0 to 1,000 thousandths.
#[derive(Clone, Copy, Default)]
struct Weight {
    precision: Precision,
    thousandths: u16,
}

impl Weight {
    fn offer(&mut self, precision: Precision, thousandths: u16) {
        if precision >= self.precision {
            *self = Self { precision, thousandths };
        }
    }
}

/// What the `Accept` fields of one request say, field by field.
#[derive(Clone, Copy, Default)]
pub(super) struct Preference {
    json: Weight,
    text: Weight,
}

impl Preference {
    /// What this head's `Accept` fields say.
    pub(super) fn of(head: &RequestHead<'_>) -> Self {
        let mut preference = Self::default();
        let fields = head.fields().filter(|(name, _)| name.eq_ignore_ascii_case(b"accept"));
        fields.for_each(|(_, value)| preference.add(value));
        preference
    }

    /// Takes one more `Accept` field into account. A range that cannot be read counts for nothing.
    fn add(&mut self, value: &[u8]) {
        for range in value.split(|byte| *byte == b',') {
            let mut parts = range.split(|byte| *byte == b';');
            let media = parts.next().unwrap_or_default().trim_ascii();
            let Some(thousandths) = weight(parts) else { continue };
            if media.eq_ignore_ascii_case(b"application/json") {
                self.json.offer(Precision::Exact, thousandths);
            } else if media.eq_ignore_ascii_case(b"application/*") {
                self.json.offer(Precision::AnySubtype, thousandths);
            } else if media.eq_ignore_ascii_case(b"text/plain") {
                self.text.offer(Precision::Exact, thousandths);
            } else if media.eq_ignore_ascii_case(b"text/*") {
                self.text.offer(Precision::AnySubtype, thousandths);
            } else if media == b"*/*" {
                self.text.offer(Precision::AnyType, thousandths);
            }
        }
    }

    /// Whether JSON is what the client would rather have.
    pub(super) fn prefers_json(self) -> bool {
        self.json.thousandths > self.text.thousandths
    }
}

/// The weight among a range's parameters; 1,000 where there is none, nothing where it is malformed.
fn weight<'v>(mut parameters: impl Iterator<Item = &'v [u8]>) -> Option<u16> {
    let is_weight = |parameter: &&[u8]| matches!(parameter.trim_ascii(), [b'q' | b'Q', b'=', ..]);
    let Some(parameter) = parameters.find(is_weight) else { return Some(1000) };
    let value = &parameter.trim_ascii()[2..];
    match value {
        [whole @ (b'0' | b'1')] | [whole @ (b'0' | b'1'), b'.'] => Some(u16::from(whole - b'0') * 1000),
        [whole @ (b'0' | b'1'), b'.', decimals @ ..] if decimals.len() <= 3 => {
            let mut thousandths = u16::from(whole - b'0') * 1000;
            for (place, digit) in decimals.iter().enumerate() {
                let digit = digit.is_ascii_digit().then(|| u16::from(digit - b'0'))?;
                thousandths += digit * [100, 10, 1][place];
            }
            (thousandths <= 1000).then_some(thousandths)
        }
        _ => None,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn json_is_for_those_who_prefer_it() {
        let table = [
            ("", false),
            ("*/*", false),
            ("text/plain", false),
            ("text/html", false),
            ("application/json", true),
            ("APPLICATION/JSON", true),
            ("application/json; charset=utf-8", true),
            ("application/*", true),
            ("application/json, text/plain, */*", false),
            ("application/json, */*", false),
            ("application/json, */*;q=0.9", true),
            ("application/json, text/*;q=0.5, */*", true),
            ("application/json;q=0.4, text/plain;q=0.5", false),
            ("application/json;q=0.5, text/plain;q=0.4", true),
            ("application/json;q=0.5,text/plain;q=0.5", false),
            ("application/json;q=0", false),
            ("application/json;q=0, application/*", false),
            ("application/json;q=2", false),
            ("application/json;q=x", false),
            ("application/json;q=0.1234", false),
            ("application/json;q=1.001", false),
            ("application/json;q=0.001", true),
            ("application/json;q=1.", true),
            ("text/html, application/xhtml+xml, application/xml;q=0.9, */*;q=0.8", false),
            (",,;;,application/json", true),
        ];
        for (accept, json) in table {
            let mut preference = Preference::default();
            preference.add(accept.as_bytes());
            assert_eq!(preference.prefers_json(), json, "{accept}");
        }
    }

    #[test]
    fn several_fields_count_as_one_list() {
        let mut preference = Preference::default();
        preference.add(b"application/json");
        assert!(preference.prefers_json());
        preference.add(b"text/plain");
        assert!(!preference.prefers_json());
    }
}
