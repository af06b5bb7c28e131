//! Sessions that take over from one another, against servers in memory, on virtual time.

mod doubt;
mod extras;
mod hosts;
mod lifetime;

use std::time::Duration;

const SECOND: Duration = Duration::from_secs(1);
