//! A picture with two axes, as inline SVG. Colours are classes, so that the page decides them for light and dark.

use std::fmt::Write as _;

use crate::flow::time::{Micros, SECOND};

const LEFT: f64 = 64.0;
const RIGHT: f64 = 18.0;
const TOP: f64 = 12.0;
const BOTTOM: f64 = 32.0;

/// Seconds between two marks of a time axis.
const STEPS: [i64; 22] = [
    1, 2, 5, 10, 15, 30, 60, 120, 300, 600, 900, 1_800, 3_600, 7_200, 10_800, 21_600, 43_200, 86_400, 172_800, 604_800,
    2_592_000, 31_536_000,
];

/// A picture that is being drawn.
pub struct Plot {
    svg: String,
    size: (f64, f64),
    x: (f64, f64),
    y: (f64, f64),
}

/// A range that has a width, with a little air where it has none.
fn wide(low: f64, high: f64) -> (f64, f64) {
    if !(low.is_finite() && high.is_finite()) {
        (0.0, 1.0)
    } else if high - low > low.abs().max(high.abs()).max(1e-9) * 1e-9 {
        (low, high)
    } else {
        (low - 0.5, high + 0.5)
    }
}

/// The smallest range that holds all values; zero to one without any.
pub fn range(values: impl IntoIterator<Item = f64>) -> (f64, f64) {
    let ends = |(low, high): (f64, f64), value: f64| (low.min(value), high.max(value));
    values.into_iter().filter(|value| value.is_finite()).fold((f64::INFINITY, f64::NEG_INFINITY), ends)
}

impl Plot {
    /// An empty picture of `size`, whose axes cover `x` and `y`.
    pub fn new(title: &str, size: (f64, f64), x: (f64, f64), y: (f64, f64)) -> Self {
        let (width, height) = size;
        let svg = format!(
            "<svg viewBox=\"0 0 {width} {height}\" style=\"max-width:{width}px\" role=\"img\"><title>{}</title>\n",
            escape(title)
        );
        Self { svg, size, x: wide(x.0, x.1), y: wide(y.0, y.1) }
    }

    fn px(&self, x: f64) -> f64 {
        LEFT + (x - self.x.0) / (self.x.1 - self.x.0) * (self.size.0 - LEFT - RIGHT)
    }

    fn py(&self, y: f64) -> f64 {
        self.size.1 - BOTTOM - (y - self.y.0) / (self.y.1 - self.y.0) * (self.size.1 - TOP - BOTTOM)
    }

    /// Marks and lines of the upright axis.
    pub fn y_axis(&mut self, label: impl Fn(f64) -> String) {
        for value in marks(self.y, 6.0) {
            let y = self.py(value);
            let _ = writeln!(
                self.svg,
                "<line class=\"grid\" x1=\"{LEFT}\" x2=\"{:.1}\" y1=\"{y:.1}\" y2=\"{y:.1}\"/>\
                 <text x=\"{:.1}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                self.size.0 - RIGHT,
                LEFT - 6.0,
                y + 4.0,
                label(value)
            );
        }
    }

    fn x_mark(&mut self, value: f64, label: &str) {
        let (x, bottom) = (self.px(value), self.size.1 - BOTTOM);
        let _ = writeln!(
            self.svg,
            "<line class=\"grid\" x1=\"{x:.1}\" x2=\"{x:.1}\" y1=\"{TOP}\" y2=\"{bottom:.1}\"/>\
             <text x=\"{x:.1}\" y=\"{:.1}\" text-anchor=\"middle\">{label}</text>",
            bottom + 18.0
        );
    }

    /// Marks of the level axis.
    pub fn x_axis(&mut self, label: impl Fn(f64) -> String) {
        for value in marks(self.x, 10.0) {
            self.x_mark(value, &label(value));
        }
    }

    /// Marks of a level axis of microseconds, in UTC.
    pub fn x_times(&mut self) {
        let (from, to) = (self.x.0 as Micros, self.x.1 as Micros);
        let step = STEPS.into_iter().find(|step| (to - from) / (step * SECOND) < 8).unwrap_or(315_360_000);
        let format = match step {
            s if s < 60 => "%H:%M:%S",
            s if s < 86_400 && to - from < 86_400 * SECOND => "%H:%M",
            s if s < 86_400 => "%m-%d %H:%M",
            _ => "%Y-%m-%d",
        };
        let mut time = from.div_euclid(step * SECOND) * step * SECOND;
        while time <= to {
            if time >= from {
                self.x_mark(time as f64, &clock(time, format));
            }
            time += step * SECOND;
        }
    }

    /// A line through points.
    pub fn line(&mut self, class: &str, points: impl IntoIterator<Item = (f64, f64)>) {
        let mut path = String::new();
        for (x, y) in points {
            if x.is_finite() && y.is_finite() {
                let letter = if path.is_empty() { 'M' } else { 'L' };
                let _ = write!(path, "{letter}{:.1} {:.1}", self.px(x), self.py(y));
            }
        }
        if !path.is_empty() {
            let _ = writeln!(self.svg, "<path class=\"line {class}\" d=\"{path}\"/>");
        }
    }

    /// The area between two lines: x, lower, upper.
    pub fn band(&mut self, class: &str, points: &[(f64, f64, f64)]) {
        let mut path = String::new();
        let upper = points.iter().map(|&(x, _, high)| (x, high));
        let lower = points.iter().rev().map(|&(x, low, _)| (x, low));
        for (x, y) in upper.chain(lower) {
            let letter = if path.is_empty() { 'M' } else { 'L' };
            let _ = write!(path, "{letter}{:.1} {:.1}", self.px(x), self.py(y));
        }
        if !path.is_empty() {
            let _ = writeln!(self.svg, "<path class=\"area {class}\" d=\"{path}Z\"/>");
        }
    }

    /// A rectangle between two corners.
    pub fn bar(&mut self, class: &str, from: (f64, f64), to: (f64, f64), title: &str) {
        let (x, right, top, bottom) = (self.px(from.0), self.px(to.0), self.py(to.1), self.py(from.1));
        let _ = writeln!(
            self.svg,
            "<rect class=\"area {class}\" x=\"{x:.1}\" y=\"{top:.1}\" width=\"{:.1}\" height=\"{:.1}\"><title>{}</title></rect>",
            (right - x).max(0.0),
            (bottom - top).max(0.0),
            escape(title)
        );
    }

    /// A dot.
    pub fn dot(&mut self, class: &str, (x, y): (f64, f64), radius: f64, title: &str) {
        let _ = writeln!(
            self.svg,
            "<circle class=\"dot {class}\" cx=\"{:.1}\" cy=\"{:.1}\" r=\"{radius:.1}\"><title>{}</title></circle>",
            self.px(x),
            self.py(y),
            escape(title)
        );
    }

    /// A level line from side to side.
    pub fn level(&mut self, class: &str, y: f64) {
        if y >= self.y.0 && y <= self.y.1 {
            self.line(class, [(self.x.0, y), (self.x.1, y)]);
        }
    }

    /// An upright line.
    pub fn upright(&mut self, class: &str, x: f64) {
        if x >= self.x.0 && x <= self.x.1 {
            self.line(class, [(x, self.y.0), (x, self.y.1)]);
        }
    }

    /// The picture.
    pub fn finish(mut self) -> String {
        self.svg.push_str("</svg>\n");
        self.svg
    }
}

/// Round values within a range, at most about `most`.
fn marks((low, high): (f64, f64), most: f64) -> Vec<f64> {
    let rough = (high - low) / most;
    let power = 10_f64.powf(rough.log10().floor());
    let step = [1.0, 2.0, 5.0, 10.0].into_iter().map(|m| m * power).find(|step| *step >= rough).unwrap_or(power);
    let first = (low / step).ceil() as i64;
    let last = (high / step + 1e-9).floor() as i64;
    (first..=last.min(first + 20)).map(|n| n as f64 * step).collect()
}

/// A time in UTC.
pub fn clock(time: Micros, format: &str) -> String {
    jiff::Timestamp::from_microsecond(time)
        .map_or_else(|_| time.to_string(), |time| time.to_zoned(jiff::tz::TimeZone::UTC).strftime(format).to_string())
}

/// Text as HTML takes it.
pub fn escape(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;").replace('>', "&gt;").replace('"', "&quot;")
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn marks_are_round() {
        assert_eq!(marks((0.0, 1.0), 6.0), [0.0, 0.2, 0.4, 0.6000000000000001, 0.8, 1.0]);
        assert_eq!(marks((-130.0, 40.0), 6.0), [-100.0, -50.0, 0.0]);
    }

    #[test]
    fn a_picture_without_room_or_numbers_is_still_one() {
        let mut plot = Plot::new("a <b>", (300.0, 200.0), range([]), range([5.0, f64::NAN, 5.0]));
        plot.y_axis(|value| value.to_string());
        plot.x_axis(|value| value.to_string());
        plot.line("a", [(0.0, f64::NAN), (0.5, 5.0)]);
        plot.band("b", &[]);
        let svg = plot.finish();
        assert!(!svg.contains("NaN") && !svg.contains("inf") && svg.contains("a &lt;b&gt;"), "{svg}");
    }

    #[test]
    fn times_are_marked_in_utc() {
        let day = 1_723_161_600.0 * 1e6;
        let mut plot = Plot::new("", (900.0, 200.0), (day - 300e6, day + 300e6), (0.0, 1.0));
        plot.x_times();
        let svg = plot.finish();
        assert!(svg.contains(">23:58<") && svg.contains(">00:00<") && svg.contains(">00:04<"), "{svg}");
    }
}
