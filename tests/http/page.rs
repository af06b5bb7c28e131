//! The page: its HTML, its stream of events, and itself in a real browser.

use std::io::{BufRead, BufReader, Write};
use std::net::{TcpListener, TcpStream};
use std::path::PathBuf;

use serde_json::{Value, json};
use support::browser::Browser;
use support::eventually;
use support::http::{get, request};
use support::net::{connect, free_port};
use support::patience::last;

use crate::{Served, nowhere};

fn address(served: &Served) -> String {
    format!("http://127.0.0.1:{}/", served.http)
}

/// A server that sends this to every client and answers nothing.
fn impostor(words: &'static str) -> u16 {
    let listener = TcpListener::bind("127.0.0.1:0").expect("a port");
    let port = listener.local_addr().expect("an address").port();
    std::thread::spawn(move || {
        for mut stream in listener.incoming().flatten() {
            let _ = stream.write_all(words.as_bytes());
        }
    });
    port
}

fn tunnel_to(name: &str, server: u16) -> String {
    let listen = free_port();
    format!(
        "[[tunnel]]\nname = \"{name}\"\nhost = \"127.0.0.1\"\nport = {server}\nuser = \"u\"\nlocal_forward = [\"{listen}:127.0.0.1:1\"]\n"
    )
}

/// The next event, without comments.
fn next_event(reader: &mut BufReader<TcpStream>) -> Value {
    loop {
        let mut line = String::new();
        reader.read_line(&mut line).expect("the stream goes on");
        if let Some(data) = line.strip_prefix("data: ") {
            return serde_json::from_str(data).expect("JSON");
        }
    }
}

fn follow(port: u16) -> BufReader<TcpStream> {
    let mut stream = connect(port).expect("the server accepts");
    stream.write_all(b"GET /events HTTP/1.1\r\nHost: localhost\r\n\r\n").expect("it takes a question");
    BufReader::new(stream)
}

#[test]
fn page_is_whole_without_a_script() {
    let served = Served::with(&nowhere("off", "enabled = false"));
    let page = get(served.http, "/").expect("an answer");
    assert_eq!((page.code, page.field("content-type")), (200, Some("text/html; charset=utf-8")));
    for part in [
        "<table",
        "scope=\"col\"",
        "scope=\"row\"",
        "data-name=\"t\" data-mood=\"ready\"",
        "1 of 1 ready, 1 not wanted",
        "<svg",
    ] {
        assert!(page.body.contains(part), "{part}\n{}", page.body);
    }
    for (file, kind) in [
        ("page.css", "text/css; charset=utf-8"),
        ("page.js", "text/javascript; charset=utf-8"),
        ("icon.svg", "image/svg+xml"),
    ] {
        let answer = get(served.http, &format!("/{file}")).expect("an answer");
        assert_eq!((answer.code, answer.field("content-type")), (200, Some(kind)));
    }
}

#[test]
fn events_tell_only_what_changes() {
    let Served { sshd, daemon, http, .. } = Served::with(&nowhere("off", "enabled = false"));
    let mut events = follow(http);
    let first = next_event(&mut events);
    assert_eq!(first["order"], json!(["t", "off"]));
    assert_eq!((&first["rows"][0]["mood"], &first["rows"][1]["mood"]), (&json!("ready"), &json!("off")));
    drop(sshd);
    let lost = loop {
        let event = next_event(&mut events);
        assert!(event["rows"].as_array().expect("rows").iter().all(|row| row["name"] == "t"), "{event}");
        if event["rows"][0]["mood"] == "waiting" {
            break event;
        }
    };
    assert_eq!(lost["summary"], "0 of 1 ready, 1 not wanted");
    assert!(daemon.status().is_some());
}

#[test]
fn seventeenth_page_is_told_to_come_again() {
    let served = Served::start();
    let mut followers: Vec<_> = (0..16).map(|_| follow(served.http)).collect();
    followers.iter_mut().for_each(|events| drop(next_event(events)));
    assert_eq!(get(served.http, "/events").expect("an answer").code, 503);
    followers.pop();
    eventually("a place is free", || {
        let mut events = follow(served.http);
        let mut line = String::new();
        events.read_line(&mut line).ok()?;
        line.contains("200").then_some(())
    });
    let head = "HEAD /events HTTP/1.1\r\nHost: localhost\r\nConnection: close\r\n\r\n";
    assert_eq!(request(served.http, head).expect("an answer").field("content-type"), Some("text/event-stream"));
}

#[test]
fn browser_follows_changes_without_reload_or_complaint() {
    let served = Served::with(&tunnel_to("evil", impostor("<img src=x onerror='window.hacked=1'>\r\n")));
    let mut browser = Browser::start();
    browser.open(&address(&served));
    browser.wait_for("document.querySelector('tr[data-name=t]')?.dataset.mood === 'ready'");
    browser.wait_for("document.querySelector('tr[data-name=evil] [data-text=cause]').textContent.includes('<img')");
    assert_eq!(browser.evaluate("document.querySelectorAll('img').length + (window.hacked ?? 0)"), 0);
    assert_eq!(
        browser.evaluate("document.querySelector('tbody tr').dataset.name"),
        "evil",
        "what is not ready comes first"
    );
    browser.evaluate("window.same = true");
    let Served { sshd, daemon, http, .. } = served;
    drop(sshd);
    browser.wait_for("document.querySelector('tr[data-name=t]').dataset.mood === 'waiting'");
    browser.wait_for("document.getElementById('news').textContent.startsWith('t is not ready: ')");
    browser.wait_for("document.title === 'tunneld: 0 of 2 ready'");
    // A reload of the config brings a tunnel, and takes the others.
    let config = format!("{}{}", crate::metrics(http), nowhere("fresh", "enabled = false"));
    daemon.write_config(&config);
    assert!(daemon.cli(&["reload"]).status.success());
    browser.wait_for("[...document.querySelectorAll('tbody tr')].map(r => r.dataset.name).join() === 'fresh'");
    assert_eq!(browser.evaluate("window.same"), true, "the page was not loaded again");
    assert_eq!(browser.complaints(), Vec::<String>::new());
    let elsewhere: Vec<_> =
        browser.requests().into_iter().filter(|url| !url.starts_with(&format!("http://127.0.0.1:{http}/"))).collect();
    assert_eq!(elsewhere, Vec::<String>::new());
}

/// The contrast of two computed colours, by WCAG 2.
const CONTRAST: &str = "((text, back) => {
    const luminance = (color) => color.match(/[\\d.]+/g).slice(0, 3).map((part) => part / 255)
        .map((part) => part <= 0.04045 ? part / 12.92 : ((part + 0.055) / 1.055) ** 2.4)
        .reduce((sum, part, at) => sum + part * [0.2126, 0.7152, 0.0722][at], 0);
    const [low, high] = [luminance(text), luminance(back)].sort((a, b) => a - b);
    return (high + 0.05) / (low + 0.05);
})";

#[test]
fn page_is_readable_in_dark_on_a_telephone_and_by_keyboard() {
    let pictures = std::env::var_os("TUNNELD_PICTURES").map(PathBuf::from);
    let served = Served::with(&format!("{}{}", nowhere("far", ""), nowhere("off", "enabled = false")));
    let mut browser = Browser::start();
    browser.open(&address(&served));
    browser.wait_for("document.querySelector('tr[data-name=far] [data-text=hint]')?.textContent.length > 0");
    for (name, width, height, dark) in
        [("light", 1200, 600, false), ("dark", 1200, 600, true), ("telephone", 360, 800, false)]
    {
        browser.appear(width, height, dark);
        browser.wait_for(&format!("matchMedia('(prefers-color-scheme: dark)').matches === {dark}"));
        browser.wait_for(&format!("document.documentElement.scrollWidth <= {width}"));
        for selector in [
            "body",
            "[data-mood=ready] .mood",
            "[data-mood=waiting] .mood",
            "[data-mood=off] .mood",
            "small.hint",
            "figcaption",
            "summary",
        ] {
            let contrast = browser.evaluate(&format!(
                "{CONTRAST}(getComputedStyle(document.querySelector('{selector}')).color, getComputedStyle(document.body).backgroundColor)"
            ));
            assert!(contrast.as_f64() >= Some(4.5), "{name} {selector}: {contrast}");
        }
        let narrow = "[...document.querySelectorAll('tbody td')].filter(cell => cell.offsetWidth < 300).length";
        assert!(width > 360 || browser.evaluate(narrow) == 0, "a cell is as wide as the telephone");
        assert!(browser.picture(pictures.as_deref(), name) > 10_000);
    }
    let tree = browser.call("Accessibility.getFullAXTree", json!({}));
    let nodes = tree["nodes"].as_array().expect("nodes");
    let roles = |wanted: &str| nodes.iter().filter(|node| node["role"]["value"] == wanted).count();
    assert_eq!((roles("table"), roles("rowheader"), roles("status")), (1, 3, 1), "also where the rows look like cards");
    assert_eq!(roles("columnheader"), 5);
    let charts: Vec<_> = nodes.iter().filter(|node| node["role"]["value"] == "image").collect();
    assert!(charts.len() >= 3 && charts.iter().all(|chart| chart["name"]["value"] != ""), "{charts:?}");
    for kind in ["rawKeyDown", "keyUp"] {
        browser.call(
            "Input.dispatchKeyEvent",
            json!({ "type": kind, "key": "Tab", "code": "Tab", "windowsVirtualKeyCode": 9 }),
        );
    }
    browser
        .wait_for("document.activeElement.tagName === 'SUMMARY' && document.activeElement.matches(':focus-visible')");
    assert_eq!(browser.evaluate("getComputedStyle(document.activeElement).outlineStyle"), "solid");
    assert_eq!(browser.complaints(), Vec::<String>::new());
}

#[test]
fn page_that_is_open_disturbs_no_idle_daemon() {
    let served = Served::start();
    let mut events = follow(served.http);
    next_event(&mut events);
    let before = support::cost::Cost::of(served.daemon.pid());
    last(std::time::Duration::from_secs(3));
    let cost = support::cost::Cost::of(served.daemon.pid()) - before;
    assert!(cost.cpu < std::time::Duration::from_millis(500), "{cost:?}");
}
