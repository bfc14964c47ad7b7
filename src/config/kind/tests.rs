//! Each kind's words, ranges and errors, from a file and from the environment.

use super::super::keys::KEYS;
use super::*;

/// Reads `raw` as the key `full_name` over the defaults.
fn read(full_name: &str, raw: Raw) -> Result<Config, String> {
    let key = KEYS.iter().find(|key| key.is(full_name)).unwrap();
    let mut config = Config::default();
    let wrongs = match key.kind.read(raw, &mut config) {
        Ok(()) => return Ok(config),
        Err(wrongs) => wrongs,
    };
    assert_eq!(config, Config::default(), "{full_name}: a refused value changes nothing");
    Err(wrongs.into_iter().map(|wrong| wrong.what).collect::<Vec<_>>().join("; "))
}

/// How a file shows `full_name` after `text` was read for it.
fn shown(full_name: &str, text: &str) -> Option<String> {
    let key = KEYS.iter().find(|key| key.is(full_name)).unwrap();
    let mut config = read(full_name, Raw::Text(text)).ok()?;
    Some(serde_yaml::to_string(&key.kind.show(&mut config)).unwrap().trim().replace('\'', ""))
}

#[test]
fn each_kind_reads_its_words() {
    let cases = [
        ("server.listen", "0.0.0.0:0", "0.0.0.0:0"),
        ("server.listen", "[::1]:8385", "[::1]:8385"),
        ("server.cores", "auto", "auto"),
        ("server.cores", "256", "256"),
        ("server.driver", "io_uring", "io_uring"),
        ("server.driver", "epoll", "epoll"),
        ("admin.listen", "off", "off"),
        ("admin.listen", " 127.0.0.1:9 ", "127.0.0.1:9"),
        ("auth.query_key", "false", "false"),
        ("session.ttl", "90", "90s"),
        ("session.ttl", "1500ms500ms", "2s"),
        ("session.max_ttl", "3650d", "3650d"),
        ("session.max_payload", "65536KB", "64mb"),
        ("memory.max", "1%", "1%"),
        ("memory.max", "100 %", "100%"),
        ("memory.max", "16mb", "16mb"),
        ("memory.max", "16384gb", "16384gb"),
        ("limits.connections", "1", "1"),
        ("limits.requests_per_turn", "1024", "1024"),
        ("limits.target", "256", "256b"),
        ("timeouts.head", "100ms", "100ms"),
        ("timeouts.drain_delay", "0", "0s"),
        ("timeouts.idle", "24h", "1d"),
    ];
    for (key, text, expected) in cases {
        assert_eq!(shown(key, text).as_deref(), Some(expected), "{key}: {text}");
    }
}

#[test]
fn what_a_kind_does_not_allow_is_refused() {
    let cases: [(&str, &[&str]); 10] = [
        ("server.listen", &["", "8385", "localhost:8385", "127.0.0.1", "127.0.0.1:65536", "::1:8385", "off"]),
        ("server.cores", &["0", "257", "-1", "+1", "1.5", "Auto", "65537", "two"]),
        ("server.driver", &["uring", "io-uring", "EPOLL", ""]),
        ("admin.listen", &["none", "Off", "false", ""]),
        ("auth.query_key", &["yes", "1", "True", "off"]),
        ("session.ttl", &["0", "0s", "1500ms", "3651d", "315360001", "forever"]),
        ("session.max_payload", &["0", "65mb", "67108865", "-1", "1.5mb"]),
        ("memory.max", &["0%", "101%", "256%", "15mb", "16385gb", "%", "75", "-1%", "1.5%"]),
        ("limits.connections", &["0", "1000001", "4294967296", "1e3", "1kb"]),
        ("timeouts.head", &["0", "99ms", "3601", "1d", "-1s"]),
    ];
    for (key, texts) in cases {
        for text in texts {
            let error = read(key, Raw::Text(text)).expect_err(text);
            assert!(error.contains("; allowed is "), "{key}: {error}");
        }
    }
}

#[test]
fn both_ends_of_every_range_are_allowed_and_shown_and_what_is_beyond_is_not() {
    for key in KEYS {
        let (ends, beyond) = match &key.kind {
            Kind::Size(_, (min, max)) => {
                let (min, max) = (min.as_u64(), max.as_u64());
                ([min, max].map(|size| format!("{size}b")), [(min - 1).to_string(), (max + 1).to_string()])
            }
            Kind::Count(_, (min, max)) => {
                ([min, max].map(u32::to_string), [(min - 1).to_string(), (max + 1).to_string()])
            }
            Kind::SmallCount(_, (min, max)) => {
                ([min, max].map(u16::to_string), [(min - 1).to_string(), (max + 1).to_string()])
            }
            Kind::Span(_, (min, max)) => {
                let below = min.as_u64().checked_sub(1).map_or("-1ms".into(), |millis| format!("{millis}ms"));
                (
                    [min, max].map(|span| format!("{}ms", span.as_u64())),
                    [below, format!("{}ms", max.as_u64() + 1)],
                )
            }
            _ => continue,
        };
        let name = key.full_name();
        for text in ends {
            let shown = shown(&name, &text).unwrap_or_else(|| panic!("{name}: {text} is allowed"));
            assert!(read(&name, Raw::Text(&shown)).is_ok(), "{name}: {shown}");
        }
        for text in beyond {
            assert!(read(&name, Raw::Text(&text)).is_err(), "{name}: {text}");
        }
        assert!(key.kind.allowed().contains(" from "), "{name}");
    }
}

#[test]
fn an_error_says_what_is_there_and_what_is_allowed() {
    let tree = |yaml: &str| serde_yaml::from_str::<Value>(yaml).unwrap();
    let cases = [
        ("many", "is \"many\"; allowed is auto or a number from 1 to 256"),
        ("", "has no value; allowed is auto or a number from 1 to 256"),
        ("''", "is empty; allowed is auto or a number from 1 to 256"),
        ("[1, 2]", "is a list; allowed is auto or a number from 1 to 256"),
        ("{a: 1}", "has keys below it; allowed is auto or a number from 1 to 256"),
        ("true", "is \"true\"; allowed is auto or a number from 1 to 256"),
        ("1e3", "is \"1000.0\"; allowed is auto or a number from 1 to 256"),
        (r#""a\nb""#, "is \"a\\nb\"; allowed is auto or a number from 1 to 256"),
    ];
    for (yaml, error) in cases {
        assert_eq!(read("server.cores", Raw::Tree(&tree(yaml))).unwrap_err(), error, "{yaml}");
    }
    let long = "é".repeat(41);
    let error = read("server.cores", Raw::Text(&long)).unwrap_err();
    assert!(error.starts_with(&format!("is \"{}…\";", "é".repeat(40))), "{error}");
}

#[test]
fn numbers_and_switches_of_a_file_need_no_quotation_marks_and_allow_them() {
    for yaml in ["7", "'7'", "0x7"] {
        let value: Value = serde_yaml::from_str(yaml).unwrap();
        assert_eq!(read("limits.fields", Raw::Tree(&value)).unwrap().limits.fields, 7, "{yaml}");
    }
    for yaml in ["false", "'false'"] {
        let value: Value = serde_yaml::from_str(yaml).unwrap();
        assert!(!read("auth.query_key", Raw::Tree(&value)).unwrap().auth.query_key, "{yaml}");
    }
}

#[test]
fn master_keys_are_a_list_and_the_example_is_known_among_them() {
    let text = format!("0123456789abcdef, {EXAMPLE_MASTER_KEY}");
    let auth = read("auth.master_keys", Raw::Text(&text)).unwrap().auth;
    assert_eq!(auth.master_keys.iter().map(|key| key.is_example).collect::<Vec<_>>(), [false, true]);
    assert!(auth.master_keys[0].key.is(b"0123456789abcdef") && auth.has_example_key());

    let tree: Value = serde_yaml::from_str("[0123456789abcdef]").unwrap();
    let auth = read("auth.master_keys", Raw::Tree(&tree)).unwrap().auth;
    assert!(!auth.has_example_key() && auth.master_keys.len() == 1);
}

#[test]
fn a_bad_list_of_master_keys_is_refused_without_repeating_it() {
    let secret = "abcdefghi!jklmnopqrstuv";
    let many = vec!["0123456789abcdef"; MASTER_KEYS_MAX + 1].join(",");
    let texts = [secret.to_owned(), format!("0123456789abcdef,{secret}"), many, "shortsecret".into()];
    let yamls =
        ["[]", "", "abcdefghi", "{abcdefghi: 1}", "[1234567890123456]", "[[abcdefghi]]", "[null]", "['']"];
    let of_text = texts.iter().map(|text| read("auth.master_keys", Raw::Text(text)));
    let of_tree = yamls.iter().map(|yaml| {
        let tree: Value = serde_yaml::from_str(yaml).unwrap();
        read("auth.master_keys", Raw::Tree(&tree))
    });
    for result in of_text.chain(of_tree) {
        let error = result.unwrap_err();
        for secret in ["abcdefghi", "shortsecret", "0123456789", "1234567890"] {
            assert!(!error.contains(secret), "{error}");
        }
    }
}

#[test]
fn each_bad_master_key_is_told_by_its_position() {
    let mut config = Config::default();
    let key = KEYS.iter().find(|key| key.is("auth.master_keys")).unwrap();
    let wrongs =
        key.kind.read(Raw::Text("short,0123456789abcdef,0123456789 abcdef,"), &mut config).unwrap_err();
    let told: Vec<_> = wrongs.iter().map(|wrong| (wrong.item, wrong.what.as_str())).collect();
    let expected = [
        (Some(0), "key 1 is refused: a master key has 16 to 512 characters"),
        (Some(2), "key 3 is refused: a master key is made of letters, digits and . _ ~ -"),
        (Some(3), "key 4 is refused: a master key has 16 to 512 characters"),
    ];
    assert_eq!(told, expected);
}

#[test]
fn what_stands_for_a_key_is_no_key() {
    assert!(MasterKey::parse(HIDDEN_KEY).is_err());
}
