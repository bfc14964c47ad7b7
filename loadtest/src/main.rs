//! The command: flags in, a report and an exit code out.
//!
//! 0 if every answer was right, 1 after a wrong one or too many refusals, 2 if the run could not take place, did
//! nothing, or measured the generator instead of the server. An interrupt ends the run early, with a report; a second one at once.

use std::io::{self, IsTerminal, Write};
use std::process::ExitCode;
use std::sync::Arc;
use std::sync::atomic::AtomicBool;

use loadtest::args::{Args, Command, JsonTarget};
use loadtest::compare;
use loadtest::live::{Live, Standing};
use loadtest::outlet;
use loadtest::report::Report;
use loadtest::run::run;
use loadtest::versus;
use signal_hook::consts::{SIGINT, SIGTERM};
use signal_hook::flag;

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

/// What the process says when it could not run.
const COULD_NOT_RUN: u8 = 2;

fn main() -> ExitCode {
    let args = Args::read(std::env::args_os()).unwrap_or_else(|error| error.exit());
    let stopped = Arc::new(AtomicBool::new(false));
    let ready = end_on_signals(&stopped).map_err(|error| format!("cannot take signals: {error}"));
    let code = ready.and_then(|()| match &args.command {
        None => load(&args, &stopped),
        Some(Command::Versus(args)) => versus::command::run(args, &stopped),
        Some(Command::Compare(args)) => compare::run(args),
        Some(Command::VersusFloor(args)) => {
            versus::serve_floor(args).map(|()| 0).map_err(|error| error.to_string())
        }
    });
    ExitCode::from(code.unwrap_or_else(could_not_run))
}

/// Runs the load and reports on it; gives the exit code, or why there is none.
fn load(args: &Args, stopped: &Arc<AtomicBool>) -> Result<u8, String> {
    let json = args.json.as_ref().and_then(JsonTarget::file);
    let files = json.into_iter().chain(args.html.as_deref()).chain(args.hdr.as_deref());
    outlet::check(files).map_err(|error| error.to_string())?;
    let report = run(args, stopped, teller()).map_err(|error| error.to_string())?;
    print(&report, args.json.as_ref()).map_err(|error| format!("cannot print the report: {error}"))?;
    if let Some(path) = json {
        outlet::write(path, |out| report.write_json(out)).map_err(|error| error.to_string())?;
    }
    if let Some(path) = &args.html {
        outlet::write(path, |out| report.write_html(out)).map_err(|error| error.to_string())?;
    }
    match report.log_error {
        Some(error) => Err(error),
        None => Ok(report.conclusion.exit_code()),
    }
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

/// Shows how the run goes on.
fn teller() -> impl FnMut(Standing) {
    let mut live = Live::new(io::stderr(), io::stderr().is_terminal());
    // A view that cannot be drawn is no loss.
    move |standing| drop(live.show(&standing))
}

/// Prints the text, on standard error where the JSON goes to standard output.
fn print(report: &Report, json: Option<&JsonTarget>) -> io::Result<()> {
    if json != Some(&JsonTarget::Stdout) {
        return report.write_text(&mut io::stdout().lock());
    }
    report.write_text(&mut io::stderr().lock())?;
    report.write_json(&mut io::stdout().lock())
}
