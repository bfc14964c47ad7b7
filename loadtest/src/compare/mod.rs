//! `loadtest compare`: reports of earlier runs side by side.
//!
//! `past` reads them back, `caveats` says what speaks against comparing them, `figures` holds
//! them against the first one; `text` and `html` show it. All but the reading is pure, and
//! nothing is measured here: a comparison is worth what its runs are worth.

pub mod args;
pub mod caveats;
pub mod figures;
mod html;
pub mod past;
mod text;

use std::io::{self, Write};

use crate::compare::args::CompareArgs;
use crate::compare::caveats::Caveats;
use crate::compare::past::Past;
use crate::outlet;

/// A report and what it is called here.
#[derive(Clone, Debug)]
pub struct Run {
    /// `A`, `B`, …
    pub letter: char,
    /// The file that it comes from.
    pub file: String,
    /// What it says.
    pub past: Past,
}

/// Runs side by side.
#[derive(Clone, Debug)]
pub struct Compared {
    /// The runs, the one that the others are held against first. At least two.
    pub runs: Vec<Run>,
    /// What speaks against comparing them.
    pub caveats: Caveats,
}

/// What runs are called, in their order.
pub fn letters() -> impl Iterator<Item = char> {
    'A'..='Z'
}

impl Compared {
    /// These runs side by side, each with the name of its file.
    pub fn new(pasts: impl IntoIterator<Item = (String, Past)>) -> Self {
        let runs = letters().zip(pasts).map(|(letter, (file, past))| Run { letter, file, past });
        let runs: Vec<Run> = runs.collect();
        let caveats = Caveats::of(&runs);
        Self { runs, caveats }
    }
}

/// Compares as `args` ask for; gives the exit code, or why there is none.
pub fn run(args: &CompareArgs) -> Result<u8, String> {
    outlet::check(args.html.as_deref()).map_err(|error| error.to_string())?;
    let mut pasts = Vec::with_capacity(args.files.len());
    for file in &args.files {
        let past = Past::read(file).map_err(|error| error.to_string())?;
        pasts.push((file.display().to_string(), past));
    }
    let compared = Compared::new(pasts);
    let mut text = Vec::new();
    let printed = compared.write_text(&mut text).and_then(|()| io::stdout().write_all(&text));
    printed.map_err(|error| format!("cannot print the comparison: {error}"))?;
    if let Some(path) = &args.html {
        outlet::write(path, |out| compared.write_html(out)).map_err(|error| error.to_string())?;
    }
    Ok(compared.caveats.exit_code())
}
