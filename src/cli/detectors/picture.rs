//! The study as a picture: SVG by hand, self-contained, on white so that it can be read on a dark page too.

use std::fmt::Write as _;

use crate::flow::trigger::study::{Case, Finding};

const WIDTH: f64 = 1_000.0;
const TOP: f64 = 78.0;
const ROW: f64 = 28.0;
const GOOD: &str = "#1f6fb2";
const WRONG: &str = "#c0392b";
const GREY: &str = "#8a8a8a";

/// A logarithmic axis from `low` at `left` to `high` at `right`.
struct Axis {
    left: f64,
    right: f64,
    low: f64,
    high: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let share = (value / self.low).ln() / (self.high / self.low).ln();
        self.left + share.clamp(0.0, 1.0) * (self.right - self.left)
    }

    /// Lines and labels at the powers of ten.
    fn draw(&self, svg: &mut String, bottom: f64) {
        let mut value = self.low;
        while value <= self.high * 1.001 {
            let x = self.at(value);
            line(svg, (x, TOP - 4.0), (x, bottom), "#dddddd", "");
            text(svg, (x, TOP - 10.0), "middle", GREY, &short(value));
            value *= 10.0;
        }
    }
}

const ALARMS: Axis = Axis { left: 270.0, right: 560.0, low: 0.01, high: 100.0 };
const DELAYS: Axis = Axis { left: 650.0, right: 960.0, low: 1.0, high: 10_000.0 };

/// Draws false alarms in the first 1000 scores as bars beside the `stated` rate, delays of what is as built as dots, and `note` below them.
pub(super) fn draw(found: &[(Case, Finding)], stated: f64, note: &str) -> String {
    let bottom = TOP + ROW * found.len() as f64;
    let height = bottom + 58.0;
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {height}\" width=\"{WIDTH}\" height=\"{height}\" \
         font-family=\"Helvetica, Arial, sans-serif\" font-size=\"13\" role=\"img\">\n\
         <title>False alarms and delays of the retrain detector</title>\n\
         <rect width=\"{WIDTH}\" height=\"{height}\" fill=\"#ffffff\"/>\n"
    );
    for (axis, title, what) in [
        (&ALARMS, "False alarms", "per 1000 scores, the first 1000 after the reference"),
        (&DELAYS, "Delay", "cohorts to the alarm after a drop, median"),
    ] {
        heading(&mut svg, axis.left, title);
        text(&mut svg, (axis.left, 42.0), "start", "#444444", what);
        axis.draw(&mut svg, bottom);
    }
    let x = ALARMS.at(stated);
    line(&mut svg, (x, TOP - 4.0), (x, bottom + 4.0), "#222222", " stroke-dasharray=\"4 3\"");
    for (row, (case, finding)) in found.iter().enumerate() {
        draw_row(&mut svg, TOP + ROW * (row as f64 + 0.5), case, finding);
    }
    text(&mut svg, (x, bottom + 18.0), "middle", "#222222", &format!("stated: {}", short(stated)));
    legend(&mut svg, bottom + 14.0);
    text(&mut svg, (16.0, bottom + 46.0), "start", "#444444", note);
    svg.push_str("</svg>\n");
    svg
}

fn draw_row(svg: &mut String, y: f64, case: &Case, finding: &Finding) {
    let colour = if case.is_wrong() { WRONG } else { GOOD };
    let indent = if case.title.starts_with(' ') { 32.0 } else { 16.0 };
    text(svg, (indent, y + 4.5), "start", "#222222", case.title.trim_start());
    let end = ALARMS.at(finding.young);
    let (x, top, width, height) = (ALARMS.left, y - 7.0, end - ALARMS.left, 14.0);
    let _ =
        writeln!(svg, "<rect x=\"{x:.1}\" y=\"{top:.1}\" width=\"{width:.1}\" height=\"{height}\" fill=\"{colour}\"/>");
    text(svg, (end + 5.0, y + 4.5), "start", "#222222", &short(finding.young));
    // One that alarms all the time is also quick to notice: its delay is no merit.
    let (Some(twenty), Some(five), false) = (finding.delay_20, finding.delay_5, case.is_wrong()) else { return };
    let (from, to) = (DELAYS.at(twenty), DELAYS.at(five));
    line(svg, (from, y), (to, y), colour, "");
    dot(svg, from, y, "#ffffff", colour);
    dot(svg, to, y, colour, colour);
    text(svg, (from - 9.0, y + 4.5), "end", "#222222", &short(twenty));
    text(svg, (to + 9.0, y + 4.5), "start", "#222222", &short(five));
}

fn legend(svg: &mut String, y: f64) {
    dot(svg, DELAYS.left + 6.0, y, "#ffffff", GOOD);
    text(svg, (DELAYS.left + 16.0, y + 4.5), "start", "#444444", "20 points");
    dot(svg, DELAYS.left + 106.0, y, GOOD, GOOD);
    text(svg, (DELAYS.left + 116.0, y + 4.5), "start", "#444444", "5 points");
    let _ = writeln!(svg, "<rect x=\"16\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{GOOD}\"/>", y - 6.0);
    text(svg, (34.0, y + 4.5), "start", "#444444", "as built");
    let _ = writeln!(svg, "<rect x=\"106\" y=\"{:.1}\" width=\"12\" height=\"12\" fill=\"{WRONG}\"/>", y - 6.0);
    text(svg, (124.0, y + 4.5), "start", "#444444", "why not otherwise");
}

fn heading(svg: &mut String, x: f64, words: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"24\" font-size=\"16\" font-weight=\"bold\" fill=\"#222222\">{words}</text>"
    );
}

/// With a white rim, so that it can be read across a line.
fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, colour: &str, words: &str) {
    let _ = writeln!(
        svg,
        "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\" fill=\"{colour}\" stroke=\"#ffffff\" stroke-width=\"3\" \
         paint-order=\"stroke\">{words}</text>"
    );
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str, more: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\" stroke-width=\"1.5\"{more}/>"
    );
}

fn dot(svg: &mut String, x: f64, y: f64, fill: &str, stroke: &str) {
    let _ = writeln!(
        svg,
        "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"5\" fill=\"{fill}\" stroke=\"{stroke}\" stroke-width=\"2\"/>"
    );
}

/// Two digits are enough for a picture.
fn short(value: f64) -> String {
    match value {
        v if v >= 10.0 => format!("{v:.0}"),
        v if v >= 1.0 => format!("{v:.1}").trim_end_matches(".0").to_owned(),
        v if v >= 0.1 => format!("{v:.2}").trim_end_matches('0').to_owned(),
        v => format!("{v:.3}").trim_end_matches('0').trim_end_matches('.').to_owned(),
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::flow::trigger::study::cases;

    #[test]
    fn numbers_are_short() {
        for (value, expected) in [
            (0.0, "0"),
            (0.01, "0.01"),
            (0.084, "0.084"),
            (0.1, "0.1"),
            (0.14, "0.14"),
            (1.0, "1"),
            (1.39, "1.4"),
            (10_000.0, "10000"),
        ] {
            assert_eq!(short(value), expected);
        }
    }

    #[test]
    fn every_case_is_in_the_picture_and_nothing_leaves_it() {
        let finding = Finding {
            young: 0.0,
            life: 0.0,
            alarms: (0, 0),
            delay_5: Some(1e9),
            delay_20: Some(1.0),
            expected_5: None,
            expected_20: None,
        };
        let found: Vec<_> = cases().into_iter().map(|case| (case, finding.clone())).collect();
        let svg = draw(&found, 0.1, "a note");
        assert!(found.iter().all(|(case, _)| svg.contains(case.title.trim_start())));
        assert!(!svg.contains("NaN") && !svg.contains("inf") && !svg.contains("=\"-"));
        assert_eq!(svg.matches("<text").count(), svg.matches("</text>").count());
    }
}
