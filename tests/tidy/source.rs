//! A Rust source, line by line, with code and comments apart and text literals emptied.
//!
//! Just enough of a lexer that a brace in a string, a word in a comment or a quote in a
//! lifetime fools no rule. It also knows which lines are tests: whole files by their path,
//! and the items behind `#[cfg(test)]`.

/// One line of a source.
pub struct Line {
    /// The code, without comments and without the content of text literals.
    pub code: String,
    /// The comment, its slashes included.
    pub comment: String,
    /// Whether the line serves tests only.
    pub is_test: bool,
}

/// A source file.
pub struct Source {
    /// From the root of the repository.
    pub path: String,
    /// In order; line `n` is at `n - 1`.
    pub lines: Vec<Line>,
}

impl Source {
    /// The file at `path`.
    pub fn read(path: &str) -> Self {
        Self::parse(path, &crate::tree::read(path))
    }

    /// A file with this `path` and this `text`.
    pub fn parse(path: &str, text: &str) -> Self {
        let mut lines = split(text);
        let is_test_file =
            ["tests/", "benches/", "loadtest/tests/"].iter().any(|root| path.starts_with(root))
                || path.ends_with("/tests.rs")
                || path.contains("/tests/");
        mark_tests(&mut lines, is_test_file);
        Self { path: path.into(), lines }
    }

    /// Whether the file is a part of what runs: the server's or the load harness's own.
    pub fn is_production(&self) -> bool {
        ["src/", "loadtest/src/"].iter().any(|root| self.path.starts_with(root))
    }

    /// The lines that run, each with its number. None where the file is no part of production.
    pub fn production(&self) -> impl Iterator<Item = (usize, &Line)> {
        let lines = if self.is_production() { self.lines.as_slice() } else { &[] };
        lines.iter().enumerate().filter(|(_, line)| !line.is_test).map(|(index, line)| (index + 1, line))
    }

    /// An offender: where, and what is wrong there.
    pub fn offender(&self, line: usize, what: &str) -> String {
        format!("{}:{line}: {what}", self.path)
    }
}

/// A word of the code: an identifier or a keyword.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Word<'c> {
    /// The word itself.
    pub text: &'c str,
    /// Whether it was named elsewhere: it stands behind a `.` or a `::`.
    pub is_foreign: bool,
}

/// The words of a line of code.
pub fn words(code: &str) -> Vec<Word<'_>> {
    let is_word = |c: char| c.is_alphanumeric() || c == '_';
    let mut words = Vec::new();
    let mut rest = code;
    while let Some(start) = rest.find(is_word) {
        let before = code[..code.len() - rest.len() + start].trim_end();
        let end = rest[start..].find(|c| !is_word(c)).map_or(rest.len(), |length| start + length);
        let is_foreign = (before.ends_with('.') && !before.ends_with("..")) || before.ends_with("::");
        words.push(Word { text: &rest[start..end], is_foreign });
        rest = &rest[end..];
    }
    words
}

#[derive(Clone, Copy, PartialEq, Eq)]
enum Mode {
    Code,
    LineComment,
    /// So many `/*` are open.
    BlockComment(usize),
    Text,
    /// Ends at a quote and so many `#`.
    RawText(usize),
}

fn split(text: &str) -> Vec<Line> {
    let mut mode = Mode::Code;
    let mut lines = Vec::new();
    for text in text.lines() {
        let mut line = Line { code: String::new(), comment: String::new(), is_test: false };
        let chars: Vec<char> = text.chars().collect();
        let mut at = 0;
        while at < chars.len() {
            at += step(&mut mode, &chars[at..], &mut line);
        }
        if mode == Mode::LineComment {
            mode = Mode::Code;
        }
        lines.push(line);
    }
    lines
}

/// Takes the next piece of a line and says how many characters it had.
fn step(mode: &mut Mode, rest: &[char], line: &mut Line) -> usize {
    let pair = (rest[0], rest.get(1).copied().unwrap_or(' '));
    match *mode {
        Mode::Code => return step_in_code(mode, rest, line),
        Mode::LineComment => line.comment.push(rest[0]),
        Mode::BlockComment(depth) => match pair {
            ('*', '/') => {
                *mode = if depth == 1 { Mode::Code } else { Mode::BlockComment(depth - 1) };
                return 2;
            }
            ('/', '*') => {
                *mode = Mode::BlockComment(depth + 1);
                return 2;
            }
            (c, _) => line.comment.push(c),
        },
        Mode::Text => match rest[0] {
            '\\' => return 2,
            '"' => *mode = leave_text(line),
            _ => {}
        },
        Mode::RawText(hashes) => {
            let closes = rest[0] == '"' && rest[1..].iter().take_while(|&&c| c == '#').count() >= hashes;
            if closes {
                *mode = leave_text(line);
                return 1 + hashes;
            }
        }
    }
    1
}

fn leave_text(line: &mut Line) -> Mode {
    line.code.push('"');
    Mode::Code
}

fn step_in_code(mode: &mut Mode, rest: &[char], line: &mut Line) -> usize {
    let pair = (rest[0], rest.get(1).copied().unwrap_or(' '));
    match pair {
        ('/', '/') => {
            *mode = Mode::LineComment;
            line.comment.push_str("//");
            return 2;
        }
        ('/', '*') => {
            *mode = Mode::BlockComment(1);
            return 2;
        }
        ('\'', next) => {
            let is_literal = next == '\\' || rest.get(2) == Some(&'\'');
            line.code.push('\'');
            return if is_literal { literal_length(rest) } else { 1 };
        }
        ('r', '"' | '#') if !ends_in_word(&line.code) => {
            let hashes = rest[1..].iter().take_while(|&&c| c == '#').count();
            if rest.get(1 + hashes) == Some(&'"') {
                *mode = Mode::RawText(hashes);
                line.code.push('"');
                return 2 + hashes;
            }
            line.code.push('r');
        }
        ('"', _) => {
            *mode = Mode::Text;
            line.code.push('"');
        }
        (c, _) => line.code.push(c),
    }
    1
}

/// Whether an `r` behind this code would be the end of a word and not a raw text's prefix.
fn ends_in_word(code: &str) -> bool {
    let word = |c: char| c.is_alphanumeric() || c == '_';
    let prefix = code.strip_suffix(['b', 'c']).unwrap_or(code);
    prefix.ends_with(word)
}

/// The length of a character literal that begins here, both quotes included.
fn literal_length(rest: &[char]) -> usize {
    let escaped = usize::from(rest.get(1) == Some(&'\\'));
    let content = 2 + escaped;
    rest.iter().skip(content).position(|&c| c == '\'').map_or(rest.len(), |end| content + end + 1)
}

/// Marks the items behind `#[cfg(test)]`, or all lines of a file that only serves tests.
fn mark_tests(lines: &mut [Line], is_test_file: bool) {
    let mut item: Option<i32> = None;
    for line in lines {
        let code = line.code.trim();
        if item.is_none() && (code.starts_with("#[cfg(test)]") || code.starts_with("#[cfg(all(test")) {
            item = Some(0);
        }
        line.is_test = is_test_file || item.is_some();
        let Some(depth) = &mut item else { continue };
        let is_attribute = code.starts_with("#[");
        let opens = code.matches(['{', '(', '[']).count() as i32;
        let closes = code.matches(['}', ')', ']']).count() as i32;
        *depth += opens - closes;
        let is_end = code.ends_with(';') || code.ends_with('}') || code.ends_with("},");
        if !is_attribute && *depth <= 0 && is_end {
            item = None;
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    fn code(text: &str) -> Vec<String> {
        Source::parse("src/x.rs", text)
            .lines
            .into_iter()
            .map(|line| line.code.trim_end().to_string())
            .collect()
    }

    #[test]
    fn comments_and_texts_are_no_code() {
        let table = [
            ("a // b", "a"),
            ("a /* b */ c", "a  c"),
            ("a /* b /* c */ d */ e", "a  e"),
            ("f(\"{ // \\\" \")", "f(\"\")"),
            ("f(r#\"{ \" // \"#)", "f(\"\")"),
            ("f(br\"\\\")", "f(b\"\")"),
            ("f(b'{', '\\'', '\\u{7b}', '\"')", "f(b', ', ', ')"),
            ("fn f<'a>(x: &'a str) {}", "fn f<'a>(x: &'a str) {}"),
            ("for r in r#type {}", "for r in r#type {}"),
        ];
        for (text, expected) in table {
            assert_eq!(code(text), [expected], "{text}");
        }
    }

    #[test]
    fn texts_and_comments_may_span_lines() {
        assert_eq!(code("a(\"x\n{ y\", b)\nc /* d\n{ */ e"), ["a(\"", "\", b)", "c", " e"]);
    }

    #[test]
    fn comments_are_kept_apart() {
        let source = Source::parse("src/x.rs", "a; // why\n/// What.\nb;");
        let comments: Vec<&str> = source.lines.iter().map(|line| line.comment.as_str()).collect();
        assert_eq!(comments, ["// why", "/// What.", ""]);
    }

    #[test]
    fn items_behind_cfg_test_are_tests_and_the_next_is_not() {
        let text = "fn a() {}\n#[cfg(test)]\nmod tests;\nfn b() {}\n#[cfg(test)]\n#[allow(x)]\nmod t {\n  fn c() {}\n}\nfn d() {}";
        let source = Source::parse("src/x.rs", text);
        let tests: String = source.lines.iter().map(|line| if line.is_test { 't' } else { '.' }).collect();
        assert_eq!(tests, ".tt.ttttt.");
        assert_eq!(source.production().map(|(line, _)| line).collect::<Vec<_>>(), [1, 4, 10]);
    }

    #[test]
    fn whole_files_are_tests_by_their_path() {
        for path in
            ["src/store/wheel/tests.rs", "tests/keys.rs", "benches/http.rs", "loadtest/tests/model.rs"]
        {
            assert!(Source::parse(path, "fn a() {}").lines[0].is_test, "{path}");
        }
        assert!(!Source::parse("src/store/wheel.rs", "fn a() {}").lines[0].is_test);
        assert_eq!(Source::parse("examples/a.rs", "fn a() {}").production().count(), 0);
    }

    #[test]
    fn words_know_whether_they_were_named_elsewhere() {
        let seen: Vec<(&str, bool)> =
            words("let x = a.b(c::D, 0..e)").into_iter().map(|word| (word.text, word.is_foreign)).collect();
        let own = |text| (text, false);
        assert_eq!(
            seen,
            [own("let"), own("x"), own("a"), ("b", true), own("c"), ("D", true), own("0"), own("e")]
        );
    }
}
