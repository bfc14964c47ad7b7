//! Where curves, bars and texts stand in charts, and what is left out of them.

use super::*;
use crate::human;
use crate::page::tests::assert_well_formed;

fn chart(curves: Vec<Curve>) -> Chart {
    Chart {
        title: "A <chart>".to_owned(),
        size: Size::Wide,
        x: Axis::time(10.0),
        y: Axis::amounts(100.0, "answers", human::short),
        curves,
        hints: Vec::new(),
    }
}

fn drawn(chart: &Chart) -> String {
    let mut markup = Markup::default();
    chart.draw(&mut markup);
    let text = markup.into_string();
    assert_well_formed(&text);
    text
}

fn line(points: &[(f64, f64)]) -> Curve {
    Curve::line("a line", Tone(1), points.to_vec())
}

#[test]
fn points_stand_where_their_scales_put_them() {
    let text = drawn(&chart(vec![line(&[(0.0, 0.0), (5.0, 50.0), (10.0, 100.0)])]));
    assert!(text.contains("M66 324h0L520 174L974 24"), "{text}");
}

#[test]
fn a_point_that_stands_nowhere_leaves_a_gap() {
    let text = drawn(&chart(vec![line(&[(0.0, 0.0), (5.0, f64::NAN), (10.0, 100.0), (11.0, 1.0)])]));
    assert!(text.contains("M66 324h0M974 24h0\""), "{text}");
    assert!(!drawn(&chart(vec![line(&[])])).contains("class=\"line"), "and nothing at all no curve");
}

#[test]
fn few_points_are_marked_and_many_are_not() {
    let many: Vec<(f64, f64)> = (0..100).map(|at| (f64::from(at) / 10.0, 1.0)).collect();
    assert!(drawn(&chart(vec![line(&many[..MARKED_MAX])])).contains("class=\"dots t1\""));
    assert!(!drawn(&chart(vec![line(&many)])).contains("class=\"dots"));
    let plain = Curve { style: Style::Solid, ..line(&many[..2]) };
    assert!(!drawn(&chart(vec![plain])).contains("class=\"dots"), "nor where they are not to be");
}

#[test]
fn bars_stand_on_the_bottom_and_nothing_is_no_bar() {
    let bars = Curve { style: Style::Bars, ..line(&[(5.0, 50.0), (10.0, 0.0)]) };
    assert!(drawn(&chart(vec![bars])).contains("d=\"M520 324V174\""));
}

#[test]
fn a_legend_is_there_where_a_curve_has_a_name() {
    let named = |name: &str| Curve { name: name.to_owned(), ..line(&[(1.0, 1.0)]) };
    assert!(!drawn(&chart(vec![named(""), named("")])).contains("legend"));
    assert_eq!(drawn(&chart(vec![named(""), named("one")])).matches("<li>").count(), 1);
    let text = drawn(&chart(vec![named("one"), Curve { style: Style::Dashed, ..named("a&b") }]));
    assert!(
        text.contains("legend") && text.contains("swatch t1 dashed") && text.contains("a&amp;b"),
        "{text}"
    );
}

#[test]
fn hints_cover_their_part_of_the_plot() {
    let hint = Hint { from: 5.0, to: 10.0, text: "5 s: <all>".to_owned() };
    let beyond = Hint { from: 10.0, to: 11.0, text: "beyond".to_owned() };
    let text = drawn(&Chart { hints: vec![hint, beyond], ..chart(Vec::new()) });
    assert!(text.contains("x=\"520\" y=\"24\" width=\"454\" height=\"300\""), "{text}");
    assert!(text.contains("5 s: &lt;all&gt;") && !text.contains("beyond"), "{text}");
}

#[test]
fn texts_keep_apart_and_the_first_ones_stay() {
    let tick = |value: f64, text: &str| Tick { value, text: text.to_owned() };
    let ticks =
        [tick(100.0, "max"), tick(0.0, "0 %"), tick(95.0, "99.999 %"), tick(50.0, "50 %"), tick(60.0, "")];
    let texts = spaced(&ticks, |tick| Some(tick.value), |_| 20.0);
    assert_eq!(texts, [(100.0, "max"), (0.0, "0 %"), (50.0, "50 %")]);
}

#[test]
fn tones_come_again() {
    assert_eq!((Tone::nth(1), Tone::nth(TONES + 1)), (Tone(1), Tone(1)));
}
