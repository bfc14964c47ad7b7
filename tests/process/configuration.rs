//! Which configuration holds: file, environment and flags; and what is said of a bad one.
//!
//! The parts are tested beside their code; here the whole way is walked, from the file to
//! what `/session/settings` tells a client.

use crate::support::{App, Ended, Launch, MASTER_KEY, Server};

/// The configured TTL, as a client is told.
fn session_ttl(server: &Server) -> u64 {
    let mut client = server.connect();
    let response = client.request("GET", "/session/settings", &[("X-SESSION-KEY", MASTER_KEY)], b"");
    response.expect(200).json()["session_ttl"].as_u64().expect("a number of seconds")
}

/// Runs a server that must refuse this file; what it says goes by line.
#[track_caller]
fn refused(text: &str, said: &[&str]) -> Ended {
    let ended = Launch::cores(1).config_text(text).run();
    assert_eq!((ended.code, ended.stdout.as_str()), (Some(1), ""), "{text}\n{ended:?}");
    for word in said {
        assert!(ended.stderr.contains(word), "no {word:?} said of\n{text}\n{ended:?}");
    }
    ended
}

#[test]
fn a_bad_value_is_refused_with_file_line_and_key() {
    refused("session:\n  ttl: soon\n", &["config.yml:2", "session.ttl"]);
    refused("session:\n  ttl: 1h\n  max_payload: much\n", &["config.yml:3", "session.max_payload"]);
    refused("limits:\n  fields: 0\n", &["config.yml:2", "limits.fields"]);
    refused("server:\n  cores: 1000\n", &["config.yml:2", "server.cores"]);
    refused("memory:\n\n  max: 101%\n", &["config.yml:3", "memory.max"]);
    refused("timeouts:\n  head: -1s\n", &["config.yml:2", "timeouts.head"]);
}

#[test]
fn an_unknown_key_is_refused_with_file_line_and_name() {
    refused("session:\n  ttl: 1h\n  tll: 1h\n", &["config.yml:3", "tll"]);
    refused("# a comment\nsesion:\n  ttl: 1h\n", &["config.yml:2", "sesion"]);
}

#[test]
fn all_faults_are_named_at_once() {
    let text = "session:\n  ttl: soon\nlimits:\n  bogus: 1\n  head: tiny\n";
    refused(text, &["config.yml:2", "session.ttl", "config.yml:4", "bogus", "config.yml:5", "limits.head"]);
}

#[test]
fn what_is_no_yaml_is_refused_with_its_line() {
    refused("session:\n  ttl: 1h\n  max_payload: [1\n", &["config.yml:"]);
    refused("session:\n\tttl: 1h\n", &["config.yml:2"]);
}

#[test]
fn settings_that_contradict_each_other_are_refused() {
    refused("session:\n  ttl: 2d\n  max_ttl: 1d\n", &["session.ttl", "session.max_ttl"]);
}

#[test]
fn no_refusal_shows_a_master_key() {
    for key in ["short-secret", "a secret with spaces in it", "a-secret-with-a-bad-character!"] {
        let ended =
            refused(&format!("auth:\n  master_keys: [\"{key}\"]\n"), &["config.yml:2", "auth.master_keys"]);
        assert!(!ended.stderr.contains(key), "{ended:?}");
    }
    refused("auth:\n  master_keys: []\n", &["auth.master_keys"]);
}

#[test]
fn a_file_in_the_working_directory_is_found() {
    let server = Launch::cores(1).set("session.ttl", "61s").without_config_flag().start();
    assert_eq!(session_ttl(&server), 61);
    assert!(server.stderr().contains("config.yml"), "{}", server.stderr());
}

#[test]
fn a_file_named_by_the_environment_is_taken() {
    let launch = Launch::cores(1).set("session.ttl", "62s").without_config_flag();
    let server = launch.env("SESHUN_CONFIG", "config.yml").start();
    assert_eq!(session_ttl(&server), 62);
    let missing = Launch::bare().env("SESHUN_CONFIG", "no-such-file.yml").run();
    assert_eq!(missing.code, Some(1), "{missing:?}");
    assert!(missing.stderr.contains("no-such-file.yml"), "{missing:?}");
}

#[test]
fn without_a_file_the_compiled_in_one_holds() {
    let server =
        Launch::bare().flag("--config").flag("builtin").listen("127.0.0.1:0").admin_listen("off").start();
    assert!(server.stderr().contains("builtin"), "{}", server.stderr());
    server.connect().request("GET", "/session/settings", &[], b"").expect(401);
}

#[test]
fn the_environment_wins_over_the_file_and_a_flag_over_both() {
    let launch = Launch::cores(1).set("session.ttl", "61s").set("server.listen", "\"127.0.0.1:1\"");
    let launch = launch.env("SESHUN_SESSION_TTL", "63s").env("SESHUN_SERVER_LISTEN", "127.0.0.1:2");
    let server = launch.start();
    assert_eq!(session_ttl(&server), 63);
    assert!(server.addr().port() > 2, "{}", server.addr());
}

#[test]
fn a_list_comes_from_the_environment_by_comma() {
    let keys = "first-master-key.0123,second-master-key.0123";
    let server = Launch::cores(1).env("SESHUN_AUTH_MASTER_KEYS", keys).start();
    let mut client = server.connect();
    for (key, status) in [("first-master-key.0123", 201), ("second-master-key.0123", 409), (MASTER_KEY, 401)]
    {
        client.request("PUT", "/api-key/shop", &[("X-SESSION-KEY", key)], b"").expect(status);
    }
}

#[test]
fn an_unknown_variable_is_a_warning_only() {
    let server = Launch::cores(1).env("SESHUN_PORT_8385_TCP", "tcp://10.0.0.1:8385").start();
    assert!(server.stderr().contains("SESHUN_PORT_8385_TCP"), "{}", server.stderr());
    App::new(&server).create(b"data");
    let bad = Launch::cores(1).env("SESHUN_SESSION_TTL", "soon").run();
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.stderr.contains("SESHUN_SESSION_TTL"), "{bad:?}");
}
