//! What every refusal must look like: a problem document (RFC 9457) that tells no secret.
//!
//! The client applies it to each answer of 400 and above, so that no suite can forget it:
//! the members, the fields that belong to the status, and the absence of keys and ids.

use serde_json::Value;

use super::launch::MASTER_KEY;
use super::response::Response;

/// Fails unless this refusal of a `method` is complete and discreet.
#[track_caller]
pub fn check(response: &Response, method: &str) {
    assert_eq!(response.must("Content-Type"), "application/problem+json", "{response}");
    check_fields(response);
    if method != "HEAD" {
        check_members(response);
        check_discretion(response);
    }
}

/// The stable code of a refusal.
#[track_caller]
pub fn code(response: &Response) -> String {
    response.json()["code"].as_str().unwrap_or_else(|| panic!("no code: {response}")).to_owned()
}

fn check_fields(response: &Response) {
    match response.status {
        401 => assert_eq!(response.must("WWW-Authenticate"), "Bearer realm=\"seshun\"", "{response}"),
        405 => _ = response.allow(),
        429 | 503 => {
            let retry_after = response.must("Retry-After").parse::<u64>();
            assert!(retry_after.is_ok(), "{response}");
        }
        _ => {}
    }
}

fn check_members(response: &Response) {
    let problem = response.json();
    assert_eq!(problem["type"], "about:blank", "{response}");
    assert_eq!(problem["status"], response.status, "{response}");
    for member in ["title", "detail", "code"] {
        assert!(problem[member].as_str().is_some_and(|text| !text.is_empty()), "no {member}: {response}");
    }
    let is_code = |byte: u8| byte.is_ascii_lowercase() || byte.is_ascii_digit() || b"_-".contains(&byte);
    assert!(code(response).bytes().all(is_code), "{response}");
    match response.status {
        412 => assert_eq!(problem["current_etag"], Value::from(response.etag()), "{response}"),
        413 => assert!(problem["limit"].is_u64(), "{response}"),
        _ => {}
    }
}

/// No key, made or master, and no id in any form.
fn check_discretion(response: &Response) {
    let text = response.text();
    assert!(!text.contains(MASTER_KEY), "{response}");
    let is_part = |c: char| c.is_ascii_alphanumeric() || c == '-' || c == '_';
    for word in text.split(|c| !is_part(c)) {
        assert!(uuid::Uuid::try_parse(word).is_err(), "an id in {response}");
        assert!(word.len() != 43, "a key in {response}");
    }
}
