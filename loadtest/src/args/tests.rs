//! Every form of every flag, and what is refused.

use super::*;

#[test]
fn without_flags_it_fits_a_server_that_was_just_started() {
    let args = Args::parse_from(["loadtest"]);
    assert_eq!(args.url.to_string(), "http://127.0.0.1:8385");
    assert_eq!((args.connections, args.cores, args.size), (64, 1, Sizes::Fixed(1024)));
    assert_eq!((args.rate(), args.pipeline), (None, 1));
    assert_eq!((args.duration, args.mix), (Duration::from_secs(10), Mix::DEFAULT));
}

#[test]
fn the_help_can_be_built() {
    use clap::CommandFactory;
    Args::command().debug_assert();
}

#[test]
fn urls_name_a_host_and_nothing_else() {
    let table = [
        ("http://127.0.0.1:8385", Some("127.0.0.1:8385")),
        ("http://localhost:80/", Some("localhost:80")),
        ("http://seshun.example", Some("seshun.example:80")),
        ("http://[::1]:8385", Some("[::1]:8385")),
        ("http://[::1]", Some("[::1]:80")),
        ("https://localhost:8385", None),
        ("localhost:8385", None),
        ("http://", None),
        ("http://:80", None),
        ("http://::1:80", None),
        ("http://host:port", None),
        ("http://host:99999", None),
        ("http://host/session", None),
        ("http://user@host", None),
        ("http://a host", None),
    ];
    for (text, expected) in table {
        let authority = text.parse::<Url>().ok().map(|url| url.authority());
        assert_eq!(authority.as_deref(), expected, "{text:?}");
    }
}

#[test]
fn a_comparison_is_asked_for_by_a_word_or_by_a_flag() {
    for words in ["compare a b --html c", "--compare a b --html c", "--html c --compare a b"] {
        let Some(Command::Compare(args)) = read(words).unwrap().command else { panic!("{words}") };
        assert_eq!(args.files, ["a", "b"].map(PathBuf::from), "{words}");
        assert_eq!(args.html, Some("c".into()), "{words}");
    }
    for words in ["compare a", "--compare", "--rate 5 --compare a b", "compare 1 2 3 4 5 6 7 8 9"] {
        assert!(read(words).is_err(), "{words}");
    }
}

#[test]
fn cpu_lists_take_numbers_and_ranges() {
    assert_eq!("0,2-4".parse(), Ok(CpuList(vec![0, 2, 3, 4])));
    assert_eq!(CpuList(vec![0, 2, 3, 4]).to_string(), "0,2,3,4");
    let pair: CpuList = "5,1".parse().unwrap();
    assert_eq!((pair.cpu_of(0), pair.cpu_of(1), pair.cpu_of(2)), (5, 1, 5));
    for text in ["", ",", "a", "3-1", "1-", "1024"] {
        assert!(text.parse::<CpuList>().is_err(), "{text:?}");
    }
}

#[test]
fn durations_have_units() {
    assert_eq!(parse_duration("10"), Ok(Duration::from_secs(10)));
    assert_eq!(parse_duration("500ms"), Ok(Duration::from_millis(500)));
    assert_eq!(parse_duration("2m"), Ok(Duration::from_secs(120)));
    for text in ["", "s", "0", "0ms", "1h", "-1s", "1.5s", "99999999999999999999", "999999999999999999m"] {
        assert!(parse_duration(text).is_err(), "{text:?}");
    }
}

#[test]
fn durations_have_a_maximum_that_is_told() {
    assert_eq!(parse_duration("43200m"), Ok(DURATION_MAX));
    for text in ["43201m", "2592001", "2592000001ms", "18446744073709551615s", "18446744073709551615ms"] {
        let error = parse_duration(text).expect_err(text).to_string();
        assert!(error.contains("30 days"), "{text}: {error}");
    }
    for flag in ["--duration", "--wave", "--storm", "versus --round-duration"] {
        assert!(read(&format!("{flag} 18446744073709551615s")).is_err_and(|error| error.contains("30 days")));
    }
}

#[test]
fn sizes_are_powers_of_1024() {
    assert_eq!(parse_size("0"), Ok(0));
    assert_eq!(parse_size("1kb"), Ok(1024));
    assert_eq!(parse_size("64mb"), Ok(SIZE_MAX));
    for text in ["", "kb", "65mb", "1gb", "1KB", "-1", "99999999999999999999"] {
        assert!(parse_size(text).is_err(), "{text:?}");
    }
}

#[test]
fn the_json_report_goes_to_a_file_or_to_standard_output() {
    assert_eq!("-".parse(), Ok(JsonTarget::Stdout));
    assert_eq!("out.json".parse(), Ok(JsonTarget::File("out.json".into())));
    assert!("".parse::<JsonTarget>().is_err());
}

fn read(words: &str) -> Result<Args, String> {
    let words = std::iter::once("loadtest").chain(words.split_whitespace()).map(OsString::from);
    Args::read(words).map_err(|error| error.to_string())
}

#[test]
fn every_profile_is_made_of_flags_that_exist() {
    use clap::ValueEnum;
    for profile in Profile::value_variants() {
        let name = profile.to_possible_value().expect("no profile is hidden");
        let args = read(&format!("--profile {}", name.get_name())).expect("its flags are right");
        assert_eq!(args.profile, Some(*profile));
    }
}

#[test]
fn flags_win_over_the_profile_wherever_they_stand() {
    let args = read("--size 5 --profile big-sessions --sessions 7").unwrap();
    assert_eq!((args.size, args.sessions, args.zipf), (Sizes::Fixed(5), 7, 0.8));
}

#[test]
fn a_profile_file_speaks_as_flags_do_and_its_mistakes_are_told() {
    let path = std::env::temp_dir().join(format!("loadtest-profile-{}.yml", std::process::id()));
    let with = |text: &str| {
        std::fs::write(&path, text).unwrap();
        read(&format!("--profile-file {}", path.display()))
    };
    let args = with("mix: read=1\nrate: 2k\nstorm: 3s\nallow-limited: true\n").unwrap();
    assert_eq!(args.mix.to_string(), "read=1");
    assert_eq!((args.rate().map(|rate| rate.to), args.storm), (Some(2000.0), Some(Duration::from_secs(3))));
    assert!(args.allow_limited);
    for (text, named) in [("size: huge", "--size"), ("colour: red", "--colour"), ("mix: [a]", "mix")] {
        let error = with(text).expect_err(text);
        assert!(error.contains(named), "{text}: {error}");
    }
    std::fs::remove_file(&path).unwrap();
    assert!(read("--profile-file /no/such/file").is_err());
}

#[test]
fn one_kind_of_loop_is_asked_for() {
    let rate = |words: &str| read(words).map(|args| args.rate().map(|rate| (rate.from, rate.to)));
    assert_eq!(rate("--rate 5k"), Ok(Some((5000.0, 5000.0))));
    assert_eq!(rate("--ramp 1..9"), Ok(Some((1.0, 9.0))));
    assert_eq!(rate("--rate 5k --ramp 1..9"), Ok(Some((1.0, 9.0))), "the later one wins");
    assert!(rate("--rate 5k --pipeline 4").is_err() && rate("--rate 1..9").is_err());
}

#[test]
fn shares_and_spans_have_bounds() {
    for words in [
        "--zipf 4",
        "--zipf x",
        "--abandoned 101",
        "--refused-max 101",
        "--wave 500ms",
        "--pipeline 0",
        "--size 1-2",
    ] {
        assert!(read(words).is_err(), "{words}");
    }
    assert_eq!(read("--wave 2s").unwrap().wave, Some(Duration::from_secs(2)));
}
