//! What `loadtest compare` is asked for.
//!
//! Two reports or more, and where else to write what they say side by side. The first one is
//! what the others are held against.

use std::path::PathBuf;

use clap::Args;

/// Which reports are put side by side.
#[derive(Clone, Debug, Args)]
pub struct CompareArgs {
    /// The reports, as --json wrote them
    #[arg(value_name = "FILE", required = true, num_args = 2..=8)]
    pub files: Vec<PathBuf>,
    /// Writes one self-contained HTML page there too, with the spectra over each other
    #[arg(long, value_name = "FILE")]
    pub html: Option<PathBuf>,
}
