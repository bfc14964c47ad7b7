//! What every page must be: well-formed, self-contained, escaped. Others' tests use the judges.

use super::*;

/// Attributes and rules by which a page can ask for something from elsewhere.
const FETCHING: [&str; 12] = [
    " src=", " href=", " srcset=", "xlink:", "url(", "@import", "<script", "<link", "<img", "<iframe",
    "<object", "<form",
];

/// Fails unless every element is closed in its order, every attribute quoted and every reference known.
#[track_caller]
pub fn assert_well_formed(text: &str) {
    let text = text.strip_prefix("<!DOCTYPE html>").unwrap_or(text);
    let mut open: Vec<&str> = Vec::new();
    let mut rest = text;
    while let Some(at) = rest.find('<') {
        assert_plain(&rest[..at]);
        let end = rest[at..].find('>').unwrap_or_else(|| panic!("no end of {:.60}", &rest[at..]));
        let tag = &rest[at + 1..at + end];
        rest = &rest[at + end + 1..];
        if let Some(name) = tag.strip_prefix('/') {
            assert_eq!(open.pop(), Some(name), "closed out of order");
        } else {
            let (body, is_empty) = tag.strip_suffix('/').map_or((tag, false), |body| (body, true));
            let name = body.split(' ').next().unwrap_or_default();
            assert!(!name.is_empty() && name.chars().all(|c| c.is_ascii_alphanumeric()), "{tag}");
            assert_attributes(&body[name.len()..]);
            if !is_empty {
                open.push(name);
            }
        }
    }
    assert_plain(rest);
    assert!(open.is_empty(), "never closed: {open:?}");
}

#[track_caller]
fn assert_attributes(mut rest: &str) {
    while !rest.is_empty() {
        let (name, behind) = rest.split_once("=\"").unwrap_or_else(|| panic!("no value: {rest}"));
        assert!(name.strip_prefix(' ').is_some_and(|name| !name.contains(['"', ' '])), "{rest}");
        let (value, behind) = behind.split_once('"').unwrap_or_else(|| panic!("no end: {rest}"));
        assert!(!value.contains('<'), "{value}");
        assert_plain(value);
        rest = behind;
    }
}

/// Fails where a text has a `>` or an ampersand that begins no reference of ours.
#[track_caller]
fn assert_plain(text: &str) {
    assert!(!text.contains('>'), "{text}");
    for (at, _) in text.match_indices('&') {
        let known = ["&amp;", "&lt;", "&gt;", "&quot;", "&#39;"];
        assert!(known.iter().any(|reference| text[at..].starts_with(reference)), "{}", &text[at..]);
    }
}

/// Fails where a page refers to anything outside of itself.
#[track_caller]
pub fn assert_self_contained(page: &str) {
    for word in FETCHING {
        assert!(!page.contains(word), "{word}");
    }
    assert!(page.contains("default-src &#39;none&#39;"), "and its browser is told so");
}

fn sample(title: &str) -> String {
    page(title, "on a machine", |body| {
        news(body, News::Bad, "2 wrong", &["a <b> reason".to_owned()]);
        tiles(body, &[("answers", "1,000".to_owned())]);
        section(body, "Figures", |section| {
            table(section, &["", "p50"], &[vec!["read".to_owned(), latency(1.5)]]);
            facts(section, &[("seed", "7".to_owned())]);
        });
    })
}

#[test]
fn a_page_is_well_formed_and_asks_for_nothing() {
    let page = sample("A run");
    assert_well_formed(&page);
    assert_self_contained(&page);
    for part in [
        "<title>A run</title>",
        "1.50 µs",
        "a &lt;b&gt; reason",
        "prefers-color-scheme: dark",
        "@media print",
    ] {
        assert!(page.contains(part), "{part}");
    }
}

#[test]
fn a_title_stays_a_title() {
    let page = sample("</title><script>x</script>");
    assert_well_formed(&page);
    assert_self_contained(&page);
}

#[test]
fn a_page_that_is_not_well_formed_is_found() {
    for text in ["<p>", "<p></b>", "<p a=b></p>", "<p>&nbsp;</p>", "<p>></p>", "</p>", "<p a=\"<\"></p>"] {
        assert!(std::panic::catch_unwind(|| assert_well_formed(text)).is_err(), "{text}");
    }
}

#[test]
fn every_tone_is_in_the_style_sheet_in_light_and_dark() {
    for index in 0..chart::TONES {
        assert!(SHEET.contains(&format!(".t{index} {{")), "t{index}");
        assert_eq!(SHEET.matches(&format!("--t{index}: #")).count(), 2, "t{index}");
    }
}
