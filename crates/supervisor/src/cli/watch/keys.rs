//! What each key does on each page. Pure.

use ratatui::crossterm::event::{KeyCode, KeyEvent, KeyModifiers};

use crate::protocol::Request;

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Action {
    Quit,
    /// Leaves a page, or forgets the filter.
    Back,
    /// So many rows down.
    Move(isize),
    /// So many screens down.
    Page(isize),
    First,
    Last,
    Details,
    Log,
    Help,
    Filter,
    Order(TunnelOrder),
}

/// An order for a tunnel.
#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum TunnelOrder {
    Start,
    Stop,
    Restart,
}

impl TunnelOrder {
    /// It ends connections: it is given only after a second key.
    pub(super) const fn is_confirmed_first(self) -> bool {
        matches!(self, Self::Stop | Self::Restart)
    }

    pub(super) const fn verb(self) -> &'static str {
        match self {
            Self::Start => "start",
            Self::Stop => "stop",
            Self::Restart => "restart",
        }
    }

    pub(super) fn request(self, name: &str) -> Request {
        let names = vec![name.to_owned()];
        match self {
            Self::Start => Request::Start { names },
            Self::Stop => Request::Stop { names },
            Self::Restart => Request::Restart { names },
        }
    }
}

/// On every page but where text is typed or a question is open.
pub(super) fn action(key: KeyEvent) -> Option<Action> {
    if is_interrupt(key) {
        return Some(Action::Quit);
    }
    if key.modifiers.intersects(KeyModifiers::CONTROL | KeyModifiers::ALT) {
        return None;
    }
    let actions = [
        (KeyCode::Down, Action::Move(1)),
        (KeyCode::Char('j'), Action::Move(1)),
        (KeyCode::Up, Action::Move(-1)),
        (KeyCode::Char('k'), Action::Move(-1)),
        (KeyCode::PageDown, Action::Page(1)),
        (KeyCode::Char(' '), Action::Page(1)),
        (KeyCode::PageUp, Action::Page(-1)),
        (KeyCode::Home, Action::First),
        (KeyCode::Char('g'), Action::First),
        (KeyCode::End, Action::Last),
        (KeyCode::Char('G'), Action::Last),
        (KeyCode::Char('q'), Action::Quit),
        (KeyCode::Esc, Action::Back),
        (KeyCode::Enter, Action::Details),
        (KeyCode::Char('l'), Action::Log),
        (KeyCode::Char('?'), Action::Help),
        (KeyCode::Char('/'), Action::Filter),
        (KeyCode::Char('s'), Action::Order(TunnelOrder::Start)),
        (KeyCode::Char('x'), Action::Order(TunnelOrder::Stop)),
        (KeyCode::Char('r'), Action::Order(TunnelOrder::Restart)),
    ];
    actions.iter().find(|(known, _)| *known == key.code).map(|(_, action)| *action)
}

/// Ctrl-C, which is a key as any other on a screen of ours.
pub(super) fn is_interrupt(key: KeyEvent) -> bool {
    key.code == KeyCode::Char('c') && key.modifiers.contains(KeyModifiers::CONTROL)
}

pub(super) const HELP: &str = "\
up down j k      move              Enter    all about the tunnel
PgUp PgDn space  a screen          l        its log
g G Home End     first, last       /        filter by name, server or state
r                restart it        Esc      back; forget the filter; quit
x                stop it           q Ctrl-C quit
s                start it          ?        this page

NAME  the marked one is what the keys are about; tunnels that are not ready come first
RTT   the last round trip to the server, and how it was in the last minute
IN/s  OUT/s  bytes a second to and from the listeners' peers, and both together in the last minute
";
