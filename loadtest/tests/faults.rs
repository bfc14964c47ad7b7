//! Runs against a model server: a clean one passes, and each fault is found and named.
//!
//! Runs are bounded by their operations; those that wait for a deadline, by time.

mod model;

use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use loadtest::args::Args;
use loadtest::report::{Conclusion, Report};
use model::{Fault, Model};

const OPERATIONS: u64 = 1500;

fn args_for(model: &Model, flags: &str) -> Args {
    let fixed = "loadtest --connections 4 --sessions 20 --duration 20s --answer-timeout 300ms --url";
    let url = model.url();
    let words = fixed.split(' ').chain([&url[..]]).chain(flags.split_whitespace());
    Args::read(words.map(Into::into)).expect("the flags are right")
}

fn load(model: &Model, flags: &str) -> Report {
    let args = args_for(model, flags);
    loadtest::run::run(&args, &Arc::new(AtomicBool::new(false)), |_| {})
        .expect("the model server can be loaded")
}

fn count_of(report: &Report, name: &str) -> u64 {
    report.operations.iter().find(|row| row.name == name).map_or(0, |row| row.count)
}

#[track_caller]
fn assert_passes(fault: Fault, flags: &str) -> Report {
    let model = Model::start(fault);
    let report = load(&model, &format!("--operations {OPERATIONS} {flags}"));
    assert_eq!(report.conclusion, Conclusion::Passed, "{flags}: {:#?} {:#?}", report.wrong, report.errors);
    assert_eq!((model.key_count(), model.long_lived_count()), (0, 0), "the run cleans up after itself");
    report
}

/// Loads a server with this fault, which must be found, under this name and no other.
#[track_caller]
fn assert_found(fault: Fault, kind: &str) {
    let model = Model::start(fault);
    assert_named(&load(&model, &format!("--operations {OPERATIONS}")), kind);
}

#[track_caller]
fn assert_found_with(fault: Fault, flags: &str, kind: &str) {
    let model = Model::start(fault);
    assert_named(&load(&model, &format!("--operations {OPERATIONS} {flags}")), kind);
}

#[track_caller]
fn assert_named(report: &Report, kind: &str) {
    assert_eq!(report.conclusion, Conclusion::WrongAnswers);
    assert_eq!(report.conclusion.exit_code(), 1);
    let kinds: Vec<&str> = report.wrong.iter().map(|row| row.kind).collect();
    assert_eq!(kinds, [kind], "{:#?}", report.wrong);
    assert!(!report.wrong[0].examples.is_empty(), "a wrong answer is described");
}

#[test]
fn a_clean_server_passes_and_every_operation_is_counted() {
    let report = assert_passes(Fault::None, "");
    assert_eq!(count_of(&report, "all"), OPERATIONS);
    assert_eq!((report.totals.right, report.totals.wrong), (OPERATIONS, 0));
    for name in ["create", "read", "update", "delete", "gone"] {
        assert!(count_of(&report, name) > 0, "{name}");
    }
    assert!(report.totals.swept > 0, "what was made is removed");
}

#[test]
fn a_clean_server_passes_at_every_size() {
    for size in ["0", "1", "23", "24", "8kb", "100kb"] {
        assert_passes(Fault::None, &format!("--size {size}"));
    }
}

#[test]
fn a_clean_server_passes_on_every_driver_and_number_of_cores() {
    assert_passes(Fault::None, "--cores 3");
    assert_eq!(assert_passes(Fault::None, "--cores 2 --epoll").config.driver, "epoll");
}

#[test]
fn a_clean_server_passes_with_every_mix() {
    for mix in ["read=1", "update=1", "create=1", "delete=1", "create=1,delete=9"] {
        assert_passes(Fault::None, &format!("--mix {mix}"));
    }
}

#[test]
fn the_same_seed_asks_for_the_same_number_of_each_operation() {
    let counts = |report: &Report| report.operations.iter().map(|row| row.count).collect::<Vec<_>>();
    // Connections share their users, so the order of steps is certain with one of them alone.
    let flags = "--seed 5 --connections 1";
    let (first, second) = (assert_passes(Fault::None, flags), assert_passes(Fault::None, flags));
    assert_eq!(counts(&first), counts(&second));
    assert_eq!(first.config.seed, "5");
}

#[test]
fn answers_in_pieces_are_put_together() {
    assert_passes(Fault::Dribbled, "--size 100");
}

#[test]
fn an_announced_end_of_a_connection_is_no_fault() {
    assert_passes(Fault::Closing, "");
}

#[test]
fn refusals_for_lack_of_room_are_counted_and_are_no_fault() {
    for (fault, kind) in [(Fault::Busy, "refused_503"), (Fault::Full, "refused_507")] {
        let model = Model::start(fault);
        let report = load(&model, &format!("--operations {OPERATIONS} --refused-max 100"));
        assert_eq!(report.conclusion, Conclusion::Passed, "{:#?}", report.wrong);
        let row = report.errors.iter().find(|row| row.kind == kind);
        assert!(row.is_some_and(|row| row.count > 0 && row.count == report.totals.refused), "{fault:?}");
    }
}

#[test]
fn a_refusal_fails_a_run_that_allows_for_none() {
    let model = Model::start(Fault::Busy);
    let report = load(&model, &format!("--operations {OPERATIONS}"));
    assert_eq!((report.conclusion, report.conclusion.exit_code()), (Conclusion::TooManyRefused, 1));
}

#[test]
fn sessions_are_there_just_before_their_deadline_and_gone_after_it() {
    let model = Model::start(Fault::Slow);
    let report = load(&model, "--abandoned 30 --short-ttl 1 --duration 2500ms --mix read=1");
    assert_eq!(report.conclusion, Conclusion::Passed, "{:#?}", report.wrong);
    assert!(count_of(&report, "gone") > 0, "nothing is deleted, so what is gone has expired");
}

#[test]
fn a_server_whose_own_ttl_runs_out_within_the_run_is_right() {
    let model = Model::start_with_ttl(Fault::Slow, 2);
    let report = load(&model, "--sessions 800 --connections 2 --short-ttl 1 --duration 4s --mix read=1");
    assert_eq!(report.conclusion, Conclusion::Passed, "{:#?}", report.wrong);
    assert!(count_of(&report, "gone") > 0, "sessions expired, and were asked for again");
}

#[test]
fn a_clean_server_passes_with_every_profile() {
    for profile in ["read-heavy", "login-storm", "expiry-wave", "bots", "big-sessions"] {
        let report = assert_passes(Fault::None, &format!("--profile {profile} --sessions 20"));
        assert_eq!(report.config.profile.as_deref(), Some(profile));
    }
}

#[test]
fn sessions_of_a_wave_are_gone_after_it() {
    let model = Model::start(Fault::Slow);
    let report = load(&model, "--wave 1s --abandoned 50 --duration 3s --mix read=8,bot=1");
    assert_eq!(report.conclusion, Conclusion::Passed, "{:#?}", report.wrong);
    assert!(count_of(&report, "gone") > 0, "they were looked at when they were due");
}

#[test]
fn connections_are_made_anew_in_a_storm() {
    let model = Model::start(Fault::Slow);
    let report = load(&model, "--storm 100ms --duration 550ms");
    assert_eq!(report.conclusion, Conclusion::Passed, "{:#?}", report.wrong);
    assert!((4..=20).contains(&report.totals.reconnects), "{}", report.totals.reconnects);
    // The first ones of all are made before the load.
    assert_eq!(count_of(&report, "connect"), report.totals.reconnects);
}

#[test]
fn pipelined_answers_are_each_judged_in_their_order() {
    for fault in [Fault::None, Fault::Dribbled] {
        let report = assert_passes(fault, "--pipeline 7 --size 100");
        assert_eq!(count_of(&report, "all"), OPERATIONS);
    }
    assert_found_with(Fault::WrongByte, "--pipeline 7", "corrupt_data");
    assert_found_with(Fault::ServerError, "--pipeline 7", "server_error");
}

#[test]
fn requests_behind_an_announced_end_are_nobodys_fault() {
    let model = Model::start(Fault::Closing);
    let report = load(&model, "--pipeline 7 --operations 1500");
    assert_eq!(report.conclusion, Conclusion::Passed, "{:#?}", report.wrong);
    assert!(report.totals.answers < 1500, "some were never answered");
}

#[test]
fn an_open_loop_keeps_its_rate_and_counts_from_the_intended_moment() {
    for flags in ["--rate 500", "--ramp 0..1k", "--rate 500 --epoll --cores 2"] {
        let model = Model::start(Fault::Slow);
        let report = load(&model, &format!("--duration 1s --allow-limited {flags}"));
        assert_eq!(
            report.conclusion,
            Conclusion::Passed,
            "{flags}: {:#?} {:#?}",
            report.wrong,
            report.errors
        );
        let asked = report.totals.answers + report.totals.dropped;
        assert!((499..=501).contains(&asked), "{flags}: {asked}");
        let all = report.operations.last().expect("there is a row for all");
        let service = all.service_us.expect("an open loop has both");
        assert!(all.latency_us.p50 >= service.p50, "{flags}: {all:?}");
        assert!(report.generator.lag_us.is_some(), "{flags}");
    }
}

#[test]
fn a_server_that_is_too_slow_for_the_rate_has_its_queue_counted() {
    // Four connections at 2 ms each give 2,000 answers a second at the very best.
    let model = Model::start(Fault::Slow);
    let report = load(&model, "--rate 8k --duration 2500ms --allow-limited");
    assert_eq!(report.conclusion, Conclusion::Passed, "{:#?}", report.wrong);
    assert!(report.totals.dropped > 1000, "{} dropped", report.totals.dropped);
    let all = report.operations.last().expect("there is a row for all");
    let service = all.service_us.expect("an open loop has both");
    assert!(all.latency_us.p50 > 100_000.0, "they waited for a connection: {all:?}");
    assert!(all.latency_us.p50 > 5.0 * service.p50, "{all:?}");
    assert!(all.latency_us.p99 > 1_000_000.0, "what was dropped had waited for a second: {all:?}");
    assert!(report.series.iter().any(|row| row.dropped > 0), "{:#?}", report.series);
}

#[test]
fn each_second_of_the_load_is_in_the_series() {
    let model = Model::start(Fault::Slow);
    let report = load(&model, "--duration 2300ms --cores 2");
    // The last part of a second is left out where it was too short.
    assert!((2..=3).contains(&report.series.len()), "{:#?}", report.series);
    assert!(
        report.series.iter().enumerate().all(|(index, row)| row.at_s > index as f64),
        "{:#?}",
        report.series
    );
    assert!(report.series.iter().all(|row| row.answers_per_s > 0.0 && row.p50_us > 0.0));
}

#[test]
fn the_servers_own_account_is_in_the_report_where_it_can_be_had() {
    let model = Model::start(Fault::Slow);
    let report = load(&model, &format!("--duration 1200ms --mix read=9,update=1 --admin {}", model.url()));
    let server = report.server.expect("the model has a page of metrics");
    assert!((server.cpu_us_per_request - 10.0).abs() < 0.1, "{server:?}");
    assert!(server.sessions > 0.0 && server.requests > 0.0, "{server:?}");
    assert!(load(&model, "--operations 100").server.is_none(), "nobody else's page is taken for it");
}

#[test]
fn a_run_that_is_told_to_stop_ends_with_a_report() {
    let model = Model::start(Fault::Slow);
    let stopped = Arc::new(AtomicBool::new(false));
    let args = args_for(&model, "");
    let told = Arc::clone(&stopped);
    let stop = move |_| told.store(true, std::sync::atomic::Ordering::Relaxed);
    let report = loadtest::run::run(&args, &stopped, stop).expect("the model server can be loaded");
    assert_eq!(report.conclusion, Conclusion::Passed);
    assert!(report.elapsed_s < report.config.duration_s, "it ended before its time");
}

#[test]
fn a_session_that_outlives_its_ttl_is_found() {
    let model = Model::start(Fault::Immortal);
    assert_named(&load(&model, "--abandoned 30 --short-ttl 1 --duration 3s --mix read=1"), "late_expiry");
}

#[test]
fn a_session_that_expires_before_its_deadline_is_found() {
    let model = Model::start_with_ttl(Fault::HalfLife, 3600);
    assert_named(
        &load(&model, "--abandoned 30 --short-ttl 2 --duration 2500ms --mix read=1"),
        "early_expiry",
    );
}

#[test]
fn a_session_of_a_wave_or_of_a_bot_that_expires_before_its_deadline_is_found() {
    for flags in ["--wave 2s --abandoned 50 --mix read=8", "--mix read=8,bot=2 --abandoned 0"] {
        let model = Model::start_with_ttl(Fault::HalfLife, 3600);
        assert_named(&load(&model, &format!("{flags} --contested 0 --duration 2500ms")), "early_expiry");
    }
}

#[test]
fn a_lost_session_is_found() {
    assert_found(Fault::Lost, "early_expiry");
}

#[test]
fn a_session_that_other_connections_do_not_see_is_found() {
    assert_found(Fault::Local, "early_expiry");
}

#[test]
fn a_wrong_byte_is_found() {
    assert_found(Fault::WrongByte, "corrupt_data");
}

#[test]
fn another_sessions_data_is_found() {
    assert_found(Fault::Foreign, "foreign_data");
}

#[test]
fn data_of_before_an_acknowledged_update_is_found() {
    assert_found(Fault::Stale, "stale_data");
}

#[test]
fn torn_data_is_found() {
    assert_found(Fault::Torn, "torn_data");
}

#[test]
fn data_cut_short_is_found() {
    assert_found(Fault::Short, "wrong_length");
}

#[test]
fn a_deleted_id_that_answers_is_found() {
    assert_found(Fault::Undeleted, "revived");
}

#[test]
fn an_update_that_creates_is_found() {
    assert_found(Fault::Recreated, "revived");
}

#[test]
fn a_server_error_is_found() {
    assert_found(Fault::ServerError, "server_error");
}

#[test]
fn a_wrong_status_is_found() {
    assert_found(Fault::Unauthorized, "wrong_status");
}

#[test]
fn a_connection_closed_within_an_answer_is_found() {
    assert_found(Fault::Truncated, "truncated");
}

#[test]
fn a_connection_closed_instead_of_an_answer_is_found() {
    assert_found(Fault::Closed, "unanswered");
}

#[test]
fn an_answer_that_never_comes_is_found_and_the_run_ends() {
    let model = Model::start(Fault::Silent);
    assert_named(&load(&model, "--duration 300ms"), "timed_out");
}

#[test]
fn bytes_after_an_answer_are_found() {
    assert_found(Fault::Excess, "excess_bytes");
}

#[test]
fn an_answer_without_a_certain_end_is_found() {
    assert_found(Fault::Endless, "malformed");
}

#[test]
fn a_wrong_content_type_is_found() {
    assert_found(Fault::ContentType, "wrong_content_type");
}

#[test]
fn an_etag_that_an_update_leaves_is_found() {
    assert_found(Fault::FrozenVersion, "wrong_version");
}

#[test]
fn an_etag_that_a_read_moves_is_found() {
    assert_found(Fault::RestlessVersion, "wrong_version");
}

#[test]
fn an_update_that_writes_over_another_one_is_found() {
    let model = Model::start(Fault::Heedless);
    assert_named(&load(&model, "--contested 100 --operations 4000"), "lost_update");
}

#[test]
fn a_precondition_that_is_refused_for_no_reason_is_found() {
    let model = Model::start(Fault::Suspicious);
    assert_named(&load(&model, "--contested 100 --connections 1 --operations 500"), "wrong_precondition");
}

#[test]
fn seconds_left_beyond_the_ttl_are_found() {
    assert_found(Fault::WrongTtl, "wrong_ttl");
}

#[test]
fn a_missing_etag_is_found() {
    assert_found(Fault::NoEtag, "missing_field");
}

#[test]
fn a_missing_expiry_time_is_found() {
    assert_found(Fault::NoExpires, "missing_field");
}

#[test]
fn a_location_of_another_session_is_found() {
    assert_found(Fault::Location, "wrong_location");
}

#[test]
fn an_id_that_is_no_uuid_of_version_four_is_found() {
    assert_found(Fault::BadId, "wrong_id");
}

#[test]
fn a_key_that_outlives_its_removal_is_found() {
    assert_found(Fault::KeyStays, "key_not_removed");
}
