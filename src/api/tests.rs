//! What a request's head leads to: each row of the contract, read through a real connection.
//!
//! `{K}` stands for the key of bucket `cart`, `{S}` for that of `shop`, `{M}` for a master key
//! of the operator's, `{X}` for the example master key, `{I}` for an id.

use super::*;
use crate::http::{Connection, Event, Limits, Status};
use crate::registry::{BucketState, KeyAction, Replica};
use crate::shard::VersionSet;
use crate::types::{ApiKey, BucketId, ByteCount, MasterKey};

const MASTER: &str = "a-master-key-of-the-operator";
const EXAMPLE: &str = "change-me-before-you-expose-me";
const ID: &str = "0d9c27a1-5b7e-4c1f-8a3d-112233445566";
const PAYLOAD_BYTES_MAX: u64 = 1000;
const TTL_SECONDS_MAX: u64 = 5000;

/// Where a request comes from.
const NEAR: Caller = Caller { is_loopback: true };
const FAR: Caller = Caller { is_loopback: false };

fn cart_key() -> ApiKey {
    ApiKey::from_random(&[1; 32])
}

fn shop_key() -> ApiKey {
    ApiKey::from_random(&[2; 32])
}

fn bucket(name: &str) -> BucketName {
    BucketName::parse(name.as_bytes()).unwrap()
}

/// Buckets `cart` and `shop` with their keys, `old` without one.
fn replica() -> Replica {
    let mut replica = Replica::new(&[9; 32]);
    let state = |number, name, key| BucketState { id: BucketId::new(number), name: bucket(name), key };
    let key = |byte| Some(ApiKey::from_random(&[byte; 32]));
    replica.restore(&[state(0, "cart", key(1)), state(1, "shop", key(2)), state(2, "old", None)]);
    replica
}

fn settings(query_key: bool) -> Settings {
    let masters = MasterKeyring {
        keys: vec![MasterKey::parse(MASTER).unwrap()],
        example: Some(MasterKey::parse(EXAMPLE).unwrap()),
    };
    let ttl = |seconds| Ttl::from_secs(seconds).unwrap();
    let rules = SessionRules {
        ttl: ttl(60),
        max_ttl: ttl(TTL_SECONDS_MAX),
        max_payload: ByteCount::new(PAYLOAD_BYTES_MAX),
    };
    let limits = PublicLimits {
        connections: 1,
        head: 2,
        target: 3,
        fields: 4,
        trailers: 5,
        chunk_overhead: 6,
        output: 7,
        requests_per_turn: 8,
    };
    Settings::new(masters, query_key, rules, limits)
}

/// Puts keys and ids in their places, and a Host and the end behind a head.
fn fill(head: &str) -> String {
    let (cart, shop) = (cart_key(), shop_key());
    let head = head.replace("{K}", cart.expose()).replace("{S}", shop.expose());
    let head = head.replace("{M}", MASTER).replace("{X}", EXAMPLE).replace("{I}", ID);
    format!("{head}\r\nHost: h\r\n\r\n")
}

/// Judges a head, given as a request line and fields, and what is kept as its Content-Type.
fn judge_from(caller: Caller, settings: &Settings, head: &str) -> (Result<Call, Problem>, String) {
    let mut connection = Connection::new(Limits::default());
    connection.receive(fill(head).as_bytes());
    assert_eq!(connection.poll(), Event::Head, "{head}");
    let replica = replica();
    let judge = Judge { settings, replica: &replica, is_draining: false };
    let mut content_type = b"of the request before".to_vec();
    let judged = judge.judge(&connection.head(), caller, &mut content_type);
    (judged, String::from_utf8(content_type).unwrap())
}

fn judge(head: &str) -> Result<Call, Problem> {
    judge_from(FAR, &settings(true), head).0
}

/// The status and code of the problem that a head leads to, or `ok`.
fn verdict_from(caller: Caller, settings: &Settings, head: &str) -> String {
    match judge_from(caller, settings, head).0 {
        Ok(_) => "ok".to_owned(),
        Err(problem) => format!("{} {}", problem.status().code(), problem.code()),
    }
}

fn verdict(head: &str) -> String {
    verdict_from(FAR, &settings(true), head)
}

fn check(table: &[(&str, &str)]) {
    for (head, expected) in table {
        assert_eq!(verdict(head), *expected, "{head}");
    }
}

fn intent(head: &str) -> Intent {
    match judge(head) {
        Ok(Call::Session(call)) => call.intent,
        other => panic!("{head}: {other:?}"),
    }
}

fn version(number: u64) -> crate::types::Version {
    crate::types::Version::parse(number.to_string().as_bytes()).unwrap()
}

#[test]
fn each_route_takes_its_methods_and_lists_them() {
    let routes = [
        ("/session/settings", "GET, HEAD"),
        ("/session/cart", "PUT"),
        ("/session/cart/{I}", "GET, HEAD, POST, DELETE"),
        ("/session/cart/not-an-id", "GET, HEAD, POST, DELETE"),
        ("/session/-impossible-", "PUT"),
        ("/session/settings/{I}", "GET, HEAD, POST, DELETE"),
        ("/api-key/cart", "PUT, GET, HEAD, DELETE"),
        ("/api-key/settings", "PUT, GET, HEAD, DELETE"),
        ("/api-key/%00", "PUT, GET, HEAD, DELETE"),
    ];
    for (path, allow) in routes {
        for method in ["GET", "HEAD", "PUT", "POST", "DELETE", "PATCH", "OPTIONS", "TRACE", "get"] {
            for key in ["", "\r\nX-Session-Key: {M}", "\r\nX-Session-Key: {K}"] {
                let judged = judge(&format!("{method} {path} HTTP/1.1{key}"));
                let is_refused = matches!(judged, Err(Problem::Method(listed)) if listed == allow);
                let is_taken = allow.split(", ").any(|taken| taken == method);
                assert_eq!(is_refused, !is_taken, "{method} {path}: {judged:?}");
            }
        }
    }
}

#[test]
fn whatever_is_no_route_is_405_with_or_without_a_key() {
    for target in
        ["/", "/session", "/session/", "/session/cart/", "/session//{I}", "/x", "/session/a/b/c", "*"]
    {
        for key in ["", "\r\nX-Session-Key: {K}", "\r\nX-Session-Key: {M}", "\r\nX-Session-TTL: 0"] {
            for method in ["GET", "PUT", "BREW"] {
                let judged = judge(&format!("{method} {target} HTTP/1.1{key}"));
                assert!(matches!(judged, Err(Problem::NoRoute)), "{method} {target}: {judged:?}");
            }
        }
    }
    assert_eq!(Problem::NoRoute.status(), Status::MethodNotAllowed);
    assert!(matches!(judge("CONNECT h:80 HTTP/1.1"), Err(Problem::NoRoute)));
    assert!(matches!(judge("GET http://h HTTP/1.1"), Err(Problem::NoRoute)));
}

#[test]
fn a_key_is_taken_from_every_place_that_the_contract_names() {
    for (path, method, key) in [
        ("/session/cart", "PUT", "{K}"),
        ("/session/cart/{I}", "GET", "{K}"),
        ("/session/settings", "GET", "{K}"),
        ("/session/settings", "HEAD", "{S}"),
        ("/session/settings", "GET", "{M}"),
        ("/api-key/cart", "PUT", "{M}"),
    ] {
        let wrong = if key == "{K}" { "{S}x" } else { "{K}x" };
        let line = format!("{method} {path}");
        let good = [
            format!("{line} HTTP/1.1\r\nX-Session-Key: {key}"),
            format!("{line} HTTP/1.1\r\nx-session-key:{key}"),
            format!("{line} HTTP/1.1\r\nAuthorization: Bearer {key}"),
            format!("{line} HTTP/1.1\r\nAuthorization: bearer  {key}"),
            format!("{line}?api_key={key} HTTP/1.1"),
            format!("{line}?a=b&api_key={key}&c HTTP/1.1"),
            format!("{line}?api_key={key} HTTP/1.1\r\nX-Session-Key: {key}\r\nAuthorization: Bearer {key}"),
            format!("{line} HTTP/1.1\r\nX-Session-Key: {key}\r\nAuthorization: Basic dTpw"),
            format!("GET http://elsewhere{path}?api_key={key} HTTP/1.1").replacen("GET", method, 1),
        ];
        for head in good {
            assert_eq!(verdict(&head), "ok", "{head}");
        }
        let bad = [
            format!("{line} HTTP/1.1"),
            format!("{line} HTTP/1.1\r\nX-Session-Key:"),
            format!("{line}?api_key= HTTP/1.1"),
            format!("{line}?api_key HTTP/1.1"),
            format!("{line}?API_KEY={key} HTTP/1.1"),
            format!("{line} HTTP/1.1\r\nX-Session-Key: {wrong}"),
            format!("{line} HTTP/1.1\r\nX-Session-Key: {key}x"),
            format!("{line} HTTP/1.1\r\nX-Session-Key: {key}, {key}"),
            format!("{line} HTTP/1.1\r\nAuthorization: Basic {key}"),
            format!("{line} HTTP/1.1\r\nAuthorization: {key}"),
            format!("{line} HTTP/1.1\r\nX-Session-Key: {key}\r\nX-Session-Key: {wrong}"),
            format!("{line}?api_key={wrong} HTTP/1.1\r\nX-Session-Key: {key}"),
            format!("{line}?api_key={key}&api_key={wrong} HTTP/1.1"),
            format!("{line}?api_key= HTTP/1.1\r\nX-Session-Key: {key}"),
            format!("{line} HTTP/1.1\r\nX-Session-Key: {key}\r\nAuthorization: Bearer {wrong}"),
            format!("{line} HTTP/1.1\r\nCookie: api_key={key}"),
        ];
        for head in bad {
            assert_eq!(verdict(&head), "401 invalid_api_key", "{head}");
        }
    }
}

#[test]
fn a_key_in_the_query_is_decoded_once() {
    let escaped: String = MASTER.bytes().map(|byte| format!("%{byte:02x}")).collect();
    let twice = escaped.replace('%', "%25");
    assert_eq!(verdict(&format!("GET /session/settings?api_key={escaped} HTTP/1.1")), "ok");
    let refused = verdict(&format!("GET /session/settings?api_key={twice} HTTP/1.1"));
    assert_eq!(refused, "401 invalid_api_key");
}

#[test]
fn without_query_keys_any_key_in_the_query_is_401() {
    let settings = settings(false);
    let table = [
        ("PUT /session/cart?api_key={K} HTTP/1.1", "401 invalid_api_key"),
        ("PUT /session/cart?api_key={K} HTTP/1.1\r\nX-Session-Key: {K}", "401 invalid_api_key"),
        ("GET /api-key/cart?x&api_key HTTP/1.1\r\nX-Session-Key: {M}", "401 invalid_api_key"),
        ("PUT /session/cart?other=1 HTTP/1.1\r\nX-Session-Key: {K}", "ok"),
        ("POST /session/cart?api_key={K} HTTP/1.1", "405 method_not_allowed"),
    ];
    for (head, expected) in table {
        assert_eq!(verdict_from(FAR, &settings, head), expected, "{head}");
    }
}

#[test]
fn nobody_without_the_buckets_own_key_learns_anything_of_it() {
    let paths = ["/session/cart/{I}", "/session/shop/{I}", "/session/old/{I}", "/session/none/{I}"];
    let fields = ["", "\r\nX-Session-TTL: 0", "\r\nIf-Match: x", "\r\nContent-Length: 5000"];
    for key in ["", "\r\nX-Session-Key: {M}", "\r\nX-Session-Key: {X}", "\r\nX-Session-Key: nonsense"] {
        for path in paths {
            for field in fields {
                let head = format!("POST {path} HTTP/1.1{key}{field}");
                assert_eq!(verdict(&head), "401 invalid_api_key", "{head}");
            }
        }
    }
    check(&[
        ("GET /session/shop/{I} HTTP/1.1\r\nX-Session-Key: {K}", "401 invalid_api_key"),
        ("GET /session/none/{I} HTTP/1.1\r\nX-Session-Key: {K}", "401 invalid_api_key"),
        ("GET /session/settings/{I} HTTP/1.1\r\nX-Session-Key: {K}", "401 invalid_api_key"),
        ("GET /session/CART/{I} HTTP/1.1\r\nX-Session-Key: {K}", "401 invalid_api_key"),
        ("PUT /session/.. HTTP/1.1\r\nX-Session-Key: {K}", "401 invalid_api_key"),
        ("PUT /session/c%2fart HTTP/1.1\r\nX-Session-Key: {K}", "401 invalid_api_key"),
        ("PUT /session/%63art HTTP/1.1\r\nX-Session-Key: {K}", "ok"),
        ("PUT /api-key/cart HTTP/1.1\r\nX-Session-Key: {K}", "401 invalid_api_key"),
        ("GET /api-key/cart HTTP/1.1", "401 invalid_api_key"),
    ]);
}

#[test]
fn the_example_master_key_works_on_this_machine_alone() {
    let settings = settings(true);
    for line in ["PUT /api-key/cart", "GET /session/settings"] {
        let head = format!("{line} HTTP/1.1\r\nX-Session-Key: {{X}}");
        assert_eq!(verdict_from(NEAR, &settings, &head), "ok", "{head}");
        assert_eq!(verdict_from(FAR, &settings, &head), "401 invalid_api_key", "{head}");
        for mark in [
            "Forwarded: for=1.2.3.4",
            "X-Forwarded-For: 1.2.3.4",
            "x-forwarded-proto: https",
            "X-FORWARDED-HOST: h",
            "X-Forwarded-F:",
            "X-Real-IP: 1.2.3.4",
            "Via: 1.1 proxy",
            "via:",
        ] {
            let marked = format!("{head}\r\n{mark}");
            assert_eq!(verdict_from(NEAR, &settings, &marked), "401 invalid_api_key", "{marked}");
            let own = marked.replace("{X}", "{M}");
            assert_eq!(verdict_from(NEAR, &settings, &own), "ok", "{own}");
        }
        for other in ["X-Forward: 1", "X-Real-IPs: 1", "Viaduct: 1"] {
            let unmarked = format!("{head}\r\n{other}");
            assert_eq!(verdict_from(NEAR, &settings, &unmarked), "ok", "{unmarked}");
        }
    }
}

#[test]
fn bucket_names_are_judged_after_the_master_key() {
    let long = "a".repeat(65);
    let impossible = ["..", "-a", "_a", "a%20b", "%zz", "a%2Fb", "%C3%A9", "a!", long.as_str()];
    for name in impossible {
        for (method, expected) in [
            ("PUT", "400 invalid_bucket_name"),
            ("GET", "404 api_key_not_found"),
            ("HEAD", "404 api_key_not_found"),
            ("DELETE", "404 api_key_not_found"),
        ] {
            let head = format!("{method} /api-key/{name} HTTP/1.1");
            assert_eq!(verdict(&head), "401 invalid_api_key", "{head}");
            let with_key = format!("{head}\r\nX-Session-Key: {{M}}");
            assert_eq!(verdict(&with_key), expected, "{with_key}");
        }
        let session = format!("PUT /session/{name} HTTP/1.1\r\nX-Session-Key: {{K}}");
        assert_eq!(verdict(&session), "401 invalid_api_key", "{session}");
    }
    let longest = "a".repeat(64);
    let head = format!("PUT /api-key/{longest} HTTP/1.1\r\nX-Session-Key: {{M}}");
    assert_eq!(verdict(&head), "ok");
    check(&[
        ("PUT /api-key/settings HTTP/1.1\r\nX-Session-Key: {M}", "409 reserved_bucket_name"),
        ("PUT /api-key/%73ettings HTTP/1.1\r\nX-Session-Key: {M}", "409 reserved_bucket_name"),
        ("PUT /api-key/Settings HTTP/1.1\r\nX-Session-Key: {M}", "ok"),
        ("GET /api-key/settings HTTP/1.1\r\nX-Session-Key: {M}", "ok"),
        ("POST /api-key/settings HTTP/1.1\r\nX-Session-Key: {M}", "405 method_not_allowed"),
    ]);
}

#[test]
fn key_calls_say_what_to_do_with_whose_key() {
    for (method, verb) in
        [("PUT", KeyVerb::Make), ("GET", KeyVerb::Read), ("HEAD", KeyVerb::Read), ("DELETE", KeyVerb::Remove)]
    {
        let call = judge(&format!("{method} /api-key/c%61rt HTTP/1.1\r\nX-Session-Key: {{M}}"));
        let Ok(Call::Key(call)) = call else { panic!("{method}: {call:?}") };
        assert_eq!((call.bucket, call.verb), (bucket("cart"), verb));
        assert_eq!(call.reply.bucket, Some(bucket("cart")));
        assert_eq!(call.reply.omit_body, method == "HEAD");
        let operation = call.operation(|| [5; 32]);
        assert_eq!(operation.bucket, bucket("cart"));
        assert_eq!(matches!(operation.action, KeyAction::Make(bytes) if bytes == [5; 32]), method == "PUT");
    }
}

#[test]
fn a_known_size_over_the_limit_is_413_on_every_route_and_before_other_fields() {
    let lines = [
        "PUT /session/cart HTTP/1.1\r\nX-Session-Key: {K}",
        "GET /session/cart/{I} HTTP/1.1\r\nX-Session-Key: {K}",
        "POST /session/cart/not-an-id HTTP/1.1\r\nX-Session-Key: {K}",
        "DELETE /session/cart/{I} HTTP/1.1\r\nX-Session-Key: {K}",
        "GET /session/settings HTTP/1.1\r\nX-Session-Key: {S}",
        "DELETE /api-key/cart HTTP/1.1\r\nX-Session-Key: {M}",
        "PUT /api-key/settings HTTP/1.1\r\nX-Session-Key: {M}",
    ];
    for line in lines {
        let bad_fields = "X-Session-TTL: 0\r\nIf-Match: x\r\nX-Session-Peek: 2\r\nContent-Encoding: gzip";
        for fields in ["Expect: 100-continue", bad_fields] {
            let judged = judge(&format!("{line}\r\n{fields}\r\nContent-Length: 1001"));
            let expected = Problem::TooLarge { limit: PAYLOAD_BYTES_MAX, size: Some(1001) };
            assert_eq!(judged.err(), Some(expected), "{line}");
        }
    }
    check(&[
        ("PUT /session/cart HTTP/1.1\r\nX-Session-Key: {K}\r\nContent-Length: 1000", "ok"),
        ("PUT /session/cart HTTP/1.1\r\nX-Session-Key: {K}\r\nTransfer-Encoding: chunked", "ok"),
        ("PUT /session/cart HTTP/1.1\r\nX-Session-Key: {S}\r\nContent-Length: 1001", "401 invalid_api_key"),
        ("PUT /nowhere HTTP/1.1\r\nContent-Length: 1001", "405 no_such_route"),
    ]);
}

#[test]
fn a_malformed_id_is_404_after_key_size_and_field_values() {
    let ids =
        ["x", "{I}0", "{{I}}", "urn:uuid:{I}", "%20{I}", "{I}%00", "%zz", "0d9c27a15b7e4c1f8a3d11223344556"];
    for id in ids {
        for method in ["GET", "HEAD", "POST", "DELETE"] {
            let path = format!("{method} /session/cart/{id} HTTP/1.1");
            assert_eq!(verdict(&path), "401 invalid_api_key", "{path}");
            let with_key = format!("{path}\r\nX-Session-Key: {{K}}");
            assert_eq!(verdict(&with_key), "404 session_not_found", "{with_key}");
            let with_bad_field = format!("{with_key}\r\nIf-Match: x");
            assert_eq!(verdict(&with_bad_field), "400 invalid_precondition", "{with_bad_field}");
        }
    }
}

#[test]
fn an_id_is_read_in_both_spellings_and_any_case() {
    let expected = SessionId::parse(ID.as_bytes()).unwrap();
    let (upper, bare) = (ID.to_uppercase(), ID.replace('-', ""));
    let escaped = ID.replace('-', "%2D");
    for id in [ID, &upper, &bare, &bare.to_uppercase(), &escaped] {
        match intent(&format!("GET /session/cart/{id} HTTP/1.1\r\nX-Session-Key: {{K}}")) {
            Intent::Read { id: read, .. } => assert_eq!(read, expected, "{id}"),
            other => panic!("{id}: {other:?}"),
        }
    }
}

#[test]
fn a_ttl_of_its_own_is_read_on_put_and_post_and_clamped() {
    let table = [
        ("", Ok(None)),
        ("\r\nX-Session-TTL: 1", Ok(Some(1))),
        ("\r\nX-Session-TTL: 4999", Ok(Some(4999))),
        ("\r\nX-Session-TTL: 5001", Ok(Some(5000))),
        ("\r\nX-Session-TTL: 99999999999999999999", Ok(Some(5000))),
        ("\r\nX-Session-TTL: 0", Err(Problem::SessionTtl)),
        ("\r\nX-Session-TTL: -1", Err(Problem::SessionTtl)),
        ("\r\nX-Session-TTL: 1.0", Err(Problem::SessionTtl)),
        ("\r\nX-Session-TTL: 1 2", Err(Problem::SessionTtl)),
        ("\r\nX-Session-TTL:", Err(Problem::SessionTtl)),
        ("\r\nX-Session-TTL: 5\r\nX-Session-TTL: 5", Err(Problem::SessionTtl)),
    ];
    for (field, expected) in table {
        for line in ["PUT /session/cart", "POST /session/cart/{I}"] {
            let head = format!("{line} HTTP/1.1\r\nX-Session-Key: {{K}}{field}");
            let read = judge(&head).map(|call| match call {
                Call::Session(SessionCall { intent: Intent::Create { own_ttl }, .. })
                | Call::Session(SessionCall { intent: Intent::Update { own_ttl, .. }, .. }) => {
                    own_ttl.map(Ttl::as_secs)
                }
                other => panic!("{head}: {other:?}"),
            });
            assert_eq!(read, expected, "{head}");
        }
    }
    check(&[
        ("GET /session/cart/{I} HTTP/1.1\r\nX-Session-Key: {K}\r\nX-Session-TTL: 0", "ok"),
        ("DELETE /session/cart/{I} HTTP/1.1\r\nX-Session-Key: {K}\r\nX-Session-TTL: 0", "ok"),
    ]);
}

#[test]
fn only_a_plain_get_touches() {
    let table = [
        ("GET", "", true),
        ("GET", "\r\nX-Session-Peek: 0", true),
        ("GET", "\r\nX-Session-Peek: 1", false),
        ("HEAD", "", false),
        ("HEAD", "\r\nX-Session-Peek: 0", false),
        ("HEAD", "\r\nX-Session-Peek: 1", false),
    ];
    for (method, field, touches) in table {
        let head = format!("{method} /session/cart/{{I}} HTTP/1.1\r\nX-Session-Key: {{K}}{field}");
        assert!(matches!(intent(&head), Intent::Read { touch, .. } if touch == touches), "{head}");
    }
    for value in ["", "2", "true", "01", "1, 1", "1\r\nX-Session-Peek: 1"] {
        let head = format!("/session/cart/{{I}} HTTP/1.1\r\nX-Session-Key: {{K}}\r\nX-Session-Peek: {value}");
        for method in ["GET", "HEAD"] {
            assert_eq!(verdict(&format!("{method} {head}")), "400 invalid_session_peek", "{head}");
        }
        assert_eq!(verdict(&format!("DELETE {head}")), "ok", "only reads peek");
    }
}

#[test]
fn conditions_are_read_wherever_a_session_is_named() {
    let one = |number| Some(VersionSet::One(version(number)));
    let listed = |numbers: &[u64]| Some(VersionSet::Listed(numbers.iter().copied().map(version).collect()));
    let table = [
        ("", None, None),
        ("\r\nIf-Match: \"3\"", one(3), None),
        ("\r\nIf-None-Match: \"3\"", None, one(3)),
        ("\r\nIf-Match: *\r\nIf-None-Match: *", Some(VersionSet::Any), Some(VersionSet::Any)),
        ("\r\nIf-Match: W/\"3\"", listed(&[]), None),
        ("\r\nIf-None-Match: W/\"3\"", None, one(3)),
        ("\r\nIf-Match: \"3\", \"4\"", listed(&[3, 4]), None),
        ("\r\nIf-Match: \"3\"\r\nIf-Match: \"4\"", listed(&[3, 4]), None),
        ("\r\nif-none-match: \"abc\"", None, listed(&[])),
    ];
    for (fields, if_match, if_none_match) in table {
        let expected = Conditions { if_match, if_none_match };
        for method in ["GET", "HEAD", "POST", "DELETE"] {
            let head = format!("{method} /session/cart/{{I}} HTTP/1.1\r\nX-Session-Key: {{K}}{fields}");
            match intent(&head) {
                Intent::Read { conditions, .. }
                | Intent::Update { conditions, .. }
                | Intent::Delete { conditions, .. } => assert_eq!(conditions, expected, "{head}"),
                other => panic!("{head}: {other:?}"),
            }
        }
    }
    check(&[
        ("GET /session/cart/{I} HTTP/1.1\r\nX-Session-Key: {K}\r\nIf-Match: 3", "400 invalid_precondition"),
        ("GET /session/cart/{I} HTTP/1.1\r\nX-Session-Key: {K}\r\nIf-Match:", "400 invalid_precondition"),
        ("PUT /session/cart HTTP/1.1\r\nX-Session-Key: {K}\r\nIf-Match: 3", "ok"),
    ]);
}

#[test]
fn data_keeps_its_media_type_and_nothing_else_has_one() {
    let longest = "a".repeat(255);
    let kept = format!("\r\nContent-Type: {longest}");
    let table = [
        ("", ""),
        ("\r\nContent-Type:", ""),
        ("\r\nContent-Type: application/json; charset=utf-8", "application/json; charset=utf-8"),
        ("\r\nContent-Type: not a type at all", "not a type at all"),
        (&kept, &longest),
    ];
    for (field, expected) in table {
        for line in ["PUT /session/cart", "POST /session/cart/{I}"] {
            let head = format!("{line} HTTP/1.1\r\nX-Session-Key: {{K}}{field}");
            let (judged, content_type) = judge_from(FAR, &settings(true), &head);
            assert!(judged.is_ok_and(|call| call.takes_data()), "{head}");
            assert_eq!(content_type, expected, "{head}");
        }
        for line in ["GET /session/cart/{I}", "DELETE /session/cart/{I}"] {
            let head = format!("{line} HTTP/1.1\r\nX-Session-Key: {{K}}{field}");
            let (judged, content_type) = judge_from(FAR, &settings(true), &head);
            assert!(judged.is_ok_and(|call| !call.takes_data()), "{head}");
            assert_eq!(content_type, "", "{head}");
        }
    }
}

#[test]
fn a_media_type_too_long_is_400_and_an_encoding_415() {
    let too_long = format!("Content-Type: {}", "a".repeat(256));
    let table = [
        (too_long.as_str(), "400 invalid_content_type"),
        ("Content-Type: a/b\r\nContent-Type: a/b", "400 invalid_content_type"),
        ("Content-Encoding: gzip", "415 unsupported_content_encoding"),
        ("Content-Encoding: identity, gzip", "415 unsupported_content_encoding"),
        ("Content-Encoding: identity\r\nContent-Encoding: br", "415 unsupported_content_encoding"),
        ("Content-Encoding: identity", "ok"),
        ("Content-Encoding: IDENTITY", "ok"),
        ("Content-Encoding:", "ok"),
    ];
    for (fields, expected) in table {
        for line in ["PUT /session/cart", "POST /session/cart/{I}"] {
            let head = format!("{line} HTTP/1.1\r\nX-Session-Key: {{K}}\r\n{fields}");
            assert_eq!(verdict(&head), expected, "{head}");
        }
        let read = format!("GET /session/cart/{{I}} HTTP/1.1\r\nX-Session-Key: {{K}}\r\n{fields}");
        assert_eq!(verdict(&read), "ok", "{read}");
    }
}

#[test]
fn header_values_are_judged_400_before_415() {
    let encoded = "POST /session/cart/{I} HTTP/1.1\r\nX-Session-Key: {K}\r\nContent-Encoding: gzip\r\n";
    for (field, expected) in [
        ("X-Session-TTL: 0", "400 invalid_session_ttl"),
        ("Content-Type: a\r\nContent-Type: a", "400 invalid_content_type"),
        ("If-Match: x", "400 invalid_precondition"),
        ("If-Match: *", "415 unsupported_content_encoding"),
    ] {
        assert_eq!(verdict(&format!("{encoded}{field}")), expected, "{field}");
    }
}

#[test]
fn json_is_given_to_those_who_prefer_it_where_there_are_two_forms() {
    for (accept, json) in [
        ("", false),
        ("\r\nAccept: application/json", true),
        ("\r\nAccept: application/json, text/plain, */*", false),
        ("\r\nAccept: application/json\r\nAccept: */*;q=0.1", true),
    ] {
        for line in [
            "PUT /session/cart HTTP/1.1\r\nX-Session-Key: {K}",
            "GET /api-key/a HTTP/1.1\r\nX-Session-Key: {M}",
        ] {
            let head = format!("{line}{accept}");
            assert_eq!(judge(&head).unwrap().reply().json, json, "{head}");
        }
    }
}

#[test]
fn a_reply_knows_whether_the_connection_stays() {
    let table = [
        ("GET / HTTP/1.1", false, Persistence::KeepAlive),
        ("GET / HTTP/1.1\r\nConnection: close", false, Persistence::Close),
        ("GET / HTTP/1.0", false, Persistence::Close),
        ("GET / HTTP/1.0\r\nConnection: keep-alive", false, Persistence::KeepAliveHttp10),
        ("GET / HTTP/1.1", true, Persistence::Close),
        ("GET / HTTP/1.0\r\nConnection: keep-alive", true, Persistence::Close),
    ];
    let (settings, replica) = (settings(true), replica());
    for (head, is_draining, expected) in table {
        let mut connection = Connection::new(Limits::default());
        connection.receive(fill(head).as_bytes());
        assert_eq!(connection.poll(), Event::Head);
        let judge = Judge { settings: &settings, replica: &replica, is_draining };
        let reply = judge.reply(&connection.head());
        assert_eq!(reply.persistence, expected, "{head} {is_draining}");
        assert!(!reply.omit_body && !reply.json && reply.bucket.is_none());
    }
}

#[test]
fn a_settings_call_remembers_the_key_that_opened_it() {
    let granted = |key: &str| {
        let call = judge(&format!("GET /session/settings HTTP/1.1\r\nX-Session-Key: {key}"));
        match call {
            Ok(Call::Settings { grant, .. }) => grant,
            other => panic!("{other:?}"),
        }
    };
    let replica = replica();
    assert_eq!(granted("{K}"), replica.judge(&bucket("cart"), cart_key().expose().as_bytes()));
    assert!(granted("{S}").is_some_and(|grant| replica.is_current(grant)));
    assert_eq!(granted("{M}"), None);
}
