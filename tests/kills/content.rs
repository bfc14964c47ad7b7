//! What sessions hold: bytes and a Content-Type that follow from a stamp and a length.
//!
//! A stamp is used once, so the first bytes of whatever comes back say which write it is of,
//! and all others must follow from it: half a body, or the end of another one, never does.
//! Stamps that follow each other have different Content-Types.

use crate::support::{Random, Response};

/// Bytes that a stamp takes at the beginning of the data.
const STAMP_BYTES: usize = size_of::<u64>();

/// What is sent as Content-Type, by stamp; none at all is one of them.
const CONTENT_TYPES: [Option<&str>; 6] = [
    None,
    Some("application/json"),
    Some("text/plain; charset=utf-8"),
    Some("application/x-www-form-urlencoded"),
    Some("application/vnd.seshun.test+cbor"),
    Some("image/png"),
];

/// What data has whose writer gave no Content-Type.
const UNTYPED: &str = "application/octet-stream";

/// One write's data.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Content {
    /// Unique, but for data that is empty.
    stamp: u64,
    len: usize,
}

impl Content {
    /// What a session holds that was made without a body.
    pub const NOTHING: Self = Self { stamp: 0, len: 0 };

    /// The data of this stamp: empty, or long enough to show it.
    pub fn new(stamp: u64, len: usize) -> Self {
        Self { stamp, len: if len == 0 { 0 } else { len.max(STAMP_BYTES) } }
    }

    pub fn len(self) -> usize {
        self.len
    }

    /// The data itself.
    pub fn bytes(self) -> Vec<u8> {
        let mut bytes = Vec::with_capacity(self.len + STAMP_BYTES);
        let mut random = Random::seeded(self.stamp);
        bytes.extend_from_slice(&self.stamp.to_le_bytes());
        while bytes.len() < self.len {
            bytes.extend_from_slice(&random.next().to_le_bytes());
        }
        bytes.truncate(self.len);
        bytes
    }

    /// The Content-Type that is sent with it.
    pub fn content_type(self) -> Option<&'static str> {
        CONTENT_TYPES[self.stamp as usize % CONTENT_TYPES.len()]
    }

    /// Whether an answer with a body shows this data, or one without could; what is wrong if not.
    pub fn check(self, response: &Response, has_body: bool) -> Result<(), String> {
        let content_type = self.content_type().unwrap_or(UNTYPED);
        let len = response.must("Content-Length").parse::<usize>().unwrap_or(usize::MAX);
        if response.must("Content-Type") != content_type || len != self.len {
            return Err(format!("it has {len} bytes of {}, not {self}", response.must("Content-Type")));
        }
        if has_body && response.body != self.bytes() {
            return Err(format!("it has {}, not {self}", describe(&response.body)));
        }
        Ok(())
    }
}

impl std::fmt::Display for Content {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        let content_type = self.content_type().unwrap_or(UNTYPED);
        write!(f, "write {} ({} bytes of {content_type})", self.stamp, self.len)
    }
}

/// What data is that is none of ours, as far as it can be told.
fn describe(bytes: &[u8]) -> String {
    let Some(stamp) = bytes.first_chunk().map(|first| u64::from_le_bytes(*first)) else {
        return format!("{bytes:?}");
    };
    let whole = Content { stamp, len: bytes.len() }.bytes();
    match bytes.iter().zip(&whole).position(|(byte, expected)| byte != expected) {
        None => format!("the data of write {stamp}"),
        Some(at) => format!("data that begins like write {stamp} and goes on differently at {at}"),
    }
}

#[test]
fn data_shows_its_stamp_and_every_change_of_it() {
    let content = Content::new(77, 3);
    assert_eq!((content.len(), describe(&content.bytes())), (8, "the data of write 77".to_owned()));
    let mut bytes = Content::new(78, 5_003).bytes();
    assert_eq!(bytes.len(), 5_003);
    bytes[5_002] ^= 1;
    assert!(describe(&bytes).ends_with("at 5002"), "{}", describe(&bytes));
    assert_eq!(Content::new(79, 0).bytes(), b"");
    assert_ne!(Content::new(80, 9).content_type(), Content::new(81, 9).content_type());
}
