//! Rows of dots: what each of several contenders measured, round by round, and their middle.
//!
//! Every single value is shown, so that nobody has to take a median on trust: rows whose dots
//! overlap are not told apart by these measurements. Pure, inline SVG like all charts here.

use super::chart::{Tone, px, text_at};
use super::markup::{Attribute, Markup};
use super::scale::{Axis, Scale};

/// The height of a row, in the chart's own units.
const ROW: f64 = 34.0;

/// The room for names, for texts behind the rows, and above and below them.
const LEFT: f64 = 110.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 10.0;
const BOTTOM: f64 = 40.0;

/// The chart's width.
const WIDTH: f64 = 1000.0;

/// One row.
#[derive(Clone, PartialEq, Debug)]
pub struct Row {
    /// Whose.
    pub name: String,
    /// In which colour.
    pub tone: Tone,
    /// The values, in any order.
    pub values: Vec<f64>,
    /// Their middle.
    pub median: f64,
    /// What stands behind them.
    pub text: String,
}

/// A chart of rows over one axis.
#[derive(Clone, PartialEq, Debug)]
pub struct Dots {
    /// What it shows.
    pub title: String,
    /// The axis of all rows.
    pub axis: Axis,
    /// A value that the rows are held against, if there is one.
    pub level: Option<f64>,
    /// From the top to the bottom.
    pub rows: Vec<Row>,
}

impl Dots {
    /// Draws it, with its caption.
    pub fn draw(&self, markup: &mut Markup) {
        let height = (self.rows.len() as f64).mul_add(ROW, TOP + BOTTOM);
        let view = format!("0 0 {WIDTH} {}", px(height));
        markup.within("figure", &[("class", &"wide")], |figure| {
            figure.leaf("figcaption", &[], &self.title);
            let attributes: [Attribute<'_>; 3] =
                [("viewBox", &view), ("role", &"img"), ("aria-label", &self.title)];
            figure.within("svg", &attributes, |svg| {
                self.draw_axis(svg, height - BOTTOM);
                for (index, row) in self.rows.iter().enumerate() {
                    let y = (index as f64 + 0.5).mul_add(ROW, TOP);
                    row.draw(svg, self.axis.scale, y);
                }
            });
        });
        markup.line();
    }

    fn draw_axis(&self, svg: &mut Markup, bottom: f64) {
        let mut lines = String::new();
        for tick in &self.axis.ticks {
            let Some(at) = across(self.axis.scale, tick.value) else { continue };
            lines += &format!("M{} {TOP}V{}", px(at), px(bottom));
            text_at(svg, "middle", (at, bottom + 16.0), &tick.text);
        }
        svg.empty("path", &[("class", &"grid"), ("d", &lines)]);
        if let Some(at) = self.level.and_then(|level| across(self.axis.scale, level)) {
            svg.empty("path", &[("class", &"zero"), ("d", &format!("M{} {TOP}V{}", px(at), px(bottom)))]);
        }
        text_at(svg, "end", (WIDTH - RIGHT, bottom + 34.0), &self.axis.label);
    }
}

impl Row {
    fn draw(&self, svg: &mut Markup, scale: Scale, y: f64) {
        svg.leaf("text", &[("class", &"name"), ("x", &4), ("y", &px(y + 5.0))], &self.name);
        let places: Vec<f64> = self.values.iter().filter_map(|&value| across(scale, value)).collect();
        let (min, max) =
            places.iter().fold((f64::MAX, f64::MIN), |(min, max), &at| (min.min(at), max.max(at)));
        let tone = self.tone.class();
        if min <= max {
            let span = format!("M{} {}H{}", px(min), px(y), px(max));
            svg.empty("path", &[("class", &format!("span {tone}")), ("d", &span)]);
        }
        let dots: String = places.iter().map(|&at| format!("M{} {}h0", px(at), px(y))).collect();
        if !dots.is_empty() {
            svg.empty("path", &[("class", &format!("dots {tone}")), ("d", &dots)]);
        }
        if let Some(at) = across(scale, self.median) {
            let mark = format!("M{} {}V{}", px(at), px(y - 9.0), px(y + 9.0));
            svg.empty("path", &[("class", &format!("median {tone}")), ("d", &mark)]);
        }
        text_at(svg, "start", (WIDTH - RIGHT + 14.0, y + 5.0), &self.text);
    }
}

fn across(scale: Scale, value: f64) -> Option<f64> {
    scale.place(value).map(|place| place.mul_add(WIDTH - LEFT - RIGHT, LEFT))
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::human;
    use crate::page::tests::assert_well_formed;

    fn drawn(rows: Vec<Row>) -> String {
        let axis = Axis::amounts(2.0, "times", human::short);
        let dots = Dots { title: "Ratios".to_owned(), axis, level: Some(1.0), rows };
        let mut markup = Markup::default();
        dots.draw(&mut markup);
        let text = markup.into_string();
        assert_well_formed(&text);
        text
    }

    #[test]
    fn every_round_is_a_dot_and_the_middle_a_mark() {
        let row = Row {
            name: "a<b".to_owned(),
            tone: Tone(3),
            values: vec![0.0, 1.0, 2.0],
            median: 1.0,
            text: "1.00 (0.00 to 2.00)".to_owned(),
        };
        let text = drawn(vec![row]);
        assert!(text.contains("M110 27h0M460 27h0M810 27h0"), "{text}");
        assert!(text.contains("M460 18V36") && text.contains("M110 27H810"), "{text}");
        assert!(text.contains("a&lt;b") && text.contains("1.00 (0.00 to 2.00)"), "{text}");
    }

    #[test]
    fn a_row_without_values_keeps_its_name() {
        let row = Row {
            name: "x".to_owned(),
            tone: Tone(0),
            values: Vec::new(),
            median: f64::NAN,
            text: String::new(),
        };
        let text = drawn(vec![row]);
        assert!(text.contains(">x<") && !text.contains("median") && !text.contains("NaN"), "{text}");
    }
}
