//! The flags that answer and end: version, help, checking and printing the configuration.
//!
//! Also what is said of flags that do not exist or make no sense; nothing listens then.

use crate::support::{Launch, MASTER_KEY};

#[test]
fn version_is_one_line_on_stdout() {
    let ended = Launch::bare().flag("--version").run();
    assert_eq!((ended.code, ended.stdout), (Some(0), format!("seshun {}\n", env!("CARGO_PKG_VERSION"))));
}

#[test]
fn help_names_every_flag() {
    let ended = Launch::bare().flag("--help").run();
    assert_eq!(ended.code, Some(0));
    for flag in [
        "--config",
        "--listen",
        "--admin-listen",
        "--cores",
        "--driver",
        "--check-config",
        "--print-config",
        "--version",
        "--help",
    ] {
        assert!(ended.stdout.contains(flag), "no {flag} in\n{}", ended.stdout);
    }
}

#[test]
fn flags_that_do_not_exist_or_make_no_sense_are_refused() {
    let rows: [&[&str]; 8] = [
        &["--bogus"],
        &["serve"],
        &["--cores", "0"],
        &["--cores", "257"],
        &["--cores", "many"],
        &["--driver", "kqueue"],
        &["--listen", "nowhere"],
        &["--config", "no-such-file.yml"],
    ];
    for flags in rows {
        let ended = flags.iter().fold(Launch::bare(), |launch, flag| launch.flag(flag)).run();
        assert!(ended.code.is_some_and(|code| code != 0), "{flags:?}: {ended:?}");
        let culprit = flags[flags.len() - 1];
        assert!(ended.stderr.contains(culprit), "{flags:?}: {ended:?}");
        assert_eq!(ended.stdout, "", "{flags:?}");
    }
}

#[test]
fn checking_says_so_without_starting() {
    let good = Launch::cores(1).flag("--check-config").run();
    assert_eq!(good.code, Some(0), "{good:?}");
    assert!(!good.stdout.contains("listening"), "{good:?}");
    let builtin = Launch::bare().flag("--check-config").run();
    assert_eq!(builtin.code, Some(0), "{builtin:?}");
    let bad = Launch::cores(1).set("session.ttl", "soon").flag("--check-config").run();
    assert_eq!(bad.code, Some(1), "{bad:?}");
    assert!(bad.stderr.contains("session.ttl"), "{bad:?}");
}

#[test]
fn printing_shows_what_is_in_force_and_no_secret() {
    let launch = Launch::cores(3).set("session.ttl", "90s").env("SESHUN_LIMITS_FIELDS", "77");
    let ended = launch.flag("--print-config").run();
    assert_eq!(ended.code, Some(0), "{ended:?}");
    assert!(!format!("{ended:?}").contains(MASTER_KEY), "{ended:?}");
    let printed: serde_yaml::Value = serde_yaml::from_str(&ended.stdout).expect("YAML on stdout");
    for section in ["server", "admin", "auth", "session", "memory", "limits", "timeouts"] {
        assert!(printed[section].is_mapping(), "no {section} in\n{}", ended.stdout);
    }
    assert_eq!(printed["server"]["cores"], serde_yaml::Value::from(3));
    assert_eq!(printed["limits"]["fields"], serde_yaml::Value::from(77));
    assert_eq!(printed["server"]["listen"], serde_yaml::Value::from("127.0.0.1:0"));
}
