//! A picture of latency against offered rate: SVG, both axes logarithmic, a colour for each server, its median as a whole
//! line and its p99 as a dashed one.

use std::fmt::Write;

const WIDTH: f64 = 960.0;
const HEIGHT: f64 = 600.0;
/// Room for the axes' labels and for the names on the right.
const LEFT: f64 = 80.0;
const RIGHT: f64 = 190.0;
const TOP: f64 = 50.0;
const BOTTOM: f64 = 60.0;

/// Colours that people who see few of them can tell apart, too (after Okabe and Ito), and grey.
const COLOURS: &[&str] =
    &["#d55e00", "#0072b2", "#009e73", "#cc79a7", "#e69f00", "#56b4e9", "#000000", "#8a7f00", "#777777"];

/// How long messages took at one rate.
#[derive(Clone, Copy, Debug)]
pub(crate) struct Point {
    /// Messages a second.
    pub(crate) rate: f64,
    /// Half of them took at most so long, in microseconds.
    pub(crate) p50: f64,
    /// 99 of 100 took at most so long, in microseconds.
    pub(crate) p99: f64,
}

/// The points of all servers, in the order of their rates.
#[derive(Default)]
pub(crate) struct Plot {
    servers: Vec<(&'static str, Vec<Point>)>,
}

/// A logarithmic axis.
struct Axis {
    least: f64,
    most: f64,
    /// Where on the page those are.
    from: f64,
    to: f64,
}

impl Axis {
    fn at(&self, value: f64) -> f64 {
        let share = (value / self.least).ln() / (self.most / self.least).ln();
        (self.to - self.from).mul_add(share, self.from)
    }
}

impl Plot {
    /// Adds a point of a server.
    pub(crate) fn add(&mut self, server: &'static str, point: Point) {
        if !(point.rate > 0.0 && point.p50 > 0.0 && point.p99 > 0.0) {
            return;
        }
        match self.servers.iter_mut().find(|(name, _)| *name == server) {
            Some((_, points)) => points.push(point),
            None => self.servers.push((server, vec![point])),
        }
    }

    /// Whether there is nothing to be seen.
    pub(crate) fn is_empty(&self) -> bool {
        self.servers.is_empty()
    }

    /// The picture; `below` stands under the title.
    pub(crate) fn svg(&self, below: &str) -> String {
        let points = || self.servers.iter().flat_map(|(_, points)| points);
        let rates = points().map(|point| point.rate);
        let times = points().flat_map(|point| [point.p50, point.p99]);
        let (least_rate, most_rate) = range(rates);
        let (least_time, most_time) = range(times);
        let across = Axis { least: least_rate / 1.15, most: most_rate * 1.15, from: LEFT, to: WIDTH - RIGHT };
        let decade = |time: f64, round: fn(f64) -> f64| 10_f64.powf(round(time.log10()));
        let up = Axis {
            least: decade(least_time, f64::floor),
            most: decade(most_time * 1.05, f64::ceil),
            from: HEIGHT - BOTTOM,
            to: TOP,
        };
        let mut svg = format!(
            "<svg xmlns=\"http://www.w3.org/2000/svg\" viewBox=\"0 0 {WIDTH} {HEIGHT}\" \
             font-family=\"sans-serif\" font-size=\"13\">\n\
             <rect width=\"{WIDTH}\" height=\"{HEIGHT}\" fill=\"white\"/>\n"
        );
        text(
            &mut svg,
            (LEFT, 22.0),
            "start",
            "Latency against offered rate: 100 pairs, QoS 1, from due to received",
        );
        text(&mut svg, (LEFT, 40.0), "start", &escaped(below));
        self.grid(&mut svg, &across, &up);
        let mut names = Vec::new();
        for ((server, points), colour) in self.servers.iter().zip(COLOURS.iter().cycle()) {
            for (figure, dash) in [((|point| point.p50) as fn(&Point) -> f64, ""), (|point| point.p99, "7 4")]
            {
                let place = |point: &Point| (across.at(point.rate), up.at(figure(point)));
                let path: Vec<String> =
                    points.iter().map(place).map(|(x, y)| format!("{x:.1},{y:.1}")).collect();
                let _ = writeln!(
                    svg,
                    "<polyline points=\"{}\" fill=\"none\" stroke=\"{colour}\" stroke-width=\"2\" \
                     stroke-dasharray=\"{dash}\"/>",
                    path.join(" ")
                );
                for (x, y) in points.iter().map(place) {
                    let _ = writeln!(svg, "<circle cx=\"{x:.1}\" cy=\"{y:.1}\" r=\"3\" fill=\"{colour}\"/>");
                }
            }
            names.push((*server, *colour));
        }
        legend(&mut svg, &names);
        svg.push_str("</svg>\n");
        svg
    }

    /// The axes: a line for each rate that was measured, and for each 1, 2 and 5 of a decade of microseconds.
    fn grid(&self, svg: &mut String, across: &Axis, up: &Axis) {
        let mut rates: Vec<f64> =
            self.servers.iter().flat_map(|(_, points)| points).map(|point| point.rate).collect();
        rates.sort_by(f64::total_cmp);
        rates.dedup();
        for rate in rates {
            let x = across.at(rate);
            line(svg, (x, up.from), (x, up.to), "#dddddd");
            text(svg, (x, up.from + 20.0), "middle", &short(rate));
        }
        let mut decade = up.least;
        while decade <= up.most * 1.001 {
            for step in [1.0, 2.0, 5.0] {
                let time = decade * step;
                if time <= up.most * 1.001 {
                    let y = up.at(time);
                    line(
                        svg,
                        (across.from, y),
                        (across.to, y),
                        if step > 1.0 { "#eeeeee" } else { "#bbbbbb" },
                    );
                    text(svg, (across.from - 8.0, y + 4.0), "end", &duration(time));
                }
            }
            decade *= 10.0;
        }
        line(svg, (across.from, up.from), (across.to, up.from), "black");
        line(svg, (across.from, up.from), (across.from, up.to), "black");
        let middle = f64::midpoint(across.from, across.to);
        text(svg, (middle, HEIGHT - 14.0), "middle", "messages offered a second");
        let (x, y) = (18.0, f64::midpoint(up.from, up.to));
        let _ = writeln!(
            svg,
            "<text x=\"{x}\" y=\"{y}\" text-anchor=\"middle\" transform=\"rotate(-90 {x} {y})\">latency</text>"
        );
    }
}

fn legend(svg: &mut String, names: &[(&str, &str)]) {
    let x = WIDTH - RIGHT + 20.0;
    let mut y = TOP + 10.0;
    for (name, colour) in names {
        line(svg, (x, y - 4.0), (x + 26.0, y - 4.0), colour);
        text(svg, (x + 34.0, y), "start", &escaped(name));
        y += 22.0;
    }
    for (dash, label) in [("", "median"), ("7 4", "p99")] {
        let _ = writeln!(
            svg,
            "<line x1=\"{x}\" y1=\"{0}\" x2=\"{1}\" y2=\"{0}\" stroke=\"black\" stroke-width=\"2\" \
             stroke-dasharray=\"{dash}\"/>",
            y + 6.0,
            x + 26.0
        );
        text(svg, (x + 34.0, y + 10.0), "start", label);
        y += 22.0;
    }
}

/// Least and most; 1 and 10 of nothing, so that there always is an axis.
fn range(values: impl Iterator<Item = f64>) -> (f64, f64) {
    let (least, most) =
        values.fold((f64::INFINITY, 0.0_f64), |(least, most), value| (least.min(value), most.max(value)));
    if least.is_finite() { (least, most) } else { (1.0, 10.0) }
}

fn line(svg: &mut String, from: (f64, f64), to: (f64, f64), colour: &str) {
    let ((x1, y1), (x2, y2)) = (from, to);
    let _ = writeln!(
        svg,
        "<line x1=\"{x1:.1}\" y1=\"{y1:.1}\" x2=\"{x2:.1}\" y2=\"{y2:.1}\" stroke=\"{colour}\"/>"
    );
}

fn text(svg: &mut String, (x, y): (f64, f64), anchor: &str, what: &str) {
    let _ = writeln!(svg, "<text x=\"{x:.1}\" y=\"{y:.1}\" text-anchor=\"{anchor}\">{what}</text>");
}

fn escaped(text: &str) -> String {
    text.replace('&', "&amp;").replace('<', "&lt;")
}

/// `5k` for 5,000.
fn short(rate: f64) -> String {
    if rate >= 1_000.0 { format!("{}k", rate / 1_000.0) } else { format!("{rate}") }
}

fn duration(microseconds: f64) -> String {
    match microseconds {
        time if time >= 1_000_000.0 => format!("{:.0} s", time / 1_000_000.0),
        time if time >= 1_000.0 => format!("{:.0} ms", time / 1_000.0),
        time => format!("{time:.0} us"),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn higher_and_later_points_stand_further_up_and_right() {
        let across = Axis { least: 1.0, most: 100.0, from: 0.0, to: 200.0 };
        assert!((across.at(10.0) - 100.0).abs() < 1e-9);
        let up = Axis { least: 1.0, most: 100.0, from: 200.0, to: 0.0 };
        assert!(up.at(50.0) < up.at(2.0));
    }

    #[test]
    fn a_picture_names_every_server_and_stays_on_the_page() {
        let mut plot = Plot::default();
        assert!(plot.is_empty());
        for rate in [1_000.0, 5_000.0, 200_000.0] {
            plot.add("windrose", Point { rate, p50: 30.0, p99: 90.0 });
            plot.add("other<", Point { rate, p50: 44.0, p99: 240_000.0 });
        }
        plot.add("failed", Point { rate: 1_000.0, p50: f64::NAN, p99: f64::NAN });
        let svg = plot.svg("a & b");
        assert!(svg.contains("windrose") && svg.contains("other&lt;") && svg.contains("a &amp; b"));
        assert!(
            svg.contains(">200k<")
                && svg.contains(">1 s<")
                && !svg.contains("NaN")
                && !svg.contains("failed")
        );
        assert_eq!(svg.matches("<polyline").count(), 4);
        assert!(!svg.contains("=\"-"), "{svg}");
    }
}
