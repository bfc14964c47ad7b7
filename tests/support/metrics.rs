//! The numbers of the admin listener's `/metrics`, as far as the suites ask for them.
//!
//! Reads the Prometheus text format: one sample a line, labels in braces. It judges
//! nothing; that each sample is announced and unique is tested beside the code.

/// The samples of one answer.
pub struct Metrics(Vec<(String, f64)>);

impl Metrics {
    /// The samples in this text.
    #[track_caller]
    pub fn parse(text: &str) -> Self {
        let samples = text.lines().filter(|line| !line.is_empty() && !line.starts_with('#'));
        Self(samples.map(parse_sample).collect())
    }

    /// What the process says of `name`, which has no labels.
    #[track_caller]
    pub fn value(&self, name: &str) -> f64 {
        let found = self.0.iter().find(|(series, _)| series == name);
        found.unwrap_or_else(|| panic!("nobody counts {name}")).1
    }

    /// What each core says of `name`, by its number.
    #[track_caller]
    pub fn by_core(&self, name: &str) -> Vec<f64> {
        let of_core = |core: usize| {
            let label = format!("core=\"{core}\"");
            let is_it = |series: &str| {
                let rest = series.strip_prefix(name).and_then(|rest| rest.strip_prefix('{'));
                rest.is_some_and(|labels| labels.contains(&label))
            };
            let values: Vec<_> =
                self.0.iter().filter(|(series, _)| is_it(series)).map(|(_, value)| *value).collect();
            (!values.is_empty()).then(|| values.iter().sum())
        };
        let cores: Vec<_> = (0..).map_while(of_core).collect();
        assert!(!cores.is_empty(), "no core counts {name}");
        cores
    }
}

fn parse_sample(line: &str) -> (String, f64) {
    let (series, value) = line.rsplit_once(' ').unwrap_or_else(|| panic!("no sample: {line}"));
    (series.to_owned(), value.parse().unwrap_or_else(|why| panic!("{why}: {line}")))
}
