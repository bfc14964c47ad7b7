//! Reads answers back, as a client would.

/// One answer.
#[derive(Clone, PartialEq, Eq, Debug)]
pub(super) struct Answer {
    pub(super) status: u16,
    fields: Vec<(String, String)>,
    pub(super) body: Vec<u8>,
}

impl Answer {
    /// Takes the answer at the front of `bytes`, which must be whole.
    pub(super) fn take(bytes: &mut &[u8], omits_body: bool) -> Self {
        let end = bytes.windows(4).position(|end| end == b"\r\n\r\n").expect("an answer is whole");
        let head = String::from_utf8(bytes[..end].to_vec()).unwrap();
        let mut lines = head.split("\r\n");
        let status_line = lines.next().unwrap();
        let status = status_line.strip_prefix("HTTP/1.1 ").unwrap()[..3].parse().unwrap();
        let fields = lines
            .map(|line| line.split_once(": ").map(|(name, value)| (name.to_owned(), value.to_owned())))
            .collect::<Option<Vec<_>>>()
            .expect("every field has a name and a value");
        *bytes = &bytes[end + 4..];
        let mut answer = Self { status, fields, body: Vec::new() };
        if !omits_body {
            let length = answer.field("Content-Length").map_or(0, |length| length.parse().unwrap());
            assert!(bytes.len() >= length, "an answer is whole");
            answer.body = bytes[..length].to_vec();
            *bytes = &bytes[length..];
        }
        answer
    }

    /// All answers in `bytes`, none of them to HEAD.
    pub(super) fn all(mut bytes: &[u8]) -> Vec<Self> {
        std::iter::from_fn(|| (!bytes.is_empty()).then(|| Self::take(&mut bytes, false))).collect()
    }

    pub(super) fn field(&self, name: &str) -> Option<&str> {
        self.fields.iter().find(|(found, _)| found == name).map(|(_, value)| value.as_str())
    }

    /// A field that is a number.
    pub(super) fn number(&self, name: &str) -> Option<u64> {
        self.field(name).map(|value| value.trim_matches('"').parse().unwrap())
    }

    pub(super) fn closes(&self) -> bool {
        self.field("Connection") == Some("close")
    }

    pub(super) fn text(&self) -> &str {
        str::from_utf8(&self.body).unwrap()
    }

    /// The code of a problem, or nothing.
    pub(super) fn code(&self) -> String {
        let problem = serde_json::from_slice::<serde_json::Value>(&self.body).ok();
        problem.and_then(|problem| problem["code"].as_str().map(str::to_owned)).unwrap_or_default()
    }
}
