//! What is shown while the demo runs, on standard error: how things go, once a second, and what happens, when it happens.

use std::io::{IsTerminal as _, Write as _};
use std::time::Instant;

use super::figures::Counts;
use super::score::Score;
use super::standing::{Standing, percent};

/// Figures that are drawn over and over, with what happened above them; a line each where there is no terminal.
pub struct Board {
    last: (Instant, Counts),
    terminal: bool,
    quiet: bool,
    /// Lines of figures on the terminal.
    drawn: Vec<String>,
    /// Without a terminal: the last line about the referee.
    said: String,
}

impl Board {
    /// A board; with `quiet` it speaks to terminals only.
    pub fn new(quiet: bool) -> Self {
        let terminal = std::io::stderr().is_terminal();
        Self {
            last: (Instant::now(), Counts::default()),
            terminal,
            quiet: quiet && !terminal,
            drawn: Vec::new(),
            said: String::new(),
        }
    }

    /// Shows `counts`, with how many trades wait in Kafka, the latency in milliseconds and what the referee says.
    pub fn show(&mut self, counts: Counts, lag: u64, latency: Option<(f64, f64)>, score: &Score) {
        let (then, before) = self.last;
        let elapsed = then.elapsed().as_secs_f64();
        if self.quiet || elapsed < 1.0 {
            return;
        }
        self.last = (Instant::now(), counts);
        let rate = (counts.ticks - before.ticks) as f64 / elapsed;
        let latency = latency.map_or_else(|| "-".to_owned(), |(p50, _)| format!("{p50:.0} ms"));
        let mut lines = vec![format!(
            "{rate:>8.0} ticks/s {:>7} bars {:>8} predictions {:>8} outcomes  latency {latency:>7}  lag {lag:>6} {:>8} rows stored",
            counts.bars, counts.predictions, counts.outcomes, counts.rows_of_all
        )];
        if self.terminal {
            lines.extend(score.standings.iter().map(|(horizon, standing)| standing.text(*horizon)));
        } else if !score.standings.is_empty() {
            // In a file the same line again says nothing.
            let line = compact(score);
            if line != self.said {
                self.said.clone_from(&line);
                lines.push(line);
            }
        }
        self.draw(&[], lines);
    }

    /// Tells what has happened.
    pub fn tell(&mut self, events: &[String]) {
        if self.quiet || events.is_empty() {
            return;
        }
        let figures = if self.terminal { self.drawn.clone() } else { Vec::new() };
        self.draw(events, figures);
    }

    fn draw(&mut self, events: &[String], figures: Vec<String>) {
        // Nobody watches: that is no reason to stop.
        let _ = std::io::stderr().write_all(self.drawing(events, &figures).as_bytes());
        self.drawn = figures;
    }

    /// What is written: on a terminal the old figures go, and the new ones stand below the events. They are not wrapped, so
    /// that as many lines are drawn as there are.
    fn drawing(&self, events: &[String], figures: &[String]) -> String {
        let mut out = String::new();
        if !self.terminal {
            events.iter().chain(figures).for_each(|line| out += &format!("{line}\n"));
            return out;
        }
        if self.drawn.len() > 1 {
            out += &format!("\x1b[{}A", self.drawn.len() - 1);
        }
        out += "\r\x1b[J";
        events.iter().for_each(|line| out += &format!("{line}\n"));
        out + "\x1b[?7l" + &figures.join("\n") + "\x1b[?7h"
    }

    /// Leaves the last figures where they are.
    pub fn end(&self) {
        if self.terminal {
            eprintln!();
        }
    }
}

/// The standings in one line.
fn compact(score: &Score) -> String {
    let all = |figure: &dyn Fn(&Standing) -> String| score.standings.values().map(figure).collect::<Vec<_>>().join(" ");
    let hits: Vec<_> =
        score.standings.iter().map(|(horizon, s)| format!("at {horizon} {}, {}", s.hits(), s.state)).collect();
    format!(
        "  right {}; the optimum {}, frozen {}, best baseline {}",
        hits.join("; "),
        all(&|s| percent(s.optimum)),
        all(&|s| percent(s.frozen)),
        all(&|s| percent(s.best_baseline().1))
    )
}

#[cfg(test)]
mod tests {
    use super::*;

    fn lines(texts: &[&str]) -> Vec<String> {
        texts.iter().map(|text| (*text).to_owned()).collect()
    }

    #[test]
    fn figures_stay_below_what_happens() {
        let drawn = lines(&["a", "b", "c"]);
        let mut board = Board {
            last: (Instant::now(), Counts::default()),
            terminal: true,
            quiet: false,
            drawn,
            said: String::new(),
        };
        let drawing = board.drawing(&lines(&["flip"]), &lines(&["d", "e"]));
        assert_eq!(drawing, "\x1b[2A\r\x1b[Jflip\n\x1b[?7ld\ne\x1b[?7h", "up to the first of three lines");
        board.terminal = false;
        assert_eq!(board.drawing(&lines(&["flip"]), &lines(&["d"])), "flip\nd\n", "no control codes in a file");
    }
}
