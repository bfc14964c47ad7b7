//! The `seshun` command: arguments, configuration, logging, then the service.
//!
//! Exits with 0 after an orderly end, 1 where the service cannot start, 2 where the command
//! line is wrong. `verify` and `backup` need no configuration; they exit with 1 where the
//! journal is not sound or no backup was made.

use std::io::{self, Write};
use std::path::Path;
use std::process::ExitCode;

use clap::Parser;
use seshun::config::{self, Args, Loaded};
use seshun::runtime::clock::Clock;
use seshun::{journal, logging, runtime};

#[global_allocator]
static ALLOCATOR: mimalloc::MiMalloc = mimalloc::MiMalloc;

fn main() -> ExitCode {
    let args = Args::parse();
    let text = |name: &str| std::env::var(name).ok();
    logging::init(&logging::filter_from(text("DEBUG").as_deref(), text("RUST_LOG").as_deref()));
    runtime::allocator::prepare();
    if let Some(dir) = args.to_verify() {
        return verify(dir);
    }
    let outcome = match args.to_back_up() {
        Some((dir, dest)) => back_up(dir, dest),
        None => start(&args),
    };
    match outcome {
        Ok(()) => ExitCode::SUCCESS,
        Err(error) => {
            // Where stderr is closed there is nobody left to tell.
            let _ = writeln!(io::stderr(), "seshun: {error}");
            ExitCode::FAILURE
        }
    }
}

fn verify(dir: &Path) -> ExitCode {
    let verification = journal::verify(dir, Clock::now().wall);
    // Whoever reads only a part of it still has the status.
    let _ = write!(io::stdout().lock(), "{verification}");
    if verification.is_sound() { ExitCode::SUCCESS } else { ExitCode::FAILURE }
}

fn back_up(dir: &Path, dest: &Path) -> Result<(), Box<dyn std::error::Error>> {
    let backup = journal::backup(dir, dest)?;
    let _ = write!(io::stdout().lock(), "{backup}");
    Ok(())
}

fn start(args: &Args) -> Result<(), Box<dyn std::error::Error>> {
    let cwd = std::env::current_dir().map_err(|error| format!("the working directory is gone: {error}"))?;
    let loaded = config::load(args, std::env::vars_os(), &cwd)?;
    loaded.warnings.iter().for_each(|warning| log::warn!("{warning}"));
    if args.print_config {
        io::stdout().write_all(loaded.config.to_yaml().as_bytes())?;
    }
    if args.check_config || args.print_config {
        return Ok(());
    }
    let Loaded { config, source, .. } = loaded;
    log::info!("seshun {} with the configuration from {source}", env!("CARGO_PKG_VERSION"));
    Ok(runtime::run(config.launch_settings())?)
}
