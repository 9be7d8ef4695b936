//! Figures of the kinds that papers need, from made-up data: checked for overlapping and clipped text, and for equal bytes.
//!
//! Set `ONSAGER_GALLERY` to a folder to have them written there for looking at.

use super::figure::Detail;
use super::grid::grid;
use super::images::{ImageRow, ImageSpec, Samples};
use super::paper::{self, Drawing, text_width};
use super::plot::{Frames, Plot};
use crate::tables::frame::tests::csv;
use onsager_numerics::random::Streams;
use std::path::PathBuf;

/// The value of an attribute of an element.
fn attribute<'a>(element: &'a str, name: &str) -> Option<&'a str> {
    element.split_once(&format!(" {name}=\""))?.1.split('"').next()
}

fn number(element: &str, name: &str) -> f64 {
    attribute(element, name).unwrap().trim_end_matches("pt").parse().unwrap()
}

/// The points of the elements with this name.
fn points(svg: &str, name: &str) -> Vec<Vec<(i32, i32)>> {
    let elements = svg.split('<').filter(|element| element.starts_with(name));
    let point = |pair: &str| {
        let (x, y) = pair.split_once(',').unwrap();
        (x.parse().unwrap(), y.parse().unwrap())
    };
    elements
        .map(|element| attribute(element, "points").unwrap().split_whitespace().map(point).collect())
        .collect()
}

/// The texts of an SVG in DejaVu Sans, with the boxes around them: left, top, right, bottom.
fn texts(svg: &str) -> Vec<(String, [f64; 4])> {
    let elements = svg.split('<').filter(|element| element.starts_with("text "));
    let text = |element: &str| {
        let (head, body) = element.split_once('>').unwrap();
        let body = body.trim().replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&");
        let (x, y, size) = (number(head, "x"), number(head, "y"), number(head, "font-size"));
        assert_eq!(attribute(head, "dy"), Some("0.76em"));
        let width = text_width(&body, size, head.contains("font-weight=\"bold\""));
        let start = match attribute(head, "text-anchor").unwrap() {
            "start" => 0.0,
            "middle" => -0.5 * width,
            _ => -width,
        };
        let bounds = if head.contains("rotate(270") {
            [x, y - start - width, x + size, y - start]
        } else {
            [x + start, y, x + start + width, y + size]
        };
        (body, bounds)
    };
    elements.map(text).collect()
}

/// Checks a page, and writes it for looking at when asked to. Gives its SVG.
fn check(name: &str, drawing: &dyn Drawing) -> String {
    let svg = paper::svg(drawing).unwrap();
    let page = attribute(&svg, "viewBox").unwrap();
    let size: Vec<f64> = page.split(' ').skip(2).map(|length| length.parse().unwrap()).collect();
    // Units of the page per point.
    let unit = size[0] / number(&svg, "width");
    let texts = texts(&svg);
    for (i, (text, bounds)) in texts.iter().enumerate() {
        let [left, top, right, bottom] = *bounds;
        let slack = 0.5 * unit;
        let inside = left >= -slack && top >= -slack && right <= size[0] + slack && bottom <= size[1] + slack;
        assert!(inside, "{name}: `{text}` leaves the page: {bounds:?} of {size:?}");
        for (other, [l, t, r, b]) in &texts[i + 1..] {
            let apart = *l >= right || *r <= left || t + unit >= bottom || b - unit <= top;
            assert!(apart, "{name}: `{text}` and `{other}` overlap");
        }
    }
    assert_eq!(svg, paper::svg(drawing).unwrap());
    let pdf = paper::pdf(drawing).unwrap();
    assert_eq!(pdf, paper::pdf(drawing).unwrap());
    if let Ok(folder) = std::env::var("ONSAGER_GALLERY") {
        let folder = PathBuf::from(folder);
        std::fs::create_dir_all(&folder).unwrap();
        std::fs::write(folder.join(format!("{name}.svg")), &svg).unwrap();
        std::fs::write(folder.join(format!("{name}.pdf")), &pdf).unwrap();
        std::fs::write(folder.join(format!("{name}.png")), paper::png(drawing, 150.0).unwrap()).unwrap();
    }
    svg
}

fn plot(json: serde_json::Value) -> Plot {
    serde_json::from_value(json).unwrap()
}

fn draw(name: &str, frames: &Frames, json: serde_json::Value) -> String {
    check(name, &plot(json).figure(frames).unwrap().layout().unwrap())
}

/// −ln P against action: a panel per system, with the fitted and the predicted line.
#[test]
fn the_law() {
    let mut noise = Streams::new(1, "gallery").stream(0);
    let (mut points, mut fit) = (
        String::from("system,action,neg_ln_p,lower,upper\n"),
        String::from("system,slope,intercept,predicted\n"),
    );
    for (k, system) in ["free", "constant-force", "harmonic", "quartic", "morse"].iter().enumerate() {
        for _ in 0..100 {
            let action = 2.0 + 11.0 * noise.uniform() * (1.0 + k as f64);
            let (p, half) = (3.1 + 0.49 * action + 0.1 * noise.normal(), 0.02 * action);
            points.push_str(&format!("{system},{action},{p},{},{}\n", p - half, p + half));
        }
        fit.push_str(&format!("{system},0.49,3.1,0.5\n"));
    }
    let frames = Frames::from([("points".into(), csv(&points)), ("fit".into(), csv(&fit))]);
    draw(
        "law",
        &frames,
        serde_json::json!({
            "panel": "system",
            "x": {"label": "Action A (units of m σ²/δt)"},
            "y": {"label": "−ln P"},
            "names": {"free": "Free particle", "constant-force": "Constant force", "harmonic": "Harmonic", "quartic": "Quartic", "morse": "Morse"},
            "marks": [
                {"mark": "points", "input": "points", "x": "action", "y": "neg_ln_p", "lower": "lower", "upper": "upper", "label": "counted, with 95% intervals"},
                {"mark": "rule", "input": "fit", "slope": "slope", "intercept": "intercept", "label": "fitted line", "colour": "vermillion", "line": "solid"},
                {"mark": "rule", "input": "fit", "slope": "predicted", "intercept": "intercept", "label": "predicted slope 1/(2mD)"},
            ],
        }),
    );
}

/// γ against 1/D at one column's width, with intervals and the reference slope.
#[test]
fn gamma() {
    let mut text = String::from("system,diffusion,gamma,gamma_lower,gamma_upper\n");
    for (k, system) in ["free", "harmonic", "quartic"].iter().enumerate() {
        for d in [0.25, 0.5, 1.0, 2.0, 4.0] {
            let gamma = 0.5 / d * (1.0 - 0.03 * k as f64);
            text.push_str(&format!("{system},{d},{gamma},{},{}\n", gamma * 0.93, gamma * 1.07));
        }
    }
    let json = serde_json::json!({
        "width": 85,
        "x": {"label": "1/D (δt/σ²)", "min": 0},
        "y": {"label": "γ", "min": 0},
        "names": {"free": "free", "harmonic": "harmonic", "quartic": "quartic"},
        "marks": [
            {"mark": "rule", "slope": 0.5, "label": "1/(2mD)"},
            {"mark": "points", "input": "fit", "x": "1/diffusion", "y": "gamma", "lower": "gamma_lower", "upper": "gamma_upper", "series": "system"},
        ],
    });
    let frames = Frames::from([("fit".into(), csv(&text))]);
    draw("gamma", &frames, json.clone());
    let mut right = json;
    right["legend"] = "right".into();
    right["width"] = 120.into();
    right["x"] = serde_json::json!({"label": "1/D", "scale": "log"});
    right["y"] = serde_json::json!({"label": "γ", "scale": "log"});
    draw("gamma-log", &frames, right);
}

/// Loss curves on a log scale, smoothed over their raw values.
#[test]
fn losses() {
    let mut noise = Streams::new(2, "gallery").stream(0);
    let mut text = String::from("k,lambda,step,loss\n");
    for (k, lambda, floor) in [(1, 0.0, 0.04), (2, 0.01, 0.05), (4, 0.01, 0.052), (4, 0.1, 0.07)] {
        for step in (0..4000).step_by(10) {
            let loss = (floor + 0.9 * libm::exp(-f64::from(step) / 250.0)) * libm::exp(0.12 * noise.normal());
            text.push_str(&format!("{k},{lambda},{step},{loss}\n"));
        }
    }
    draw(
        "losses",
        &Frames::from([("loss".into(), csv(&text))]),
        serde_json::json!({
            "width": 130, "aspect": 0.55,
            "x": {"label": "Training step"},
            "y": {"label": "Loss per step of the path", "scale": "log"},
            "marks": [
                {"mark": "line", "input": "loss", "x": "step", "y": "loss", "series": ["k", "lambda"], "label": "K = {k}, λ = {lambda}", "smooth": 15},
            ],
        }),
    );
}

/// Quality against sampling steps, averaged over seeds: a panel per metric with its own range, and a band for the floor.
#[test]
fn quality() {
    let mut noise = Streams::new(3, "gallery").stream(0);
    let mut text = String::from("model,seed,steps,metric,value\n");
    for (model, gain) in [("ddpm", 1.0), ("path-action", 0.8), ("improved", 0.9)] {
        for (metric, size) in [("frechet_distance", 40.0), ("recall", 0.6), ("kernel_distance", 0.002)] {
            for steps in [5, 10, 20, 50, 100, 200] {
                for seed in 0..3 {
                    let value = size * (1.0 + gain * 20.0 / f64::from(steps)) * (1.0 + 0.06 * noise.normal());
                    text.push_str(&format!("{model},{seed},{steps},{metric},{value}\n"));
                }
            }
        }
    }
    draw(
        "quality",
        &Frames::from([("quality".into(), csv(&text))]),
        serde_json::json!({
            "panel": "metric",
            "x": {"label": "Sampling steps", "scale": "log"},
            "y": {"label": ""},
            "names": {"frechet_distance": "Fréchet distance (classifier features)", "kernel_distance": "Kernel distance on the features of the digit classifier", "recall": "Recall",
                "ddpm": "DDPM", "path-action": "least action (K = 4, λ = 0.01)", "improved": "improved DDPM"},
            "marks": [{"mark": "line-points", "input": "quality", "x": "steps", "y": "value", "series": "model", "average": true}],
        }),
    );
}

/// A comparison over categories, long names at a column's width, and a histogram with its reference.
#[test]
fn categories_and_histograms() {
    let rows = "model,fd,lower,upper\nreal against real,1,0.8,1.2\nDDPM,4.1,3.6,4.6\nleast action K = 4,3.9,3.5,4.3\nnoise,60,58,62\n";
    let frames = Frames::from([("q".into(), csv(rows))]);
    for (name, width) in [("categories", 120), ("categories-narrow", 60)] {
        draw(
            name,
            &frames,
            serde_json::json!({
                "width": width, "x": {"label": ""}, "y": {"label": "Fréchet distance", "scale": "log"},
                "marks": [{"mark": "points", "input": "q", "x": "model", "y": "fd", "lower": "lower", "upper": "upper"}],
            }),
        );
    }
    let rows = "model,estimator,g,lower,upper\nfree,counting,0.95,0.93,0.97\nfree,quadrature,0.996,0.995,0.997\n\
                harmonic,counting,0.93,0.90,0.96\nharmonic,quadrature,0.97,0.969,0.971\n";
    draw(
        "categories-series",
        &Frames::from([("q".into(), csv(rows))]),
        serde_json::json!({
            "width": 85, "x": {"label": ""}, "y": {"label": "γ · 2mD"},
            "marks": [
                {"mark": "rule", "y": 1, "label": "exact"},
                {"mark": "points", "input": "q", "x": "model", "y": "g", "lower": "lower", "upper": "upper", "series": "estimator"},
            ],
        }),
    );
    let mut noise = Streams::new(4, "gallery").stream(0);
    let mut text = String::from("action\n");
    for _ in 0..5000 {
        text.push_str(&format!("{}\n", (0..64).map(|_| noise.normal()).map(|z| z * z).sum::<f64>()));
    }
    let svg = draw(
        "histogram",
        &Frames::from([("paths".into(), csv(&text))]),
        serde_json::json!({
            "width": 85, "x": {"label": "2A of a sampled path"}, "y": {"label": "Probability density", "min": 0},
            "marks": [
                {"mark": "histogram", "input": "paths", "x": "action", "bins": 40, "label": "sampled paths"},
                {"mark": "rule", "x": 64, "label": "degrees of freedom", "colour": "black"},
            ],
        }),
    );
    // One area for all bars: two corners a bar, and the base.
    let corners: Vec<_> = points(&svg, "polygon").into_iter().map(|corners| corners.len()).collect();
    assert_eq!(corners, [2 * 40 + 1 + 2 + 2]);
    assert_eq!(svg.matches("<rect ").count(), 1 + 1, "the page, and the key in the legend");
}

/// A heatmap of numbers on logarithmic and linear axes, and one of categories with its values written in it.
#[test]
fn heatmaps() {
    let mut text = String::from("lr,width,loss\n");
    for (i, lr) in [1e-4, 3e-4, 1e-3, 3e-3, 1e-2, 3e-2].iter().enumerate() {
        for width in [16, 32, 64, 128, 256] {
            let far = (i as f64 - 2.6).powi(2) + (f64::from(width) / 100.0 - 1.1).powi(2);
            if (i, width) != (5, 256) {
                text.push_str(&format!("{lr},{width},{}\n", 0.02 + 0.06 * far));
            }
        }
    }
    let frames = Frames::from([("sweep".into(), csv(&text))]);
    let svg = draw(
        "heatmap",
        &frames,
        serde_json::json!({
            "width": 100, "x": {"label": "Learning rate", "scale": "log"}, "y": {"label": "Width", "scale": "log"},
            "colours": {"label": "Validation loss", "scale": "log"},
            "marks": [{"mark": "heatmap", "input": "sweep", "x": "lr", "y": "width", "value": "loss"}],
        }),
    );
    // The page, 29 cells, and 128 steps of the bar.
    assert_eq!(svg.matches("<rect ").count(), 1 + 29 + 128);
    let rows = "model,metric,value\nDDPM,recall,0.52\nDDPM,precision,0.7134\nleast action,recall,0.61\nleast action,precision,\n\
                flow matching,recall,0.45\nflow matching,precision,0.83\n";
    let svg = draw(
        "heatmap-categories",
        &Frames::from([("q".into(), csv(rows))]),
        serde_json::json!({
            "width": 85, "aspect": 0.5, "x": {"label": ""}, "y": {"label": ""}, "names": {"metric": {"recall": "Recall"}},
            "colours": {"min": 0, "max": 1},
            "marks": [
                {"mark": "heatmap", "input": "q", "x": "metric", "y": "model", "value": "value"},
                {"mark": "text", "input": "q", "x": "metric", "y": "model", "text": "{value}", "where": {"value": [0.52, 0.7134, 0.61, 0.45, 0.83]}},
            ],
        }),
    );
    let written: Vec<String> = texts(&svg).into_iter().map(|(text, _)| text).collect();
    for text in ["0.713", "0.520", "Recall", "precision", "DDPM", "flow matching"] {
        assert!(written.iter().any(|other| other == text), "{text}: {written:?}");
    }
    let top = |name: &str| texts(&svg).iter().find(|(text, _)| text == name).unwrap().1[1];
    assert!(top("DDPM") < top("least action") && top("least action") < top("flow matching"));
    let twice = format!("{rows}DDPM,recall,0.5\n");
    let mark =
        serde_json::json!({"mark": "heatmap", "input": "q", "x": "metric", "y": "model", "value": "value"});
    let error = plot(serde_json::json!({"marks": [mark]})).figure(&Frames::from([("q".into(), csv(&twice))]));
    assert!(
        error
            .unwrap_err()
            .to_string()
            .starts_with("a heatmap has one cell for each `metric` and `model`, but two rows")
    );
}

/// Boxes over categories, a series beside another, and over numbers.
#[test]
fn boxes() {
    let mut noise = Streams::new(6, "gallery").stream(0);
    let mut text = String::from("model,steps,sampler,fd\n");
    for (k, model) in ["DDPM", "least action", "flow"].iter().enumerate() {
        for (s, sampler) in ["ancestral", "DDIM"].iter().enumerate() {
            for i in 0..40 {
                let fd = 4.0 + k as f64 + 0.7 * s as f64 + (1.0 + 0.3 * k as f64) * noise.normal();
                text.push_str(&format!(
                    "{model},{},{sampler},{}\n",
                    10 * (i % 4) + 10,
                    if i == 7 { fd + 7.0 } else { fd }
                ));
            }
        }
    }
    let frames = Frames::from([("q".into(), csv(&text))]);
    let json = |x: &str, series: serde_json::Value| {
        serde_json::json!({
            "width": 100, "x": {"label": ""}, "y": {"label": "Fréchet distance"},
            "marks": [{"mark": "box", "input": "q", "x": x, "y": "fd", "series": series}],
        })
    };
    draw("boxes", &frames, json("model", "sampler".into()));
    draw("boxes-numbers", &frames, json("steps", serde_json::Value::Null));
    // Of 1 … 5 and 20: quartiles 2.25, 3.5 and 4.75, so what is beyond 8.5 is an outlier.
    let frames = Frames::from([("q".into(), csv("g,y\na,1\na,2\na,3\na,4\na,5\na,20\na,nan\na,\n"))]);
    let mark = serde_json::json!({"mark": "box", "input": "q", "x": "g", "y": "y"});
    let figure = plot(serde_json::json!({"marks": [mark]})).figure(&frames).unwrap();
    let layer = &figure.panels[0].layers[0];
    let Detail::Boxes(boxes) = &layer.detail else { panic!("{layer:?}") };
    assert_eq!((layer.data[0].y, boxes[0].lower, boxes[0].upper), (3.5, 2.25, 4.75));
    assert_eq!((boxes[0].whiskers, &boxes[0].outliers[..]), ((1.0, 5.0), &[20.0][..]));
}

/// Numbers over time.
#[test]
fn times() {
    let mut text = String::from("at,load\n");
    for hour in 0..48 {
        text.push_str(&format!(
            "2024-02-{:02}T{:02}:00:00Z,{}\n",
            28 + hour / 24,
            hour % 24,
            libm::sin(f64::from(hour) / 7.0)
        ));
    }
    let mark = serde_json::json!({"mark": "line", "input": "q", "x": "at", "y": "load"});
    let frames = Frames::from([("q".into(), csv(&text))]);
    let svg = draw(
        "times",
        &frames,
        serde_json::json!({"width": 120, "aspect": 0.4, "x": {"label": "Time"}, "marks": [mark]}),
    );
    assert!(texts(&svg).iter().any(|(text, _)| text == "02-29 00:00"), "{:?}", texts(&svg));
}

/// A panel without a name tells its column; a name may be for one column.
#[test]
fn panels_tell_their_parameter() {
    let frames = Frames::from([("q".into(), csv("d,s,x,y\n0.5,1,1,1\n1,1,2,2\n"))]);
    let mark = serde_json::json!({"mark": "points", "input": "q", "x": "x", "y": "y", "series": "s"});
    let titles = |names: serde_json::Value| {
        let figure =
            plot(serde_json::json!({"panel": "d", "names": names, "marks": [mark]})).figure(&frames)?;
        let label = figure.panels[1].layers[0].label.clone().unwrap_or_default();
        Ok::<_, crate::error::ReportError>((
            figure.panels.into_iter().map(|panel| panel.title).collect::<Vec<_>>(),
            label,
        ))
    };
    let none = titles(serde_json::json!({})).unwrap();
    assert_eq!(none, (vec!["d = 0.5".into(), "d = 1".into()], "1".into()));
    let one = titles(serde_json::json!({"d": {"1": "D = 1"}})).unwrap();
    assert_eq!(one, (vec!["d = 0.5".into(), "D = 1".into()], "1".into()));
    let error = titles(serde_json::json!({"1": "one"})).unwrap_err().to_string();
    assert_eq!(
        error,
        "`s` and `d` hold `1`, so it is not clear which `names.1` is for; write `names: {s: {1: …}}`"
    );
}

#[test]
fn grids_of_images_and_points() {
    let mut noise = Streams::new(5, "gallery").stream(0);
    let mut image = |k: usize| -> Vec<f32> {
        let (cx, cy) = (3.5 + 1.5 * noise.normal() as f32, 3.5 + noise.normal() as f32);
        let disc =
            |p: usize| ((p % 8) as f32 - cx).powi(2) + ((p / 8) as f32 - cy).powi(2) * (1.0 + 0.1 * k as f32);
        (0..64).map(|p| 2.0 * (-0.2 * disc(p)).exp() - 1.0).collect()
    };
    let mut samples = |label: &str, n: usize| Samples {
        label: label.into(),
        shape: vec![n, 1, 8, 8],
        x: (0..n).flat_map(&mut image).collect(),
        y: Some((0..n as u32).map(|i| i % 10).rev().collect()),
    };
    let row = |lines: usize| ImageRow {
        input: "x".into(),
        filter: Default::default(),
        label: String::new(),
        lines,
        start: 0,
        by_class: true,
    };
    let spec = ImageSpec { rows: vec![], columns: 20, points: 2000 };
    let sources = [
        (row(2), samples("real digits", 60)),
        (row(2), samples("DDPM", 60)),
        (row(2), samples("least action, K = 4 and λ = 0.01", 60)),
    ];
    check("images", &grid(&spec, &sources, 170.0, Some("Real and generated digits")).unwrap());

    let mut roll = |label: &str, width: f64| Samples {
        label: label.into(),
        shape: vec![2000, 2],
        x: (0..2000)
            .flat_map(|_| {
                let t = 4.7 * (1.0 + 2.0 * noise.uniform());
                [
                    (t * libm::cos(t) + width * noise.normal()) as f32 / 6.9,
                    (t * libm::sin(t) + width * noise.normal()) as f32 / 6.9,
                ]
            })
            .collect(),
        y: None,
    };
    let sources = [(row(1), roll("data", 0.5)), (row(1), roll("h = 0", 0.9)), (row(1), roll("h = 1", 0.6))];
    check("points", &grid(&spec, &sources, 170.0, None).unwrap());
}

/// Bands, steps and every kind of dashes, all longer than the axes; and names of categories too long for their places.
#[test]
fn nothing_leaves_its_panel() {
    let mut text = String::from("x,y,lower,upper,z\n");
    for i in 0..60 {
        let (x, y) = (0.2 * f64::from(i), libm::sin(0.2 * f64::from(i)));
        text.push_str(&format!("{x},{y},{},{},{}\n", y - 0.5, y + 0.7, f64::from(i % 7) - 3.0));
    }
    let frames = Frames::from([("q".into(), csv(&text))]);
    let mark = |mark: &str, rest: serde_json::Value| {
        let mut whole = serde_json::json!({"mark": mark, "input": "q", "x": "x", "y": "y"});
        whole.as_object_mut().unwrap().extend(rest.as_object().unwrap().clone());
        whole
    };
    let svg = draw(
        "clipped",
        &frames,
        serde_json::json!({
            "width": 120, "x": {"label": "x", "min": 1, "max": 10}, "y": {"label": "y", "min": -0.8, "max": 0.9},
            "marks": [
                mark("band", serde_json::json!({"lower": "lower", "upper": "upper", "label": "band"})),
                mark("steps", serde_json::json!({"y": "z", "label": "steps", "line": "dotted"})),
                mark("line", serde_json::json!({"label": "dash-dotted", "line": "dash-dotted", "colour": "black"})),
                mark("line-points", serde_json::json!({"label": "points", "marker": "cross", "y": "0.8*y", "line": "dashed"})),
                {"mark": "rule", "y": 0.25, "line": "dotted", "label": "rule"},
            ],
        }),
    );
    let band = &points(&svg, "polygon")[0];
    // Half of a marker on the edge of a panel is beyond it.
    let slack = 50;
    let (left, right) = (band.iter().map(|p| p.0 - slack).min(), band.iter().map(|p| p.0 + slack).max());
    let (top, bottom) = (band.iter().map(|p| p.1 - slack).min(), band.iter().map(|p| p.1 + slack).max());
    // The axes have the colour of ink and stay; data have other colours.
    let data = svg.split('<').filter(|part| part.starts_with("polyline") && !part.contains("#222222"));
    for (x, y) in data.flat_map(|part| points(&format!("<{part}"), "polyline")).flatten() {
        let legend = Some(y) > bottom;
        let inside = left <= Some(x) && Some(x) <= right && top <= Some(y);
        assert!(legend || inside, "({x}, {y}) is outside {left:?} to {right:?}, {top:?} to {bottom:?}");
    }
    let rows = "model,fd\nunconditional-denoising,1\nleast-action-regularised,4.1\ninterpolation-of-both,2\nnoise,3\n";
    let frames = Frames::from([("q".into(), csv(rows))]);
    let mark = serde_json::json!({"mark": "points", "input": "q", "x": "model", "y": "fd"});
    draw(
        "categories-upright",
        &frames,
        serde_json::json!({"width": 60, "x": {"label": "model"}, "marks": [mark]}),
    );
}

/// On a log scale the bar of an interval that reaches below zero ends where the axis does.
#[test]
fn an_interval_to_below_zero_on_a_log_scale() {
    let upright = |lower: f64| {
        let frames =
            Frames::from([("q".into(), csv(&format!("x,y,lower,upper\n1,2,1.5,2.5\n2,2,{lower},3\n")))]);
        let mark = serde_json::json!({"mark": "points", "input": "q", "x": "x", "y": "y", "lower": "lower", "upper": "upper"});
        let y = serde_json::json!({"scale": "log", "min": 1, "max": 4});
        let svg = draw("interval-below-zero", &frames, serde_json::json!({"y": y, "marks": [mark]}));
        let mut lines = points(&svg, "polyline");
        lines.retain(|ends| ends.len() == 2 && ends[0].0 == ends[1].0);
        lines
    };
    let to_the_edge = upright(1.0);
    assert_eq!(upright(-1.0), to_the_edge);
    assert_eq!(upright(0.0), to_the_edge);
    assert_ne!(upright(1.5), to_the_edge);
}

#[test]
fn what_cannot_be_drawn_says_why() {
    let frames = Frames::from([("points".into(), csv("x,y,name\n1,-2,a\n"))]);
    let error = |json: serde_json::Value| match plot(json).figure(&frames) {
        Ok(figure) => figure.layout().map(|_| ()).unwrap_err().to_string(),
        Err(error) => error.to_string(),
    };
    let mark = |input: &str, y: &str| serde_json::json!({"mark": "points", "input": input, "x": "x", "y": y});
    assert_eq!(
        error(serde_json::json!({"marks": [mark("pionts", "y")]})),
        "no input `pionts`; the inputs are `points`; did you mean `points`?"
    );
    assert_eq!(
        error(serde_json::json!({"marks": [mark("points", "z")]})),
        "no column `z` in input `points`; it has `x`, `y` and `name`"
    );
    assert_eq!(
        error(serde_json::json!({"panel": "nam", "marks": [mark("points", "y")]})),
        "no column `nam` in input `points`; it has `x`, `y` and `name`; did you mean `name`?"
    );
    assert_eq!(
        error(serde_json::json!({"marks": [mark("points", "name")]})),
        "column `name` holds the text `a` where numbers are needed"
    );
    assert_eq!(
        error(serde_json::json!({"y": {"scale": "log"}, "marks": [mark("points", "y")]})),
        "the y axis is logarithmic but has the value -2; use a linear scale, or filter it out with `where`"
    );
    assert_eq!(
        error(
            serde_json::json!({"marks": [{"mark": "points", "input": "points", "x": "x", "y": "y", "where": {"x": 7}}]})
        ),
        "no row of input `points` passes `where`: `x` is never `7`; it is `1`"
    );
    let axis = |axis: &str, spec: serde_json::Value| {
        error(serde_json::json!({axis: spec, "marks": [mark("points", "y")]}))
    };
    let high = axis("y", serde_json::json!({"min": 3}));
    assert!(
        high.starts_with("the y axis would run from 3 to -1.") && high.contains("set `min` below"),
        "{high}"
    );
    let low = axis("x", serde_json::json!({"max": 0.1, "scale": "log"}));
    assert!(low.contains("to 0.1") && low.contains("set `max` above"), "{low}");
    assert!(axis("x", serde_json::json!({"min": 2, "max": 2})).contains("from 2 to 2"));
    assert_eq!(
        axis("y", serde_json::json!({"min": 0.5, "max": 3})),
        "nothing to draw: every point is below `min` of the y axis, 0.5, the nearest at -2; change `min`, or leave it out"
    );
    assert_eq!(
        axis("x", serde_json::json!({"min": 0, "scale": "log"})),
        "the x axis is logarithmic, so `min` must be above 0, but it is 0; raise it, or leave it out"
    );
}
