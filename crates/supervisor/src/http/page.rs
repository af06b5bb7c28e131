//! The page for people at `/`: a table of the tunnels that follows their changes. The server writes every text and chart;
//! the script in the browser only puts them in their places.

mod chart;
mod html;
mod live;
mod row;
mod words;

pub(super) use html::page;
pub(super) use live::{LivePage, events};

/// Files of the page, by their names there.
pub(super) const ASSETS: [(&str, &str, &str); 3] = [
    ("page.css", "text/css; charset=utf-8", include_str!("page/page.css")),
    ("page.js", "text/javascript; charset=utf-8", include_str!("page/page.js")),
    ("icon.svg", "image/svg+xml", include_str!("page/icon.svg")),
];
