//! What the live screen knows, and what keys and answers change in it. Pure: it is given `now`, and says what to ask.

use std::collections::HashMap;
use std::time::Instant;

use ratatui::crossterm::event::{KeyCode, KeyEvent};

use super::feed::{FeedAnswer, FeedRequest};
use super::keys::{self, Action, TunnelOrder};
use super::trend::Trend;
use crate::cli::render::{by_urgency, word};
use crate::history::TunnelHistory;
use crate::protocol::LogLine;
use crate::protocol::status::{Status, TunnelStatus};

#[derive(Debug, Clone, Copy, PartialEq, Eq)]
pub(super) enum Page {
    List,
    Details,
    Log,
    Help,
}

#[derive(Debug, Clone, PartialEq, Eq)]
pub(super) enum Prompt {
    None,
    /// Keys are text of the filter.
    Filter,
    /// `y` gives the order.
    Confirm {
        order: TunnelOrder,
        name: String,
    },
}

#[derive(Debug, PartialEq)]
pub(super) enum AppEffect {
    None,
    Quit,
    Ask(FeedRequest),
}

pub(super) struct App {
    pub(super) status: Status,
    pub(super) answered: Instant,
    /// Why there is no newer answer.
    pub(super) trouble: Option<String>,
    pub(super) trends: HashMap<String, Trend>,
    pub(super) page: Page,
    pub(super) prompt: Prompt,
    pub(super) filter: String,
    /// By name: the order changes.
    pub(super) selected: Option<String>,
    /// The first line that is shown of a page.
    pub(super) top: usize,
    /// Rows of the page, as of the last frame.
    pub(super) height: usize,
    pub(super) notice: Option<String>,
    /// Of the tunnel whose page is open.
    pub(super) log: Vec<LogLine>,
    pub(super) histories: Vec<TunnelHistory>,
}

impl App {
    pub(super) fn new(first: Status, now: Instant) -> Self {
        let mut app = Self {
            status: first.clone(),
            answered: now,
            trouble: None,
            trends: HashMap::new(),
            page: Page::List,
            prompt: Prompt::None,
            filter: String::new(),
            selected: None,
            top: 0,
            height: 0,
            notice: None,
            log: Vec::new(),
            histories: Vec::new(),
        };
        app.on_status(first, now);
        app
    }

    /// The tunnels that the filter lets through, the most urgent first.
    pub(super) fn tunnels(&self) -> Vec<&TunnelStatus> {
        let wanted = self.filter.to_lowercase();
        let fits = |tunnel: &&TunnelStatus| {
            let texts = [tunnel.name.as_str(), tunnel.server.as_str(), word(tunnel)];
            texts.iter().any(|text| text.to_lowercase().contains(&wanted))
        };
        by_urgency(&self.status.tunnels).into_iter().filter(fits).collect()
    }

    pub(super) fn on_answer(&mut self, answer: FeedAnswer, now: Instant) -> AppEffect {
        match answer {
            FeedAnswer::Status(Ok(status)) => {
                self.on_status(status, now);
                // The page of a tunnel is as new as the list.
                return self.about();
            }
            FeedAnswer::Status(Err(trouble)) => self.trouble = Some(trouble),
            FeedAnswer::Order(Ok(done)) => self.notice = Some(done),
            FeedAnswer::Order(Err(why)) => self.notice = Some(why),
            FeedAnswer::About { name, lines, histories } => {
                if self.selected.as_ref() == Some(&name) {
                    (self.log, self.histories) = (lines, histories);
                }
            }
        }
        AppEffect::None
    }

    fn on_status(&mut self, status: Status, now: Instant) {
        self.trends.retain(|name, _| status.tunnels.iter().any(|tunnel| tunnel.name == *name));
        for tunnel in &status.tunnels {
            self.trends.entry(tunnel.name.clone()).or_default().note(tunnel, now);
        }
        (self.status, self.answered, self.trouble) = (status, now, None);
        self.keep_selection();
    }

    /// Something is selected as long as there is something.
    fn keep_selection(&mut self) {
        let tunnels = self.tunnels();
        if !tunnels.iter().any(|tunnel| self.selected.as_ref() == Some(&tunnel.name)) {
            self.selected = tunnels.first().map(|tunnel| tunnel.name.clone());
        }
    }

    pub(super) fn on_key(&mut self, key: KeyEvent) -> AppEffect {
        if keys::is_interrupt(key) {
            return AppEffect::Quit;
        }
        self.notice = None;
        match std::mem::replace(&mut self.prompt, Prompt::None) {
            Prompt::Filter => self.type_filter(key),
            Prompt::Confirm { order, name } if key.code == KeyCode::Char('y') => give(order, &name),
            // Any other key means no.
            Prompt::Confirm { .. } => AppEffect::None,
            Prompt::None => keys::action(key).map_or(AppEffect::None, |action| self.act(action)),
        }
    }

    fn type_filter(&mut self, key: KeyEvent) -> AppEffect {
        if key.code == KeyCode::Esc {
            self.filter.clear();
        } else if key.code == KeyCode::Backspace {
            self.filter.pop();
        } else if let KeyCode::Char(c) = key.code {
            self.filter.push(c);
        }
        if !matches!(key.code, KeyCode::Enter | KeyCode::Esc) {
            self.prompt = Prompt::Filter;
        }
        self.keep_selection();
        AppEffect::None
    }

    fn act(&mut self, action: Action) -> AppEffect {
        match action {
            Action::Quit => return AppEffect::Quit,
            Action::Back => return self.back(),
            Action::Move(rows) => self.move_by(rows),
            Action::Page(screens) => {
                let rows = isize::try_from(self.height.max(1)).unwrap_or(1);
                self.move_by(screens.saturating_mul(rows));
            }
            Action::First => self.move_by(isize::MIN),
            Action::Last => self.move_by(isize::MAX),
            Action::Details => return self.open(Page::Details),
            Action::Log => return self.open(Page::Log),
            Action::Help => return self.open(Page::Help),
            Action::Filter => (self.page, self.prompt) = (Page::List, Prompt::Filter),
            Action::Order(order) => match self.selected.clone() {
                Some(name) if order.is_confirmed_first() => self.prompt = Prompt::Confirm { order, name },
                Some(name) => return give(order, &name),
                None => {}
            },
        }
        AppEffect::None
    }

    fn back(&mut self) -> AppEffect {
        if self.page != Page::List {
            (self.page, self.top) = (Page::List, 0);
        } else if self.filter.is_empty() {
            return AppEffect::Quit;
        } else {
            self.filter.clear();
            self.keep_selection();
        }
        AppEffect::None
    }

    fn open(&mut self, page: Page) -> AppEffect {
        (self.page, self.top) = (page, 0);
        (self.log, self.histories) = (Vec::new(), Vec::new());
        self.about()
    }

    /// What the open page needs beside the status.
    fn about(&self) -> AppEffect {
        match (self.page, &self.selected) {
            (Page::Details | Page::Log, Some(name)) => AppEffect::Ask(FeedRequest::About(name.clone())),
            _ => AppEffect::None,
        }
    }

    /// The selection in the list, the text on other pages; the view keeps it within its end.
    fn move_by(&mut self, rows: isize) {
        if self.page != Page::List {
            self.top = self.top.saturating_add_signed(rows);
            return;
        }
        let tunnels = self.tunnels();
        let at = tunnels.iter().position(|tunnel| self.selected.as_ref() == Some(&tunnel.name)).unwrap_or(0);
        let at = at.saturating_add_signed(rows).min(tunnels.len().saturating_sub(1));
        self.selected = tunnels.get(at).map(|tunnel| tunnel.name.clone());
    }
}

fn give(order: TunnelOrder, name: &str) -> AppEffect {
    let done = format!("{}: asked to {}", name, order.verb());
    AppEffect::Ask(FeedRequest::Order { order: order.request(name), done })
}

#[cfg(test)]
mod tests;
