//! Charts of latency spectra: every percentile of an operation, a run or a contender as a curve.
//!
//! The x axis gives each nine the same room, so that a tail is not squeezed into the last
//! pixel, and has a place of its own for the maximum. The y axis is logarithmic and may be
//! shared by charts that are to be compared. Pure.

use super::chart::{Chart, Curve, Hint, Size, Style, Tone};
use super::latency;
use super::scale::Axis;
use crate::spectrum::Spectrum;

/// A spectrum that is to be drawn.
#[derive(Clone, Debug)]
pub struct Tail<'a> {
    /// What stands in the legend.
    pub name: String,
    /// Its colour.
    pub tone: Tone,
    /// Whether its line is dashed.
    pub dashed: bool,
    /// The curve; one that is empty is left out.
    pub spectrum: &'a Spectrum,
    /// The longest latency, in microseconds.
    pub max_us: f64,
}

/// The y axis on which all of these can be drawn; none where all are empty.
pub fn axis_of(tails: &[Tail<'_>]) -> Option<Axis> {
    let told = tails.iter().filter(|tail| !tail.spectrum.is_empty());
    let values =
        told.flat_map(|tail| tail.spectrum.points().iter().map(|point| point.us).chain([tail.max_us]));
    Axis::latencies(values, "latency")
}

/// The chart of these spectra over an axis that [`axis_of`] gave for them, and maybe others.
pub fn chart(title: &str, size: Size, tails: &[Tail<'_>], y: &Axis) -> Chart {
    let told: Vec<&Tail<'_>> = tails.iter().filter(|tail| !tail.spectrum.is_empty()).collect();
    let ends = told.iter().filter_map(|tail| tail.spectrum.points().last());
    let end = ends.map(|point| point.percentile).fold(0.0, f64::max);
    Chart {
        title: title.to_owned(),
        size,
        x: Axis::percentiles(end),
        y: y.clone(),
        curves: told.iter().flat_map(|tail| tail.curves()).collect(),
        hints: if size == Size::Wide { hints(&told) } else { Vec::new() },
    }
}

impl Tail<'_> {
    /// Its curve, and the way from the curve's end to the maximum, which stands apart.
    fn curves(&self) -> Vec<Curve> {
        let points: Vec<_> =
            self.spectrum.points().iter().map(|point| (point.percentile, point.us)).collect();
        let max = (100.0, self.max_us);
        let way = points.last().map(|&last| vec![last, max]).unwrap_or_default();
        let style = if self.dashed { Style::Dashed } else { Style::Solid };
        let curve = Curve { style, ..Curve::line(&self.name, self.tone, points) };
        let way = Curve { style: Style::Dashed, ..Curve::line("", self.tone, way) };
        vec![way, curve, Curve::line("", self.tone, vec![max])]
    }

    fn at(&self, percentile: f64) -> Option<f64> {
        let points = self.spectrum.points();
        points.iter().find(|point| (point.percentile - percentile).abs() < 1e-9).map(|point| point.us)
    }
}

/// What all of them keep to at each point of the one that goes furthest.
fn hints(tails: &[&Tail<'_>]) -> Vec<Hint> {
    let longest = tails.iter().map(|tail| tail.spectrum.points()).max_by_key(|points| points.len());
    let percentiles: Vec<f64> = longest.unwrap_or_default().iter().map(|point| point.percentile).collect();
    let said = |head: String, at: &dyn Fn(&Tail<'_>) -> Option<f64>| {
        let told = tails.iter().filter_map(|tail| Some(format!("{} {}", tail.name, latency(at(tail)?))));
        format!("{head}: {}", told.collect::<Vec<_>>().join(", "))
    };
    let windows = percentiles.array_windows().map(|&[from, to]| {
        let text = said(format!("{} % kept to", shorter(to)), &|tail| tail.at(to));
        Hint { from, to, text }
    });
    let last = percentiles.last().map(|&from| {
        let text = said("the longest".to_owned(), &|tail| Some(tail.max_us));
        Hint { from, to: 100.0, text }
    });
    windows.chain(last).collect()
}

/// A percentile with as many digits as it needs.
fn shorter(percentile: f64) -> String {
    let text = format!("{percentile:.5}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

#[cfg(test)]
mod tests {
    use super::*;
    use std::time::Duration;

    use crate::page::markup::Markup;
    use crate::page::tests::assert_well_formed;
    use crate::stats::Latency;

    fn spectrum(count: u64) -> (Spectrum, f64) {
        let mut latency = Latency::new();
        (1..=count).for_each(|us| latency.record(Duration::from_micros(us)));
        (Spectrum::of(&latency), latency.max_us())
    }

    fn tail<'a>(name: &str, (spectrum, max_us): &'a (Spectrum, f64)) -> Tail<'a> {
        Tail { name: name.to_owned(), tone: Tone(1), dashed: false, spectrum, max_us: *max_us }
    }

    #[test]
    fn a_chart_goes_as_far_as_its_longest_curve_and_to_the_maximum() {
        let (short, long) = (spectrum(10), spectrum(1000));
        let tails = [tail("short", &short), tail("long", &long)];
        let chart = chart("Both", Size::Wide, &tails, &axis_of(&tails).expect("there are answers"));
        assert_eq!(chart.x, Axis::percentiles(99.9));
        assert!(
            chart.curves.iter().all(|curve| curve.points.iter().all(|&(_, us)| chart
                .y
                .scale
                .place(us)
                .is_some()))
        );
        let named: Vec<&str> = chart.curves.iter().map(|curve| curve.name.as_str()).collect();
        assert_eq!(named, ["", "short", "", "", "long", ""]);
        assert_eq!(chart.curves[2].points[0].0, 100.0);
        let mut markup = Markup::default();
        chart.draw(&mut markup);
        assert_well_formed(&markup.into_string());
    }

    #[test]
    fn hints_tell_what_each_curve_has_there() {
        let (short, long) = (spectrum(10), spectrum(1000));
        let (short, long) = (tail("short", &short), tail("long", &long));
        let hints = hints(&[&short, &long]);
        let text = |at: f64| hints.iter().find(|hint| hint.to == at).map(|hint| hint.text.as_str());
        assert_eq!(text(90.0), Some("90 % kept to: short 9.01 µs, long 900 µs"));
        assert_eq!(text(99.0), Some("99 % kept to: long 990 µs"));
        assert_eq!(text(100.0), Some("the longest: short 10.0 µs, long 1.00 ms"));
    }

    #[test]
    fn without_an_answer_there_is_nothing_to_draw_on() {
        let none = spectrum(0);
        assert_eq!(axis_of(&[tail("none", &none)]), None);
        assert!(hints(&[]).is_empty());
    }
}
