//! The command: flags in, a report and an exit code out.
//!
//! 0 if every answer was right, 1 after a wrong one, 2 if the run could not take place or
//! did nothing. An interrupt ends the run early, with a report; a second one at once.

use std::fs::File;
use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use clap::Parser;
use loadtest::args::{Args, JsonTarget};
use loadtest::report::Report;
use loadtest::run::{Standing, run};
use loadtest::versus::{self, args::Command};
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the process says when it could not run.
const COULD_NOT_RUN: u8 = 2;

/// The command line: a load, or one of the other things that this program does.
#[derive(Parser)]
#[command(name = "loadtest", version, args_override_self = true, args_conflicts_with_subcommands = true)]
struct CommandLine {
    #[command(subcommand)]
    command: Option<Command>,
    #[command(flatten)]
    load: Args,
}

fn main() -> ExitCode {
    let CommandLine { command, load: args } = CommandLine::parse();
    let stopped = Arc::new(AtomicBool::new(false));
    if let Some(command) = command {
        let ran = end_on_signals(&stopped).map_err(|error| format!("cannot take signals: {error}"));
        let code = ran.and_then(|()| versus::command::run(&command, &stopped)).unwrap_or_else(could_not_run);
        return ExitCode::from(code);
    }
    let ran = end_on_signals(&stopped)
        .map_err(|error| format!("cannot take signals: {error}"))
        .and_then(|()| run(&args, &stopped, teller()).map_err(|error| error.to_string()));
    let printed = ran.and_then(|report| {
        print(&report, args.json.as_ref()).map_err(|error| format!("cannot write the report: {error}"))?;
        Ok(report.conclusion.exit_code())
    });
    ExitCode::from(printed.unwrap_or_else(could_not_run))
}

fn could_not_run(message: String) -> u8 {
    // Where standard error is closed, the exit code has to say it alone.
    let _ = writeln!(io::stderr(), "loadtest: {message}");
    COULD_NOT_RUN
}

/// The first signal sets `stopped`; one that comes when it is set ends the process.
fn end_on_signals(stopped: &Arc<AtomicBool>) -> io::Result<()> {
    for signal in [SIGINT, SIGTERM] {
        flag::register_conditional_shutdown(signal, 128 + signal, Arc::clone(stopped))?;
        flag::register(signal, Arc::clone(stopped))?;
    }
    Ok(())
}

/// Tells how the run goes on a line that is written over, if somebody is there to see it.
fn teller() -> impl FnMut(Standing) {
    let seen = io::stderr().is_terminal();
    let mut before = 0;
    move |Standing { elapsed, answers, wrong }| {
        if seen {
            let seconds = elapsed.as_secs();
            let fresh = answers.saturating_sub(before);
            before = answers;
            // A line of progress that cannot be written is no loss.
            let _ = write!(io::stderr(), "\r{seconds:>4} s  {fresh:>8} answers/s  {wrong} wrong \r");
        }
    }
}

fn print(report: &Report, json: Option<&JsonTarget>) -> io::Result<()> {
    match json {
        None => report.write_text(&mut io::stdout().lock()),
        Some(JsonTarget::Stdout) => {
            report.write_text(&mut io::stderr().lock())?;
            report.write_json(&mut io::stdout().lock())
        }
        Some(JsonTarget::File(path)) => {
            report.write_text(&mut io::stdout().lock())?;
            report.write_json(&mut File::create(path)?)
        }
    }
}
