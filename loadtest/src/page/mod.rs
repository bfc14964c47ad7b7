//! A page of figures: one HTML file that needs nothing else, now or in ten years.
//!
//! Style and charts are inline, there is no script, and the page forbids its browser to ask
//! for anything. It is legible in light and in dark, and on paper. `markup` escapes; `scale`,
//! `chart`, `tail` and `dots` draw; all of it is pure. What a page says is for its report to know.

pub mod chart;
pub mod dots;
pub mod markup;
pub mod scale;
pub mod tail;

use std::fmt::Display;

use self::markup::Markup;

/// The style of all pages.
const SHEET: &str = include_str!("page.css");

/// What the browser is told: take the style that is here, and fetch nothing at all.
const POLICY: &str = "default-src 'none'; style-src 'unsafe-inline'";

/// How good or bad news is.
#[derive(Clone, Copy, PartialEq, Eq, Debug)]
pub enum News {
    /// All is as it should be.
    Good,
    /// To be read before the figures.
    Warning,
    /// Something is wrong.
    Bad,
}

impl News {
    const fn class(self) -> &'static str {
        match self {
            Self::Good => "news good",
            Self::Warning => "news warning",
            Self::Bad => "news bad",
        }
    }
}

/// The page with this title, and what `fill` puts below it.
pub fn page(title: &str, subtitle: &str, fill: impl FnOnce(&mut Markup)) -> String {
    let mut markup = Markup::default();
    markup.within("html", &[("lang", &"en")], |html| {
        html.line();
        html.within("head", &[], |head| {
            head.empty("meta", &[("charset", &"utf-8")]);
            head.empty("meta", &[("http-equiv", &"Content-Security-Policy"), ("content", &POLICY)]);
            head.empty("meta", &[("name", &"viewport"), ("content", &"width=device-width, initial-scale=1")]);
            head.empty("meta", &[("name", &"color-scheme"), ("content", &"light dark")]);
            head.leaf("title", &[], title);
            head.style(SHEET);
        });
        html.line();
        html.within("body", &[], |body| {
            body.within("header", &[], |header| {
                header.leaf("h1", &[], title);
                header.leaf("p", &[], subtitle);
            });
            body.line();
            fill(body);
            body.leaf("footer", &[], format_args!("Made by loadtest {}.", env!("CARGO_PKG_VERSION")));
        });
    });
    markup.line();
    format!("<!DOCTYPE html>\n{}", markup.into_string())
}

/// A section under a heading.
pub fn section(markup: &mut Markup, heading: &str, fill: impl FnOnce(&mut Markup)) {
    markup.within("section", &[], |section| {
        section.leaf("h2", &[], heading);
        fill(section);
    });
    markup.line();
}

/// What must be read before all else, with what it rests on.
pub fn news(markup: &mut Markup, kind: News, head: impl Display, reasons: &[String]) {
    markup.within("div", &[("class", &kind.class())], |block| {
        block.leaf("strong", &[], head);
        reasons.iter().for_each(|reason| block.leaf("p", &[], reason));
    });
    markup.line();
}

/// Figures that are to be seen at a glance: what is counted, and how much.
pub fn tiles(markup: &mut Markup, tiles: &[(&str, String)]) {
    markup.within("dl", &[("class", &"tiles")], |list| {
        for (name, value) in tiles {
            list.within("div", &[], |tile| {
                tile.leaf("dt", &[], name);
                tile.leaf("dd", &[], value);
            });
        }
    });
    markup.line();
}

/// Names with what belongs to them, one below the other.
pub fn facts(markup: &mut Markup, facts: &[(&str, String)]) {
    markup.within("table", &[("class", &"facts")], |table| {
        for (name, value) in facts {
            table.within("tr", &[], |row| {
                row.leaf("th", &[("scope", &"row")], name);
                row.leaf("td", &[], value);
            });
        }
    });
    markup.line();
}

/// A table of figures: rows begin with their name.
pub fn table(markup: &mut Markup, heads: &[&str], rows: &[Vec<String>]) {
    markup.within("div", &[("class", &"scroll")], |scroll| {
        scroll.within("table", &[("class", &"figures")], |table| {
            table.within("tr", &[], |row| {
                heads.iter().for_each(|head| row.leaf("th", &[("scope", &"col")], head));
            });
            for cells in rows {
                debug_assert_eq!(cells.len(), heads.len(), "every column has a head");
                table.within("tr", &[], |row| {
                    for (at, cell) in cells.iter().enumerate() {
                        let attributes: &[markup::Attribute<'_>] =
                            if at == 0 { &[("scope", &"row")] } else { &[] };
                        row.leaf(if at == 0 { "th" } else { "td" }, attributes, cell);
                    }
                });
            }
        });
    });
    markup.line();
}

/// A latency with three digits and its unit, as pages write it.
pub fn latency(us: f64) -> String {
    crate::human::micros(us).replace("us", "µs")
}

/// A latency at a tick: a round one, without digits that say nothing.
pub fn short_latency(us: f64) -> String {
    crate::human::short_micros(us).replace("us", "µs")
}

#[cfg(test)]
pub mod tests;
