//! How `top` looks: the run on two lines, its tasks, below them the log and the curves of the chosen one, and the keys.

use crate::cli::top::keys;
use crate::cli::top::state::Top;
use crate::run::account::Standing;
use crate::run::requests::Asked;
use crate::run::watched::{Row, STATES};
use crate::store::curves::Point;
use crate::store::tail::shown;
use crate::words::{count, duration};
use ratatui::Frame;
use ratatui::layout::{Constraint, Layout, Rect};
use ratatui::style::{Color, Modifier, Style};
use ratatui::text::{Line, Span};
use ratatui::widgets::{Block, Borders, Cell, LineGauge, Paragraph, Row as TableRow, Sparkline, Table};

/// From this width on the curves are beside the log.
const WIDE: u16 = 110;
/// The lines of a curve, with its name.
const CURVE: u16 = 3;

pub fn draw(frame: &mut Frame, top: &mut Top, colours: bool) {
    let [head, gauge, main, foot] = Layout::vertical([
        Constraint::Length(1),
        Constraint::Length(1),
        Constraint::Min(3),
        Constraint::Length(1),
    ])
    .areas(frame.area());
    frame.render_widget(title(top, colours), head);
    draw_overall(frame, top, gauge, colours);
    if top.log_alone {
        top.fits = usize::from(main.height.saturating_sub(1));
        draw_log(frame, top, main);
    } else {
        let rows = u16::try_from(top.names.len() + 2).unwrap_or(u16::MAX);
        let most = main.height * 55 / 100;
        let [list, below] =
            Layout::vertical([Constraint::Length(rows.clamp(4, most.max(4))), Constraint::Fill(1)])
                .areas(main);
        draw_tasks(frame, top, list, colours);
        draw_chosen(frame, top, below, colours);
    }
    frame.render_widget(Paragraph::new(last_line(top)), foot);
}

fn bold() -> Style {
    Style::new().add_modifier(Modifier::BOLD)
}

fn in_colour(colour: Color, colours: bool) -> Style {
    if colours { Style::new().fg(colour) } else { Style::new() }
}

fn title(top: &Top, colours: bool) -> Paragraph<'static> {
    let account = &top.watched.account;
    let state = top.watched.state();
    let colour = match state {
        "running" => Color::Cyan,
        "done" => Color::Green,
        _ => Color::Red,
    };
    Paragraph::new(Line::from(vec![
        Span::styled(shown(&account.pipeline), bold()),
        Span::raw("  "),
        Span::styled(state, in_colour(colour, colours).add_modifier(Modifier::BOLD)),
        Span::raw(format!("  {}  on {}", account.run, shown(&account.host))),
    ]))
}

fn draw_overall(frame: &mut Frame, top: &Top, area: Rect, colours: bool) {
    let (done, total) = top.watched.progress();
    let mut text = format!(
        "{} of {} tasks  {}",
        count(done as u64),
        count(total as u64),
        duration(top.watched.seconds())
    );
    if let Some(left) = top.watched.left() {
        text += &format!("  about {} left", duration(left.round()));
    }
    let failed = top.watched.count(Standing::Failed);
    if failed > 0 {
        text += &format!("  {failed} failed");
    }
    let ratio = if total == 0 { 0.0 } else { done as f64 / total as f64 };
    let gauge = LineGauge::default().label(text + "  ").ratio(ratio.clamp(0.0, 1.0));
    frame.render_widget(gauge.filled_style(in_colour(Color::Green, colours)), area);
}

fn draw_tasks(frame: &mut Frame, top: &mut Top, area: Rect, colours: bool) {
    let height = usize::from(area.height.saturating_sub(1));
    top.fits = height;
    let at = top.at();
    // The chosen one is in view, in the middle where the list is longer.
    let first = at.saturating_sub(height / 2).min(top.names.len().saturating_sub(height));
    let listed = top.listed.map_or("all", |listed| STATES[listed].0);
    let head = format!("tasks: {listed} ({})", count(top.names.len() as u64));
    let (mut names, mut texts) = (width(&head), 0);
    let rows: Vec<TableRow> = top.names[first..]
        .iter()
        .take(height)
        .enumerate()
        .filter_map(|(row, name)| {
            let task = top.watched.task(name)?;
            let text = words(&task);
            (names, texts) = (names.max(width(name)), texts.max(width(&text)));
            let style =
                if first + row == at { Style::new().add_modifier(Modifier::REVERSED) } else { Style::new() };
            Some(cells(&task, text, colours).style(style))
        })
        .collect();
    // The names have what the texts leave, and half of the room at least.
    let room = area.width.saturating_sub(2 * 10 + 11 + 4);
    let widths = [
        Constraint::Length(11),
        Constraint::Length(names.min(room.saturating_sub(texts).max(room / 2))),
        Constraint::Length(10),
        Constraint::Fill(1),
        Constraint::Length(10),
    ];
    let header =
        TableRow::new(["state".to_owned(), head, String::new(), String::new(), format!("{:>10}", "time")]);
    frame.render_widget(Table::new(rows, widths).header(header.style(bold())).column_spacing(1), area);
}

/// The columns that a text takes.
fn width(text: &str) -> u16 {
    u16::try_from(Line::from(text).width()).unwrap_or(u16::MAX)
}

fn cells(row: &Row, text: String, colours: bool) -> TableRow<'static> {
    let standing = row.task.standing;
    let colour = match standing {
        Standing::Running => Color::Cyan,
        Standing::Executed | Standing::Cached => Color::Green,
        Standing::Failed => Color::Red,
        Standing::Retrying | Standing::Interrupted | Standing::Left => Color::Yellow,
        _ => Color::Reset,
    };
    let time = row.seconds.map(duration).unwrap_or_default();
    TableRow::new([
        Cell::from(standing.name()).style(in_colour(colour, colours)),
        Cell::from(shown(row.name)),
        Cell::from(bar(row)),
        Cell::from(text),
        Cell::from(format!("{time:>10}")),
    ])
}

/// Ten characters.
fn bar(row: &Row) -> String {
    match &row.task.progress {
        Some((done, total, _)) if row.task.standing == Standing::Running && *total > 0 => {
            let full = (*done as f64 / *total as f64 * 10.0).clamp(0.0, 10.0) as usize;
            format!("{}{}", "━".repeat(full), "╌".repeat(10 - full))
        }
        _ => String::new(),
    }
}

/// How far it is, or why it is where it is.
fn words(row: &Row) -> String {
    if row.task.standing != Standing::Running {
        return row.message().map(shown).unwrap_or_default();
    }
    let mut words = Vec::new();
    if let Some((done, total, unit)) = &row.task.progress {
        words.push(format!("{}/{} {}", count(*done), count(*total), shown(unit)));
    }
    if let Some(rate) = row.rate {
        words.push(if rate < 10.0 { format!("{rate:.1}/s") } else { format!("{}/s", count(rate as u64)) });
    }
    if let Some(left) = row.left {
        words.push(format!("{} left", duration(left.round())));
    }
    words.join(" ")
}

/// The log and the curves of the chosen task.
fn draw_chosen(frame: &mut Frame, top: &Top, area: Rect, colours: bool) {
    if top.curves.0.is_empty() {
        return draw_log(frame, top, area);
    }
    let (curves, log) = if area.width >= WIDE {
        let [curves, log] = Layout::horizontal([Constraint::Percentage(45), Constraint::Fill(1)]).areas(area);
        (curves, log)
    } else {
        let lines = (top.curves.0.len() as u16 * CURVE + 1).min(area.height * 3 / 5);
        let [curves, log] = Layout::vertical([Constraint::Length(lines), Constraint::Fill(1)]).areas(area);
        (curves, log)
    };
    draw_curves(frame, top, curves, colours);
    draw_log(frame, top, log);
}

fn draw_curves(frame: &mut Frame, top: &Top, area: Rect, colours: bool) {
    let block = Block::new().borders(Borders::TOP).title("curves");
    let inner = block.inner(area);
    frame.render_widget(block, area);
    let fit = usize::from(inner.height / CURVE);
    for (at, (name, points)) in top.curves.0.iter().take(fit).enumerate() {
        let y = inner.y + at as u16 * CURVE;
        let Some(last) = points.last() else { continue };
        let line = format!("{} {} at step {}", shown(name), short(last.value), count(last.step));
        frame.render_widget(Paragraph::new(line), Rect { y, height: 1, ..inner });
        let chart = Rect { y: y + 1, height: CURVE - 1, ..inner };
        let levels = levels(points, usize::from(chart.width), u64::from(chart.height) * 8);
        let spark = Sparkline::default().data(levels).max(u64::from(chart.height) * 8);
        frame.render_widget(spark.style(in_colour(Color::Cyan, colours)), chart);
    }
}

fn short(value: f64) -> String {
    match value.abs() {
        size if value == 0.0 || (1e-3..1e5).contains(&size) => format!("{value:.4}"),
        _ => format!("{value:.3e}"),
    }
}

/// The heights of as many columns: the means of the points that fall into each, from the least to the greatest of them.
fn levels(points: &[Point], columns: usize, highest: u64) -> Vec<u64> {
    let finite: Vec<f64> = points.iter().map(|point| point.value).filter(|value| value.is_finite()).collect();
    if finite.is_empty() || columns == 0 {
        return Vec::new();
    }
    let shown = columns.min(finite.len());
    let means: Vec<f64> = (0..shown)
        .map(|at| {
            let part = &finite[at * finite.len() / shown..(at + 1) * finite.len() / shown];
            part.iter().sum::<f64>() / part.len() as f64
        })
        .collect();
    let (least, greatest) =
        means.iter().fold((f64::INFINITY, f64::NEG_INFINITY), |(a, b), v| (a.min(*v), b.max(*v)));
    let span = greatest - least;
    // The least is seen, too.
    let level = |value: &f64| {
        if span > 0.0 { 1 + ((value - least) / span * (highest - 1) as f64) as u64 } else { highest / 2 }
    };
    means.iter().map(level).collect()
}

fn draw_log(frame: &mut Frame, top: &Top, area: Rect) {
    let name = top.chosen.as_deref().map(shown).unwrap_or_default();
    let block = Block::new().borders(Borders::TOP).title(format!("log of {name}"));
    let height = usize::from(block.inner(area).height);
    let end = top.log.len().saturating_sub(top.scrolled).max(height.min(top.log.len()));
    let lines: Vec<Line> =
        top.log[end.saturating_sub(height)..end].iter().map(|line| Line::raw(line.as_str())).collect();
    let text = if lines.is_empty() { vec![Line::raw("(nothing)")] } else { lines };
    frame.render_widget(Paragraph::new(text).block(block), area);
}

fn last_line(top: &Top) -> String {
    match &top.question {
        Some(Asked::Cancel { task }) => {
            format!("cancel {}? It saves a checkpoint and stops. (y/n)", shown(task))
        }
        Some(Asked::Retry { task }) => {
            format!("try {} again? What runs is ended by force. (y/n)", shown(task))
        }
        None if top.word.is_empty() => keys::HELP.to_owned(),
        None => format!("{}  ({})", shown(&top.word), keys::HELP),
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_curve_has_as_many_columns_as_fit() {
        let points = |values: &[f64]| -> Vec<Point> {
            values
                .iter()
                .enumerate()
                .map(|(at, value)| Point { step: at as u64, value: *value, at: 0 })
                .collect()
        };
        assert_eq!(levels(&points(&[0.0, 1.0, 2.0, 3.0]), 4, 16), [1, 6, 11, 16]);
        assert_eq!(levels(&points(&[0.0, 2.0, 4.0, 6.0]), 2, 16), [1, 16]);
        assert_eq!(levels(&points(&[5.0, f64::NAN]), 8, 16), [8]);
        assert!(levels(&points(&[f64::NAN]), 8, 16).is_empty());
        assert_eq!([0.0, 0.25, 1e-9, -1.5e7].map(short), ["0.0000", "0.2500", "1.000e-9", "-1.500e7"]);
    }
}
