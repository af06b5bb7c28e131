//! What a frame shows, in windows of every size.

use std::time::Duration;

use ratatui::Terminal;
use ratatui::backend::TestBackend;
use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};
use tunnel_engine::clock;

use super::super::feed::FeedAnswer;
use super::*;
use crate::cli::render::example::{example, now};

fn press(app: &mut App, keys: &str) {
    for c in keys.chars() {
        let code = if c == '\n' { KeyCode::Enter } else { KeyCode::Char(c) };
        app.on_key(KeyEvent::new(code, KeyModifiers::NONE));
    }
}

fn shown(app: &mut App, width: u16, height: u16) -> String {
    shown_in(app, width, height, false)
}

fn shown_in(app: &mut App, width: u16, height: u16, ascii: bool) -> String {
    let mut terminal = Terminal::new(TestBackend::new(width, height)).unwrap();
    let context = ViewContext { now: clock::now(), wall: now(), style: ColourChoice::Colour, ascii };
    terminal.draw(|frame| draw(frame, app, context)).unwrap();
    terminal.backend().to_string()
}

#[test]
fn the_list_shows_states_causes_and_keys() {
    let text = shown(&mut App::new(example(), clock::now()), 100, 24);
    for part in [
        "1 of 5 ready",
        "> blocked-one",
        "auth_rejected: `b:22` took none of our keys",
        "web-db",
        "next start in 12s",
        "q quit",
    ] {
        assert!(text.contains(part), "{part} in\n{text}");
    }
}

#[test]
fn rates_and_trends_are_those_of_the_answers() {
    let start = clock::now();
    let mut app = App::new(example(), start);
    for second in 1..5 {
        let mut status = example();
        status.tunnels[0].forwards[0].bytes_in = 1 + second * 2048;
        app.on_answer(FeedAnswer::Status(Ok(status)), start + Duration::from_secs(second));
    }
    let text = shown(&mut app, 120, 24);
    let line = text.lines().find(|line| line.contains("web-db")).unwrap();
    assert!(line.contains("2.0 KiB") && line.contains("████"), "{text}");
    let text = shown_in(&mut app, 120, 24, true);
    assert!(text.is_ascii() && text.contains("####"), "{text}");
}

#[test]
fn selected_tunnel_stays_in_a_small_window() {
    let mut app = App::new(example(), clock::now());
    for _ in 0..6 {
        let selected = app.selected.clone().unwrap();
        let text = shown(&mut app, 40, 6);
        assert!(text.contains(&format!("> {selected}")), "{selected} in\n{text}");
        press(&mut app, "j");
    }
}

#[test]
fn no_window_is_too_small() {
    for keys in ["", "\n", "l", "?", "/x", "r"] {
        for (width, height) in [(1, 1), (2, 3), (20, 5), (5, 40), (300, 2), (80, 24)] {
            let mut app = App::new(example(), clock::now());
            press(&mut app, keys);
            shown(&mut app, width, height);
            app.on_answer(FeedAnswer::Status(Err("no tunneld answers on `/run/x`".into())), clock::now());
            shown(&mut app, width, height);
        }
    }
    let mut empty = App::new(Status { tunnels: vec![], ..example() }, clock::now());
    shown(&mut empty, 20, 5);
}

#[test]
fn a_question_is_asked_in_the_last_line() {
    let mut app = App::new(example(), clock::now());
    press(&mut app, "x");
    let text = shown(&mut app, 80, 10);
    assert!(text.contains("stop blocked-one? y: yes"), "{text}");
}

#[test]
fn details_tell_all_about_the_selected_one() {
    let mut app = App::new(example(), clock::now());
    press(&mut app, "/web\n\n");
    let text = shown(&mut app, 100, 30);
    assert!(text.contains("mlkem768x25519-sha256 (post-quantum)") && text.contains("last minute"), "{text}");
}
