//! A generated market whose rule flips: the referee asks for a retrain within the delay that its detector's theory predicts,
//! and for none before. The reference model, the forecaster, the settler and the judge in a row, without Kafka.

use tickcast::config;
use tickcast::flow::evidence::Evidence;
use tickcast::flow::market::{HORIZONS, Market, MarketSpec, Regime, Schedule, frozen, known};
use tickcast::flow::outcome::Settled;
use tickcast::flow::retrain::{Flight, Request};
use tickcast::flow::said::Said;
use tickcast::flow::tick::Record;
use tickcast::flow::time::{Interval, Micros};
use tickcast::flow::trigger::{Cusum, Held};
use tickcast::machine::forecaster::{Champion, Cycle, Forecaster, Position, Verdict};
use tickcast::machine::judge::{Judge, Judged, Settings};
use tickcast::machine::settler::{self, Settler};
use tickcast::service::{forecast, judge};

use crate::support;

/// 2024-08-09T00:00:00Z.
const START: Micros = 1_723_161_600_000_000;
const SYMBOLS: u32 = 6;
/// The model speaks from bar 319 on, the reference takes 200 cohorts of one bar (`judge.baseline_n`), and nothing is wrong
/// for another 180.
const FLIP: u64 = 700;
const BARS: u64 = 900;

/// The roles in a row, as they stand in a process with one partition.
struct Line<'a> {
    champion: &'a mut Champion,
    forecaster: Forecaster,
    settler: Settler,
    judge: Judge,
    cycle: Cycle,
    flight: Flight,
    /// Records of each topic so far: offsets.
    ticks: i64,
    predictions: i64,
    outcomes: i64,
    requests: Vec<Request>,
    alarms: usize,
}

impl<'a> Line<'a> {
    fn new(config: &config::Config, settings: Settings, champion: &'a mut Champion) -> Self {
        Self {
            forecaster: Forecaster::new(forecast::rules(config).unwrap(), champion),
            settler: Settler::new(0, config.fees.bps, 1_000_000),
            judge: Judge::new(settings),
            champion,
            cycle: Cycle::default(),
            flight: Flight::default(),
            ticks: 0,
            predictions: 0,
            outcomes: 0,
            requests: Vec::new(),
            alarms: 0,
        }
    }

    fn apply(&mut self, record: &Record<'_>, time: Micros) {
        let at = Position { offset: self.ticks, kafka_time: time };
        assert_eq!(self.forecaster.apply(at, record), Verdict::Used);
        self.ticks += 1;
        while let Some(end) = self.forecaster.next_cycle() {
            self.forecaster.close(end, self.champion, &mut self.cycle);
            assert!(self.cycle.problems.is_empty(), "{:?}", self.cycle.problems);
            let mut settled = Vec::new();
            for prediction in &self.cycle.predictions {
                let verdict = self.settler.apply(self.predictions, &Said::from(prediction), &mut settled);
                assert_eq!(verdict, settler::Verdict::Used);
                self.predictions += 1;
            }
            settled.iter().for_each(|settled| self.judge(settled));
        }
    }

    fn judge(&mut self, settled: &Settled) {
        match settled {
            Settled::Outcome(outcome) => drop(self.judge.apply(self.outcomes, &Evidence::from(outcome))),
            Settled::Progress(passage) => self.judge.progress(passage),
            Settled::Left(passage) => self.judge.left(passage),
        }
        self.outcomes += 1;
        let mut judged = Vec::new();
        while self.judge.close(&mut judged) {}
        for judged in judged {
            let Judged::Alarm { subject, alarm, at, evidence } = judged else { continue };
            self.alarms += 1;
            match self.judge.request(&subject, alarm, at, *evidence, &self.flight) {
                Ok(request) => {
                    assert!(self.flight.requested(&request.id));
                    self.requests.push(request);
                }
                Err(held) => assert_eq!(held, Held::RequestOpen),
            }
        }
    }
}

fn run<'a>(config: &config::Config, settings: &Settings, champion: &'a mut Champion, spec: &MarketSpec) -> Line<'a> {
    let mut line = Line::new(config, settings.clone(), champion);
    for tick in Market::new(spec) {
        line.apply(&Record::Trade(tick.trade()), tick.event_time);
    }
    let end = spec.open_of(BARS);
    line.apply(&Record::Watermark(end), end);
    line
}

/// Bars from a flip to the alarm that the detector's theory expects, for the horizon that is quickest, given what the
/// alarm says of its own reference.
fn predicted(request: &Request, settings: &Settings) -> f64 {
    let (reference, deviation) = (request.alarm.reference.unwrap(), request.alarm.deviation.unwrap());
    let horizon = HORIZONS.iter().position(|&h| h as u32 == request.subject.horizon).unwrap();
    let hit_rate = frozen(Regime::TREND, Regime::REVERSAL, known(Regime::REVERSAL)[horizon]);
    let trigger = &settings.trigger;
    let cusum = Cusum::new(reference, deviation, trigger.drop, trigger.in_control, 0);
    cusum.expected_delay(hit_rate) * f64::from(request.subject.horizon)
}

/// Ten seeds, the default detector. The prediction is a mean: with a threshold of 22 deviations and a drift of 0.8 a cohort a
/// delay deviates by a quarter of it (sqrt(threshold) / drift^1.5), so twice the mean is four deviations away, and the mean of
/// ten stays within a quarter with three. A bar more is for the one in which the flip falls. Before the flip nothing may be
/// requested: the threshold is made for one false alarm in 10,000 cohorts, and ten seeds have some 2,000.
#[test]
fn a_retrain_is_requested_after_the_flip_within_the_predicted_delay_and_never_before() {
    if support::server("ORT_DYLIB_PATH").is_none() {
        return;
    }
    let config = config::load(None, &[]).unwrap();
    let mut champion = forecast::champion(&config).unwrap();
    let settings = judge::settings(&config, 1, &[champion.spec()]).unwrap();
    let (mut delays, mut predictions) = (0.0, 0.0);
    for seed in 1..=10 {
        let spec = MarketSpec {
            symbols: SYMBOLS,
            interval: Interval::from_seconds(10).unwrap(),
            start: START,
            bars: Some(BARS),
            seed,
            ticks_per_bar: 1.0,
            schedule: Schedule::flipping(&[FLIP]).unwrap(),
            correlation: 0.0,
        };
        let flip = spec.open_of(FLIP);
        let line = run(&config, &settings, &mut champion, &spec);
        let [request] = &line.requests[..] else { panic!("seed {seed}: {:?}", line.requests) };
        let bars = (request.as_of - flip) as f64 / spec.interval.micros() as f64;
        let expected = predicted(request, &settings);
        eprintln!(
            "seed {seed}: requested {bars} bars after the flip by horizon {}, {expected:.1} predicted, {} alarms; {}",
            request.subject.horizon, line.alarms, request.alarm.reason
        );
        assert!(bars > 0.0, "seed {seed}: requested before the flip: {request:?}");
        assert!(bars <= 2.0 * expected + 1.0, "seed {seed}: {bars} bars, {expected} were predicted: {request:?}");
        (delays, predictions) = (delays + bars, predictions + expected);
        // Where it thinks the change was: data from before is cut off.
        let change = request.alarm.change_point.unwrap();
        assert!(
            (change - flip).abs() <= 40 * spec.interval.micros(),
            "seed {seed}: change point {change}, flip {flip}"
        );
    }
    assert!(delays <= 1.25 * predictions, "{delays} bars in ten runs, {predictions} were predicted");
}
