//! What keys and answers change.

use std::time::Duration;

use ratatui::crossterm::event::KeyModifiers;
use tunnel_engine::clock;

use super::*;
use crate::cli::render::example::example;
use crate::protocol::Request;

fn app() -> App {
    App::new(example(), clock::now())
}

fn press(app: &mut App, text: &str) -> AppEffect {
    let mut last = AppEffect::None;
    for c in text.chars() {
        let code = match c {
            '\n' => KeyCode::Enter,
            '\u{1b}' => KeyCode::Esc,
            c => KeyCode::Char(c),
        };
        last = app.on_key(KeyEvent::new(code, KeyModifiers::NONE));
    }
    last
}

fn names(app: &App) -> Vec<&str> {
    app.tunnels().iter().map(|tunnel| tunnel.name.as_str()).collect()
}

fn order(request: Request, done: &str) -> AppEffect {
    AppEffect::Ask(FeedRequest::Order { order: request, done: done.to_owned() })
}

#[test]
fn what_is_not_ready_is_first_and_selected() {
    let app = app();
    assert_eq!(names(&app), ["blocked-one", "b", "c", "by-hand", "web-db", "off"]);
    assert_eq!(app.selected.as_deref(), Some("blocked-one"));
}

#[test]
fn the_selection_follows_the_tunnel_and_not_the_row() {
    let mut app = app();
    press(&mut app, "j");
    assert_eq!(app.selected.as_deref(), Some("b"));
    let mut status = example();
    status.tunnels.retain(|tunnel| tunnel.name != "blocked-one");
    app.on_answer(FeedAnswer::Status(Ok(status.clone())), clock::now());
    assert_eq!(app.selected.as_deref(), Some("b"));
    status.tunnels.retain(|tunnel| tunnel.name != "b");
    app.on_answer(FeedAnswer::Status(Ok(status)), clock::now());
    assert_eq!(app.selected.as_deref(), Some("c"), "one that has gone gives way");
}

#[test]
fn a_selection_stays_within_the_list() {
    let mut app = app();
    press(&mut app, "G");
    assert_eq!(app.selected.as_deref(), Some("off"));
    press(&mut app, "jjj");
    assert_eq!(app.selected.as_deref(), Some("off"));
    press(&mut app, "g");
    press(&mut app, "k");
    assert_eq!(app.selected.as_deref(), Some("blocked-one"));
}

#[test]
fn stop_and_restart_are_confirmed_and_start_is_not() {
    let mut app = app();
    assert_eq!(press(&mut app, "r"), AppEffect::None);
    let restart = Request::Restart { names: vec!["blocked-one".into()] };
    assert_eq!(press(&mut app, "y"), order(restart, "blocked-one: asked to restart"));
    assert_eq!(press(&mut app, "xn"), AppEffect::None, "any other key means no");
    assert_eq!(press(&mut app, "y"), AppEffect::None, "and the question is over");
    let start = Request::Start { names: vec!["blocked-one".into()] };
    assert_eq!(press(&mut app, "s"), order(start, "blocked-one: asked to start"));
}

#[test]
fn a_filter_is_by_name_server_or_state() {
    let mut app = app();
    press(&mut app, "/WEB\n");
    assert_eq!(names(&app), ["web-db"]);
    assert_eq!(app.selected.as_deref(), Some("web-db"));
    press(&mut app, "\u{1b}");
    assert_eq!(names(&app).len(), 6, "Esc forgets it");
    press(&mut app, "/backoff\n");
    assert_eq!(names(&app), ["b"]);
    press(&mut app, "/zzz\n");
    assert_eq!((names(&app).len(), app.selected.clone()), (0, None));
    assert_eq!(press(&mut app, "ry"), AppEffect::None, "nothing is selected");
}

#[test]
fn keys_that_are_typed_into_the_filter_do_nothing_else() {
    let mut app = app();
    assert_eq!(press(&mut app, "/qrx"), AppEffect::None);
    assert_eq!(app.filter, "qrx");
}

#[test]
fn every_way_out_quits() {
    assert_eq!(press(&mut app(), "q"), AppEffect::Quit);
    assert_eq!(press(&mut app(), "\u{1b}"), AppEffect::Quit);
    let interrupt = KeyEvent::new(KeyCode::Char('c'), KeyModifiers::CONTROL);
    assert_eq!(app().on_key(interrupt), AppEffect::Quit);
    let mut asked = app();
    press(&mut asked, "/");
    assert_eq!(asked.on_key(interrupt), AppEffect::Quit);
}

#[test]
fn page_asks_for_its_data_and_esc_leaves_it() {
    let mut app = app();
    assert_eq!(press(&mut app, "\n"), AppEffect::Ask(FeedRequest::About("blocked-one".into())));
    assert_eq!(app.page, Page::Details);
    let again = app.on_answer(FeedAnswer::Status(Ok(example())), clock::now());
    assert_eq!(again, AppEffect::Ask(FeedRequest::About("blocked-one".into())), "and again with each answer");
    assert_eq!(press(&mut app, "\u{1b}"), AppEffect::None);
    assert_eq!(app.page, Page::List);
}

#[test]
fn lost_daemon_is_shown_until_it_is_back() {
    let mut app = app();
    app.on_answer(FeedAnswer::Status(Err("no tunneld answers".into())), clock::now());
    assert_eq!(app.trouble.as_deref(), Some("no tunneld answers"));
    assert_eq!(names(&app).len(), 6, "the last answer stays");
    app.on_answer(FeedAnswer::Status(Ok(example())), clock::now() + Duration::from_secs(1));
    assert_eq!(app.trouble, None);
}
