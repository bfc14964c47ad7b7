//! How long files and functions are, how deep folders lie, and that each file introduces itself.
//!
//! Lengths count production lines as they stand on the page, comments and blank lines
//! included: they are for the reader's eyes, and tests are read apart.

use crate::source::{Source, words};

const FILE_LINES_MAX: usize = 400;
const FUNCTION_LINES_MAX: usize = 70;
const HEADER_LINES: std::ops::RangeInclusive<usize> = 3..=12;
/// Tests beside the code they test say what they test in a line or two.
const TEST_HEADER_LINES: std::ops::RangeInclusive<usize> = 1..=12;
const FOLDERS_MAX: usize = 2;

/// The file, where it has too many lines.
pub fn long_files(source: &Source) -> Vec<String> {
    let lines = source.production().count();
    let is_long = lines > FILE_LINES_MAX;
    is_long
        .then(|| source.offender(lines, &format!("{lines} lines of {FILE_LINES_MAX}")))
        .into_iter()
        .collect()
}

/// The functions with too many lines, from their name to their closing brace.
pub fn long_functions(source: &Source) -> Vec<String> {
    let code: Vec<(usize, &str)> =
        source.production().map(|(line, text)| (line, text.code.as_str())).collect();
    let mut offenders = Vec::new();
    for (index, &(line, text)) in code.iter().enumerate() {
        let Some(name) = function_name(text) else { continue };
        let lines = function_lines(code[index..].iter().map(|&(_, text)| text));
        if lines > FUNCTION_LINES_MAX {
            offenders
                .push(source.offender(line, &format!("fn {name} has {lines} lines of {FUNCTION_LINES_MAX}")));
        }
    }
    offenders
}

/// The function that this line names, if it does.
fn function_name(code: &str) -> Option<&str> {
    let at = code
        .match_indices("fn ")
        .map(|(at, _)| at)
        .find(|&at| !code[..at].ends_with(char::is_alphanumeric))?;
    words(&code[at + 3..]).first().map(|word| word.text)
}

/// The lines of the function that begins on the first one: to the brace that closes its body,
/// or to the semicolon of a mere signature.
fn function_lines<'c>(lines: impl Iterator<Item = &'c str>) -> usize {
    let (mut depth, mut count, mut has_body) = (0, 0, false);
    for line in lines {
        count += 1;
        for c in line.chars() {
            depth += i32::from("{([".contains(c)) - i32::from("})]".contains(c));
            has_body |= c == '{' && depth == 1;
            let is_end = depth <= 0 && if has_body { c == '}' } else { c == ';' };
            if is_end {
                return count;
            }
        }
    }
    count
}

/// The file, where it does not open with `//!` lines, enough and not too many. A drawing in
/// them does not count.
pub fn headers(source: &Source) -> Vec<String> {
    let mut in_drawing = false;
    let mut lines = 0;
    for line in source.lines.iter().map_while(|line| line.comment.strip_prefix("//!")) {
        let is_fence = line.trim_start().starts_with("```");
        lines += usize::from(!is_fence && !in_drawing);
        in_drawing ^= is_fence;
    }
    let is_test = source.lines.iter().all(|line| line.is_test);
    let wanted = if is_test { TEST_HEADER_LINES } else { HEADER_LINES };
    (!wanted.contains(&lines))
        .then(|| source.offender(1, &format!("{lines} header lines, not {wanted:?}")))
        .into_iter()
        .collect()
}

/// The file, where it lies too deep under `src`.
pub fn deep_folders(source: &Source) -> Vec<String> {
    let Some((_, below)) = source.path.split_once("src/") else { return Vec::new() };
    let folders = below.matches('/').count();
    let is_deep = folders > FOLDERS_MAX;
    is_deep.then(|| source.offender(1, &format!("{folders} folders under src"))).into_iter().collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    fn source(path: &str, text: &str) -> Source {
        Source::parse(path, text)
    }

    /// A function of so many lines, whose braces in texts and comments mean nothing.
    fn function_of(lines: usize) -> String {
        let body = "    let brace = \"{\"; // }\n".repeat(lines - 4);
        format!("pub fn long(\n    size: [u8; 4],\n) -> u8 {{\n{body}}}\nfn short() {{}}\n")
    }

    #[test]
    fn a_long_function_is_found_and_its_neighbour_is_not() {
        assert_eq!(long_functions(&source("src/x.rs", &function_of(70))), [""; 0]);
        let offenders = long_functions(&source("src/x.rs", &function_of(71)));
        assert_eq!(offenders, ["src/x.rs:1: fn long has 71 lines of 70"]);
    }

    #[test]
    fn signatures_and_function_types_have_no_body() {
        let text =
            format!("trait T {{\n    fn a(&self) -> [u8; 2];\n{}}}\n", "    const X: fn() = f;\n".repeat(80));
        assert_eq!(long_functions(&source("src/x.rs", &text)), [""; 0]);
    }

    #[test]
    fn a_file_is_measured_without_its_tests() {
        let tests = "#[cfg(test)]\nmod tests {\n}\n".repeat(10);
        assert_eq!(long_files(&source("src/x.rs", &("x();\n".repeat(400) + &tests))), [""; 0]);
        assert_eq!(long_files(&source("src/x.rs", &"x();\n".repeat(401))).len(), 1);
        assert_eq!(long_files(&source("src/x/tests.rs", &"x();\n".repeat(401))), [""; 0]);
    }

    #[test]
    fn a_header_has_three_lines_and_stands_first() {
        let table = [
            ("", 1),
            ("//! One.\n//! Two.\n", 1),
            ("use a;\n//! One.\n//! Two.\n//! Three.\n", 1),
            ("//! One.\n//! Two.\n//! Three.\n", 0),
            (&"//! More.\n".repeat(13), 1),
            (&format!("//! a\n//! b\n//! c\n//! ```text\n{}//! ```\n", "//! draw\n".repeat(20)), 0),
        ];
        for (text, offenders) in table {
            let text = format!("{text}fn a() {{}}\n");
            assert_eq!(headers(&source("src/x.rs", &text)).len(), offenders, "{text}");
        }
        assert_eq!(headers(&source("src/x/tests.rs", "//! One.\nfn a() {}\n")), [""; 0]);
        assert_eq!(headers(&source("src/x/tests.rs", "fn a() {}\n")).len(), 1);
    }

    #[test]
    fn a_deep_folder_is_found() {
        assert_eq!(deep_folders(&source("src/a/b/c.rs", "")), [""; 0]);
        assert_eq!(deep_folders(&source("src/a/b/c/d.rs", "")).len(), 1);
        assert_eq!(deep_folders(&source("loadtest/src/a/b/c/d.rs", "")).len(), 1);
    }
}
