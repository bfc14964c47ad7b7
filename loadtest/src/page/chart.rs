//! Charts of lines and bars, as inline SVG.
//!
//! Pure: curves and axes in, markup out. A chart needs no script: what stands at a point is
//! told by the title that browsers show over it. Colours come from the page's style sheet by
//! class, so that a chart follows its page into dark and onto paper.

use super::markup::Markup;
use super::scale::{Axis, Scale, Tick};

/// The room that a chart's text needs on its left and below, in its own units.
const LEFT: f64 = 66.0;
const BOTTOM: f64 = 36.0;

/// The room on its right, for half of the last tick's text, and above, for the label.
const RIGHT: f64 = 26.0;
const TOP: f64 = 24.0;

/// The width of a character of a tick's text, about.
const CHAR_WIDTH: f64 = 6.8;

/// The free room between two texts.
const TEXT_GAP: f64 = 8.0;

/// A marked curve of no more points than this shows each of them.
const MARKED_MAX: usize = 45;

/// How large a chart is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Size {
    /// As wide as the page.
    Wide,
    /// As wide, and less high.
    Low,
    /// Half as wide.
    Half,
    /// As wide as the page, and no higher than bars need.
    Strip,
}

/// How a curve is drawn.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum Style {
    /// A line from point to point.
    Solid,
    /// The same, with a dot at each point where they are few.
    Marked,
    /// The same, dashed.
    Dashed,
    /// A bar a point, from nothing up to it.
    Bars,
}

/// A colour of the style sheet, and what a curve of it looks like in a legend. `tone < TONES`
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub struct Tone(pub usize);

/// How many colours there are.
pub const TONES: usize = 8;

/// A curve.
#[derive(Clone, PartialEq, Debug)]
pub struct Curve {
    /// What stands in the legend; a curve without a name has no place there.
    pub name: String,
    /// Its colour.
    pub tone: Tone,
    /// How it is drawn.
    pub style: Style,
    /// Its points from left to right. One that stands nowhere leaves a gap.
    pub points: Vec<(f64, f64)>,
}

/// What a browser shows over a part of the chart.
#[derive(Clone, PartialEq, Debug)]
pub struct Hint {
    /// The part, on the x axis.
    pub from: f64,
    /// Its end. `from < to`
    pub to: f64,
    /// What is shown.
    pub text: String,
}

/// A chart.
#[derive(Clone, PartialEq, Debug)]
pub struct Chart {
    /// What it shows, for those who cannot see it and as its caption.
    pub title: String,
    /// How large it is.
    pub size: Size,
    /// From left to right.
    pub x: Axis,
    /// From the bottom to the top.
    pub y: Axis,
    /// The curves, the one on top last.
    pub curves: Vec<Curve>,
    /// What is shown over its parts.
    pub hints: Vec<Hint>,
}

impl Size {
    const fn class(self) -> &'static str {
        match self {
            Self::Wide | Self::Low => "wide",
            Self::Half => "half",
            Self::Strip => "strip",
        }
    }

    const fn extent(self) -> (f64, f64) {
        match self {
            Self::Wide => (1000.0, 360.0),
            Self::Low => (1000.0, 260.0),
            Self::Half => (490.0, 240.0),
            Self::Strip => (1000.0, 130.0),
        }
    }
}

impl Tone {
    /// The colour of number `index` of many: they come again where there are more than tones.
    pub const fn nth(index: usize) -> Self {
        Self(index % TONES)
    }

    /// Its class in the style sheet.
    pub fn class(self) -> String {
        debug_assert!(self.0 < TONES, "the style sheet has it");
        format!("t{}", self.0)
    }
}

impl Curve {
    /// A line whose points are marked where they are few.
    pub fn line(name: &str, tone: Tone, points: Vec<(f64, f64)>) -> Self {
        Self { name: name.to_owned(), tone, style: Style::Marked, points }
    }
}

impl Chart {
    /// Draws it, with its caption and, where a curve has a name, its legend.
    pub fn draw(&self, markup: &mut Markup) {
        let plot = Plot::of(self);
        markup.within("figure", &[("class", &self.size.class())], |figure| {
            figure.leaf("figcaption", &[], &self.title);
            self.draw_legend(figure);
            let (width, height) = self.size.extent();
            let view = format!("0 0 {width} {height}");
            let attributes: [(&str, &dyn std::fmt::Display); 3] =
                [("viewBox", &view), ("role", &"img"), ("aria-label", &self.title)];
            figure.within("svg", &attributes, |svg| {
                plot.draw_grid(svg, &self.x, &self.y);
                self.curves.iter().for_each(|curve| plot.draw_curve(svg, curve));
                self.hints.iter().for_each(|hint| plot.draw_hint(svg, hint));
            });
        });
        markup.line();
    }

    fn draw_legend(&self, markup: &mut Markup) {
        let named = || self.curves.iter().filter(|curve| !curve.name.is_empty());
        if named().next().is_none() {
            return;
        }
        markup.within("ul", &[("class", &"legend")], |list| {
            for curve in named() {
                let dash = if curve.style == Style::Dashed { " dashed" } else { "" };
                list.within("li", &[], |item| {
                    item.leaf("span", &[("class", &format!("swatch {}{dash}", curve.tone.class()))], "");
                    item.text(&curve.name);
                });
            }
        });
    }
}

/// Where things stand in a chart of a certain size.
struct Plot {
    left: f64,
    top: f64,
    width: f64,
    height: f64,
    x: Scale,
    y: Scale,
}

impl Plot {
    fn of(chart: &Chart) -> Self {
        let (width, height) = chart.size.extent();
        Self {
            left: LEFT,
            top: TOP,
            width: width - LEFT - RIGHT,
            height: height - TOP - BOTTOM,
            x: chart.x.scale,
            y: chart.y.scale,
        }
    }

    fn across(&self, value: f64) -> Option<f64> {
        self.x.place(value).map(|place| place.mul_add(self.width, self.left))
    }

    fn up(&self, value: f64) -> Option<f64> {
        self.y.place(value).map(|place| (1.0 - place).mul_add(self.height, self.top))
    }

    fn bottom(&self) -> f64 {
        self.top + self.height
    }

    fn right(&self) -> f64 {
        self.left + self.width
    }

    fn draw_grid(&self, svg: &mut Markup, x: &Axis, y: &Axis) {
        let mut lines = String::new();
        for tick in &y.ticks {
            let Some(at) = self.up(tick.value) else { continue };
            lines += &format!("M{} {}H{}", px(self.left), px(at), px(self.right()));
        }
        for tick in &x.ticks {
            let Some(at) = self.across(tick.value) else { continue };
            lines += &format!("M{} {}V{}", px(at), px(self.top), px(self.bottom()));
        }
        svg.empty("path", &[("class", &"grid"), ("d", &lines)]);
        let room = 20.0;
        for (at, text) in spaced(&y.ticks, |tick| self.up(tick.value), |_| room) {
            text_at(svg, "end", (self.left - 8.0, at + 4.0), text);
        }
        let room = |tick: &Tick| (tick.text.chars().count() as f64).mul_add(CHAR_WIDTH, TEXT_GAP);
        for (at, text) in spaced(&x.ticks, |tick| self.across(tick.value), room) {
            text_at(svg, "middle", (at, self.bottom() + 16.0), text);
        }
        text_at(svg, "start", (4.0, self.top - 12.0), &y.label);
        text_at(svg, "end", (self.right(), self.bottom() + 32.0), &x.label);
    }

    fn draw_curve(&self, svg: &mut Markup, curve: &Curve) {
        let class = match curve.style {
            Style::Solid | Style::Marked => format!("line {}", curve.tone.class()),
            Style::Dashed => format!("line dashed {}", curve.tone.class()),
            Style::Bars => format!("bars {}", curve.tone.class()),
        };
        let mut path = String::new();
        let mut is_begun = false;
        for &(x, y) in &curve.points {
            let place = self.across(x).zip(self.up(y));
            let Some((x, y)) = place else {
                is_begun = false;
                continue;
            };
            match curve.style {
                Style::Bars if y < self.bottom() => {
                    path += &format!("M{} {}V{}", px(x), px(self.bottom()), px(y))
                }
                Style::Bars => {}
                _ if is_begun => path += &format!("L{} {}", px(x), px(y)),
                // A line of no length is drawn as a dot by its round ends.
                _ => path += &format!("M{} {}h0", px(x), px(y)),
            }
            is_begun = true;
        }
        if path.is_empty() {
            return;
        }
        svg.empty("path", &[("class", &class), ("d", &path)]);
        if curve.style == Style::Marked && curve.points.len() <= MARKED_MAX {
            let places = curve.points.iter().filter_map(|&(x, y)| self.across(x).zip(self.up(y)));
            let dots: String = places.map(|(x, y)| format!("M{} {}h0", px(x), px(y))).collect();
            svg.empty("path", &[("class", &format!("dots {}", curve.tone.class())), ("d", &dots)]);
        }
    }

    fn draw_hint(&self, svg: &mut Markup, hint: &Hint) {
        debug_assert!(hint.from < hint.to, "a part has a width");
        let Some((from, to)) = self.across(hint.from).zip(self.across(hint.to)) else { return };
        let (x, y, width, height) = (px(from), px(self.top), px(to - from), px(self.height));
        let place: [(&str, &dyn std::fmt::Display); 5] =
            [("class", &"hint"), ("x", &x), ("y", &y), ("width", &width), ("height", &height)];
        svg.within("rect", &place, |rect| rect.leaf("title", &[], &hint.text));
    }
}

/// The texts that fit beside each other, the first ones before those that come after them.
fn spaced(
    ticks: &[Tick],
    place: impl Fn(&Tick) -> Option<f64>,
    room: impl Fn(&Tick) -> f64,
) -> Vec<(f64, &str)> {
    let mut taken: Vec<(f64, f64)> = Vec::with_capacity(ticks.len());
    let mut texts = Vec::with_capacity(ticks.len());
    for tick in ticks.iter().filter(|tick| !tick.text.is_empty()) {
        let Some(at) = place(tick) else { continue };
        let half = room(tick) / 2.0;
        if taken.iter().all(|&(other, other_half)| (at - other).abs() >= half + other_half) {
            taken.push((at, half));
            texts.push((at, tick.text.as_str()));
        }
    }
    debug_assert_eq!(taken.len(), texts.len(), "each text has its room");
    texts
}

/// A text whose `anchor` stands there.
pub(super) fn text_at(svg: &mut Markup, anchor: &'static str, (x, y): (f64, f64), text: &str) {
    if !text.is_empty() {
        svg.leaf("text", &[("x", &px(x)), ("y", &px(y)), ("text-anchor", &anchor)], text);
    }
}

/// A coordinate to a tenth of a unit, which no eye tells from its neighbours.
pub(super) fn px(coordinate: f64) -> String {
    let text = format!("{coordinate:.1}");
    text.strip_suffix(".0").map_or(text.clone(), str::to_owned)
}

#[cfg(test)]
mod tests;
