//! A frame of the live screen: what the app knows, as lines that fit. Pure.

use std::time::{Instant, SystemTime};

use ratatui::Frame;
use ratatui::layout::Rect;
use ratatui::style::{Color, Modifier, Style as CellStyle};
use ratatui::text::{Line, Text};
use ratatui::widgets::Paragraph;

use super::app::{App, Page, Prompt};
use super::keys::HELP;
use super::trend::{self, Trend};
use crate::cli::render::{
    ColourChoice, Column, GridRow, Keep, OutputStyle, Tone, bytes, cause, details, fit, forwards, grid_lines, log_line,
    printable, rtt, short, shortage, since, summary, tone, word,
};
use crate::protocol::status::{Status, TunnelStatus};

/// Bars of a terminal that has no others, from the least to the most.
const ASCII_BARS: &[u8; 8] = b"_.-:=+*#";

/// Answers that a trend of the list shows.
const BARS: usize = 8;

#[derive(Debug, Clone, Copy)]
pub(super) struct ViewContext {
    pub(super) now: Instant,
    pub(super) wall: SystemTime,
    pub(super) style: ColourChoice,
    /// The terminal takes no other characters.
    pub(super) ascii: bool,
}

/// Draws everything; what did not change costs nothing on the way to the terminal.
pub(super) fn draw(frame: &mut Frame<'_>, app: &mut App, context: ViewContext) {
    let area = frame.area();
    let rows = usize::from(area.height);
    let width = usize::from(area.width);
    let head = head(app, context);
    // A small window keeps the list and what is asked of the user.
    let body_rows = rows.saturating_sub(2).max(1);
    app.height = body_rows;
    let body = body(app, width, body_rows, context);
    line_at(frame, 0, Line::styled(fit(&printable(&head.0), width), styled(head.1, context.style)));
    for (at, line) in (1..).zip(body) {
        line_at(frame, at, line);
    }
    if rows > 2 {
        let foot = fit(&printable(&foot(app)), width);
        line_at(frame, rows - 1, Line::styled(foot, CellStyle::new().add_modifier(Modifier::BOLD)));
    }
    if context.ascii {
        frame.buffer_mut().content.iter_mut().filter(|cell| !cell.symbol().is_ascii()).for_each(|cell| {
            let bar = cell.symbol().chars().next().and_then(trend::height);
            cell.set_char(bar.map_or('?', |height| char::from(ASCII_BARS[height])));
        });
    }
}

fn line_at(frame: &mut Frame<'_>, row: usize, line: Line<'_>) {
    let area = frame.area();
    let Ok(row) = u16::try_from(row) else { return };
    if row < area.height {
        frame.render_widget(Paragraph::new(Text::from(line)), Rect { y: area.y + row, height: 1, ..area });
    }
}

fn head(app: &App, context: ViewContext) -> (String, Tone) {
    if let Some(trouble) = &app.trouble {
        let age = context.now.saturating_duration_since(app.answered);
        return (format!("{trouble}; what is shown is {} old, and it is asked again", short(age)), Tone::Bad);
    }
    if let Some(shortage) = shortage(&app.status) {
        return (shortage, Tone::Bad);
    }
    let all: Vec<&TunnelStatus> = app.status.tunnels.iter().collect();
    let counts = summary(&all).unwrap_or_default();
    let filter = if app.filter.is_empty() { String::new() } else { format!("  [/{}]", app.filter) };
    (format!("tunneld {} (pid {}){filter}  {counts}", app.status.version, app.status.pid), Tone::Neutral)
}

fn foot(app: &App) -> String {
    match &app.prompt {
        Prompt::Confirm { order, name } => return format!("{} {name}? y: yes, any other key: no", order.verb()),
        Prompt::Filter => return format!("/{}_  (Enter: keep it, Esc: all tunnels)", app.filter),
        Prompt::None => {}
    }
    if let Some(notice) = &app.notice {
        return notice.clone();
    }
    match app.page {
        Page::List => "q quit  ? help  Enter details  l log  / filter  r restart  x stop  s start".to_owned(),
        Page::Details | Page::Log => "Esc back  up/down scroll  r restart  x stop  s start  q quit".to_owned(),
        Page::Help => "Esc back  q quit".to_owned(),
    }
}

fn body(app: &mut App, width: usize, rows: usize, context: ViewContext) -> Vec<Line<'static>> {
    let lines = match app.page {
        Page::List => return list(app, width, rows, context),
        Page::Details => of_selected(app, |tunnel| about(app, tunnel, width, context)),
        Page::Log => of_selected(app, |tunnel| log(app, tunnel, width)),
        Page::Help => HELP.to_owned(),
    };
    let lines: Vec<&str> = lines.lines().collect();
    app.top = app.top.min(lines.len().saturating_sub(rows));
    lines.iter().skip(app.top).take(rows).map(|line| Line::raw(fit(line, width))).collect()
}

fn of_selected(app: &App, text: impl Fn(&TunnelStatus) -> String) -> String {
    let selected = app.status.tunnels.iter().find(|tunnel| app.selected.as_ref() == Some(&tunnel.name));
    selected.map_or_else(|| "this tunnel is no longer there".to_owned(), text)
}

fn about(app: &App, tunnel: &TunnelStatus, width: usize, context: ViewContext) -> String {
    let output = OutputStyle { width: Some(width), style: ColourChoice::Plain };
    let one = Status { tunnels: vec![tunnel.clone()], ..app.status.clone() };
    let mut text = details(&one, &app.histories, context.wall, output);
    if let Some(trend) = app.trends.get(&tunnel.name) {
        let room = width.saturating_sub(16);
        text += &format!(
            "  last minute\n    round trip  {}\n    bytes       {}\n",
            trend.rtt_bars(room),
            trend.bytes_bars(room)
        );
    }
    text
}

fn log(app: &App, tunnel: &TunnelStatus, width: usize) -> String {
    if app.log.is_empty() {
        return format!("nothing was logged about {} lately", tunnel.name);
    }
    let output = OutputStyle { width: Some(width), style: ColourChoice::Plain };
    // The newest first: it is what a reader who opens the page looks for.
    app.log.iter().rev().map(|line| log_line(line, 0, output)).collect()
}

const COLUMNS: [Column; 10] = [
    Column { title: "  NAME", right: false, keep: Keep::Flexible },
    Column { title: "STATE", right: false, keep: Keep::Always },
    Column { title: "SINCE", right: true, keep: Keep::Until(2) },
    Column { title: "FORWARDS", right: true, keep: Keep::Until(1) },
    Column { title: "CONNS", right: true, keep: Keep::Until(3) },
    Column { title: "RTT", right: true, keep: Keep::Until(4) },
    Column { title: "", right: true, keep: Keep::Until(8) },
    Column { title: "IN/s", right: true, keep: Keep::Until(5) },
    Column { title: "OUT/s", right: true, keep: Keep::Until(6) },
    Column { title: "", right: true, keep: Keep::Until(7) },
];

fn list(app: &mut App, width: usize, rows: usize, context: ViewContext) -> Vec<Line<'static>> {
    let tunnels = app.tunnels();
    let selected = tunnels.iter().position(|tunnel| app.selected.as_ref() == Some(&tunnel.name)).unwrap_or(0);
    let nothing = Trend::default();
    let grid_rows: Vec<GridRow> = tunnels
        .iter()
        .enumerate()
        .map(|(at, tunnel)| row(tunnel, app.trends.get(&tunnel.name).unwrap_or(&nothing), at == selected, context.wall))
        .collect();
    let (header, lines) = grid_lines(&COLUMNS, &grid_rows, Some(width));
    let mut text: Vec<Line<'static>> = Vec::new();
    let mut place = (0, 0);
    for (at, (line, row)) in lines.into_iter().zip(&grid_rows).enumerate() {
        let first = text.len();
        let mut style = styled(row.tone, context.style);
        if at == selected {
            style = style.add_modifier(Modifier::REVERSED);
        }
        text.push(Line::styled(line, style));
        // One line: the pages have the rest.
        text.extend(row.below.first().map(|below| Line::raw(fit(&format!("    {}", printable(below)), width))));
        if at == selected {
            place = (first, text.len());
        }
    }
    if text.is_empty() {
        text.push(Line::raw(fit("  no tunnel fits the filter", width)));
    }
    let room = rows.saturating_sub(1).max(1);
    let top = top(app.top, place, room).min(text.len().saturating_sub(room));
    app.top = top;
    let header = Line::styled(header, CellStyle::new().add_modifier(Modifier::BOLD));
    std::iter::once(header).filter(|_| rows > 1).chain(text.into_iter().skip(top).take(room)).collect()
}

/// The first line that is shown, so that those from `first` to before `end` are; moved as little as can be.
fn top(top: usize, (first, end): (usize, usize), room: usize) -> usize {
    top.max(end.saturating_sub(room)).min(first)
}

fn row(tunnel: &TunnelStatus, trend: &Trend, selected: bool, now: SystemTime) -> GridRow {
    let (to, from) = match trend.rates() {
        Some((to, from)) => (rate(to), rate(from)),
        None => ("-".to_owned(), "-".to_owned()),
    };
    let mark = if selected { '>' } else { ' ' };
    let cells = vec![
        format!("{mark} {}", tunnel.name),
        word(tunnel).to_owned(),
        since(tunnel.told_since(), now).map_or_else(|| "-".to_owned(), short),
        forwards(tunnel),
        tunnel.forwards.iter().map(|forward| forward.active).sum::<u64>().to_string(),
        rtt(tunnel),
        trend.rtt_bars(BARS),
        to,
        from,
        trend.bytes_bars(BARS),
    ];
    GridRow { cells, tone: tone(tunnel), below: brief(tunnel) }
}

/// The cause and what happens next, in one line.
fn brief(tunnel: &TunnelStatus) -> Vec<String> {
    let lines: Vec<String> = cause(tunnel).into_iter().filter(|line| !line.starts_with("hint: ")).collect();
    if lines.is_empty() { lines } else { vec![lines.join("; ")] }
}

#[expect(
    clippy::cast_possible_truncation,
    clippy::cast_sign_loss,
    reason = "a rate is not negative, and shown in three digits"
)]
fn rate(bytes_a_second: f64) -> String {
    bytes(bytes_a_second.round() as u64)
}

fn styled(tone: Tone, style: ColourChoice) -> CellStyle {
    match (style, tone) {
        (ColourChoice::Plain, _) | (_, Tone::Neutral) => CellStyle::new(),
        (ColourChoice::Colour, Tone::Good) => CellStyle::new().fg(Color::Green),
        (ColourChoice::Colour, Tone::Warning) => CellStyle::new().fg(Color::Yellow),
        (ColourChoice::Colour, Tone::Bad) => CellStyle::new().fg(Color::Red),
    }
}

#[cfg(test)]
mod tests;
