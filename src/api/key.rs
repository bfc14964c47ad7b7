//! The key that a request shows: in a header, as a bearer token, in the query.
//!
//! A key given in several places must be the same in all of them; otherwise the request
//! shows no key at all. No key and an empty key are the same. Nothing here knows which keys
//! are good.

use std::borrow::Cow;

use percent_encoding::percent_decode;

/// The key as far as it was seen.
#[derive(Clone, Default, PartialEq, Eq, Debug)]
pub(super) enum Presented<'r> {
    /// Nowhere.
    #[default]
    Nothing,
    /// The same wherever one was given.
    Key(Cow<'r, [u8]>),
    /// Two that differ.
    Conflict,
}

impl<'r> Presented<'r> {
    /// Takes one more place into account.
    pub(super) fn add(&mut self, key: Cow<'r, [u8]>) {
        *self = match std::mem::take(self) {
            Self::Nothing => Self::Key(key),
            Self::Key(earlier) if earlier == key => Self::Key(earlier),
            Self::Key(_) | Self::Conflict => Self::Conflict,
        };
    }

    /// Takes an `Authorization` field into account: `Bearer k` (RFC 6750, section 2.1). Another
    /// scheme is none of our business.
    pub(super) fn add_authorization(&mut self, value: &'r [u8]) {
        let end = value.iter().position(|byte| *byte == b' ').unwrap_or(value.len());
        let (scheme, token) = value.split_at(end);
        if scheme.eq_ignore_ascii_case(b"bearer") {
            self.add(Cow::Borrowed(token.trim_ascii()));
        }
    }

    /// Takes each `api_key` of the query into account, and says whether there was one.
    pub(super) fn add_query(&mut self, query: &'r [u8]) -> bool {
        let mut found = false;
        for pair in query.split(|byte| *byte == b'&') {
            if let Some(value) = pair.strip_prefix(b"api_key=") {
                self.add(percent_decode(value).into());
                found = true;
            } else if pair == b"api_key" {
                self.add(Cow::Borrowed(b""));
                found = true;
            }
        }
        found
    }

    /// The key to compare; empty, which no key is, where none was given or two differ.
    pub(super) fn as_bytes(&self) -> &[u8] {
        match self {
            Self::Key(key) => key,
            Self::Nothing | Self::Conflict => b"",
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_bearer_token_is_a_key_and_other_schemes_are_not() {
        let table: [(&[u8], &[u8]); 8] = [
            (b"Bearer k", b"k"),
            (b"bearer k", b"k"),
            (b"BEARER   k", b"k"),
            (b"Bearer", b""),
            (b"Bearer ", b""),
            (b"Basic k", b""),
            (b"Bearerk", b""),
            (b"", b""),
        ];
        for (value, key) in table {
            let mut presented = Presented::default();
            presented.add_authorization(value);
            assert_eq!(presented.as_bytes(), key);
        }
    }

    #[test]
    fn the_query_is_searched_for_the_key() {
        let table: [(&[u8], &[u8], bool); 9] = [
            (b"api_key=k", b"k", true),
            (b"a=b&api_key=k&c", b"k", true),
            (b"api_key=%6b", b"k", true),
            (b"api_key=k&api_key=k", b"k", true),
            (b"api_key=k&api_key=l", b"", true),
            (b"api_key=", b"", true),
            (b"api_key", b"", true),
            (b"API_KEY=k", b"", false),
            (b"xapi_key=k", b"", false),
        ];
        for (query, key, found) in table {
            let mut presented = Presented::default();
            assert_eq!(presented.add_query(query), found);
            assert_eq!(presented.as_bytes(), key, "{}", String::from_utf8_lossy(query));
        }
    }

    #[test]
    fn places_must_agree() {
        let mut presented = Presented::default();
        presented.add(Cow::Borrowed(b"k"));
        presented.add_authorization(b"Bearer k");
        assert_eq!(presented.as_bytes(), b"k");
        assert!(presented.add_query(b"api_key=l"));
        assert_eq!(presented, Presented::Conflict);
        presented.add(Cow::Borrowed(b"k"));
        assert_eq!(presented.as_bytes(), b"");
    }

    #[test]
    fn an_empty_key_beside_a_real_one_is_a_conflict() {
        let mut presented = Presented::default();
        presented.add(Cow::Borrowed(b""));
        presented.add(Cow::Borrowed(b"k"));
        assert_eq!(presented, Presented::Conflict);
    }
}
