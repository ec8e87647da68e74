//! The loss curve as SVG, by hand: two axes, a line, dots. Text stays text, so that the picture can be searched and diffed.

use super::history::History;
use std::fmt::Write;

const WIDTH: f64 = 760.0;
const HEIGHT: f64 = 360.0;
/// Room for labels: left, right, top, bottom.
const MARGIN: [f64; 4] = [58.0, 16.0, 30.0, 44.0];
/// Most points of a line; more are averaged.
const POINTS: usize = 600;

/// A range of values and where it lies on the page.
struct Axis {
    low: f64,
    high: f64,
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        self.from + (value - self.low) / (self.high - self.low).max(f64::MIN_POSITIVE) * (self.to - self.from)
    }

    /// Round values, about `count` of them.
    fn ticks(&self, count: f64) -> Vec<f64> {
        let raw = (self.high - self.low).max(1e-9) / count;
        let magnitude = 10f64.powf(raw.log10().floor());
        let factors = [1.0, 2.0, 5.0, 10.0];
        let factor = factors.into_iter().find(|f| f * magnitude >= raw).unwrap_or(10.0);
        let step = factor * magnitude;
        let first = (self.low / step).ceil() as i64;
        (first..).map(|i| i as f64 * step).take_while(|tick| *tick <= self.high + step * 1e-6).collect()
    }
}

/// Training and validation loss over steps.
pub(super) fn losses(history: &History) -> String {
    let line = averaged(&history.steps.iter().map(|s| (s.step as f64, s.loss)).collect::<Vec<_>>());
    let dots: Vec<(f64, f64)> = history.validations.iter().map(|v| (v.step as f64, v.loss)).collect();
    let all = || line.iter().chain(&dots);
    let range = |value: fn(&(f64, f64)) -> f64| {
        all().map(value).fold((f64::MAX, f64::MIN), |(low, high), v| (low.min(v), high.max(v)))
    };
    let ((x0, x1), (y0, y1)) = (range(|p| p.0), range(|p| p.1));
    let pad = (y1 - y0).max(1e-3) * 0.05;
    let [left, right, top, bottom] = MARGIN;
    let x = Axis { low: x0.min(0.0), high: x1, from: left, to: WIDTH - right };
    let y = Axis { low: y0 - pad, high: y1 + pad, from: HEIGHT - bottom, to: top };
    let mut svg = format!(
        "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" font-family=\"sans-serif\" font-size=\"12\">\n<title>Loss over steps</title>\n<rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"#fff\"/>\n"
    );
    axes(&mut svg, &x, &y);
    let points = |points: &[(f64, f64)]| -> Vec<String> {
        points.iter().map(|(a, b)| format!("{:.1},{:.1}", x.at(*a), y.at(*b))).collect()
    };
    put(
        &mut svg,
        &format!(
            "<polyline fill=\"none\" stroke=\"#3b6ea5\" stroke-width=\"1.5\" points=\"{}\"/>",
            points(&line).join(" ")
        ),
    );
    for (a, b) in &dots {
        put(
            &mut svg,
            &format!("<circle cx=\"{:.1}\" cy=\"{:.1}\" r=\"3.5\" fill=\"#c4501b\"/>", x.at(*a), y.at(*b)),
        );
    }
    put(&mut svg, &format!("<text x=\"{left}\" y=\"18\" fill=\"#3b6ea5\">training</text>"));
    put(&mut svg, &format!("<text x=\"{}\" y=\"18\" fill=\"#c4501b\">validation</text>", left + 64.0));
    svg.push_str("</svg>\n");
    svg
}

fn put(svg: &mut String, element: &str) {
    writeln!(svg, "{element}").expect("a string takes all that is written");
}

fn axes(svg: &mut String, x: &Axis, y: &Axis) {
    for tick in y.ticks(6.0) {
        let at = y.at(tick);
        put(
            svg,
            &format!(
                "<line x1=\"{}\" x2=\"{}\" y1=\"{at:.1}\" y2=\"{at:.1}\" stroke=\"#ddd\"/>",
                x.from, x.to
            ),
        );
        put(
            svg,
            &format!(
                "<text x=\"{}\" y=\"{:.1}\" text-anchor=\"end\">{}</text>",
                x.from - 6.0,
                at + 4.0,
                label(tick)
            ),
        );
    }
    for tick in x.ticks(8.0) {
        let at = x.at(tick);
        put(
            svg,
            &format!(
                "<text x=\"{at:.1}\" y=\"{}\" text-anchor=\"middle\">{}</text>",
                y.from + 16.0,
                label(tick)
            ),
        );
    }
    put(
        svg,
        &format!("<path d=\"M{} {}V{}H{}\" fill=\"none\" stroke=\"#333\"/>", x.from, y.to, y.from, x.to),
    );
    put(svg, &format!("<text x=\"{}\" y=\"{}\" text-anchor=\"end\">step</text>", x.to, y.from + 34.0));
    put(svg, &format!("<text x=\"{}\" y=\"18\" text-anchor=\"end\">nats per token</text>", x.to));
}

/// Without needless digits.
fn label(value: f64) -> String {
    let text = format!("{value:.3}");
    text.trim_end_matches('0').trim_end_matches('.').to_owned()
}

/// The same curve with at most [`POINTS`] points, each the mean of equally many.
fn averaged(points: &[(f64, f64)]) -> Vec<(f64, f64)> {
    let size = points.len().div_ceil(POINTS).max(1);
    let mean = |bucket: &[(f64, f64)]| {
        let n = bucket.len() as f64;
        (bucket.iter().map(|p| p.0).sum::<f64>() / n, bucket.iter().map(|p| p.1).sum::<f64>() / n)
    };
    points.chunks(size).map(mean).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn ticks_are_round_and_inside() {
        let axis = |low, high| Axis { low, high, from: 0.0, to: 100.0 };
        assert_eq!(axis(0.0, 100.0).ticks(5.0), [0.0, 20.0, 40.0, 60.0, 80.0, 100.0]);
        assert_eq!(axis(3.9, 4.45).ticks(6.0).first().copied().map(label), Some("3.9".to_owned()));
        assert!(axis(2.0, 2.0).ticks(5.0).len() < 10, "a flat curve has an axis too");
        assert_eq!([1000.0, 0.25, 2.0].map(label), ["1000", "0.25", "2"]);
    }

    #[test]
    fn long_curves_are_averaged_and_keep_their_mean() {
        let points: Vec<(f64, f64)> = (0..3001).map(|i| (f64::from(i), f64::from(i % 7))).collect();
        let short = averaged(&points);
        assert!(short.len() <= POINTS && short[0] == (2.5, 2.5), "{} {:?}", short.len(), short[0]);
        assert_eq!(averaged(&points[..10]), points[..10]);
    }
}
