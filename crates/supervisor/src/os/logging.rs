//! Where events go: journald with their fields, or lines of text or JSON on standard error. The level can be changed
//! while the daemon runs.

mod fields;
mod journal;
mod lines;
mod own_line;
mod plain;
mod queue;
mod recent;

use std::io::IsTerminal;

use nix::sys::stat::fstat;
use tracing::{Level, Metadata};
use tracing_subscriber::filter::{FilterFn, LevelFilter, Targets, filter_fn};
use tracing_subscriber::layer::{Layer, SubscriberExt};
use tracing_subscriber::registry::Registry;
use tracing_subscriber::reload;
use tracing_subscriber::util::SubscriberInitExt;

use lines::{Form, Lines};
pub use own_line::write_on_own_line;
pub use plain::{AS_IT_IS, PlainAudience};
pub use queue::Flush;
pub use recent::{RecentLine, RecentLines};

use crate::config::{LogFilterError, LogFormat, LogSpec, log_filter};

/// The SSH library. What it says of a peer is said by us as a failure; the rest a hostile server can repeat without end.
/// Only a filter that names it shows its lines.
const SSH_LIBRARY: &str = "russh";

/// Crates whose events a plain level word is about. The libraries below them speak up only at `warn`.
const OURS: &[&str] = &["supervisor", "tunnel_engine", "tunneld"];

/// The target of the spans that name a tunnel: no filter leaves them out, so that every event has its tunnel.
pub const TUNNEL_SPAN: &str = "tunnel";

/// Changes the level of the running daemon.
#[derive(Debug, Clone)]
pub struct LogControl {
    filter: reload::Handle<Targets, Registry>,
}

impl LogControl {
    /// A level word, or a filter such as `info,tunnel_engine=debug`. What cannot be read changes nothing.
    pub fn set_level(&self, level: &str) -> Result<(), LogError> {
        let filter = filter(level)?;
        self.filter.reload(filter).map_err(|error| LogError::Start(error.to_string()))
    }
}

/// Why events cannot be logged as configured.
#[derive(Debug, thiserror::Error)]
pub enum LogError {
    /// Neither a level nor a filter.
    #[error("{0}: {hint}", hint = .0.hint)]
    Level(#[from] LogFilterError),
    /// The logger could not be started or reached.
    #[error("cannot set up logging: {0}")]
    Start(String),
}

/// Logging, as it runs.
#[derive(Debug)]
pub struct RunningLog {
    /// Changes it.
    pub control: LogControl,
    /// What was said of each tunnel lately.
    pub recent: RecentLines,
    /// Keep it until the last event: dropping it writes out what waits.
    pub flush: Flush,
}

/// Events go where `spec` says from now on.
pub fn init(spec: &LogSpec) -> Result<RunningLog, LogError> {
    let (filter, handle) = reload::Layer::new(filter(&spec.level.filter)?);
    let (output, flush) = output(spec.format)?;
    let recent = RecentLines::default();
    // Each has a filter of its own: the last lines of a tunnel are kept whatever is written out.
    let output = output.with_filter(filter).boxed();
    let layers = vec![recent.layer().boxed(), output];
    let subscriber = tracing_subscriber::registry().with(layers).with(no_packet_dumps());
    subscriber.try_init().map_err(|error| LogError::Start(error.to_string()))?;
    Ok(RunningLog { control: LogControl { filter: handle }, recent, flush })
}

/// For a program that speaks to a person, as ssh does: messages and hints, no times. To `output`, or standard error.
pub fn init_plain(speech: PlainAudience, output: Option<std::fs::File>) -> Result<Flush, LogError> {
    let started = match output {
        Some(file) => queue::start(file, queue::lost),
        None => queue::stderr(),
    };
    let (writer, flush) = started.map_err(|error| LogError::Start(error.to_string()))?;
    let filter = filter(speech.level)?;
    let lines = tracing_subscriber::fmt::layer().with_writer(writer).event_format(speech).with_filter(filter);
    let subscriber = tracing_subscriber::registry().with(lines).with(no_packet_dumps());
    subscriber.try_init().map_err(|error| LogError::Start(error.to_string()))?;
    Ok(flush)
}

/// A bare level is about our own crates: the libraries below them speak up only at `warn`.
fn filter(level: &str) -> Result<Targets, LogError> {
    let mut filter = log_filter(level)?;
    if let Ok(bare) = level.trim().parse::<LevelFilter>() {
        filter = filter.with_default(bare.min(LevelFilter::WARN)).with_targets(OURS.iter().map(|name| (*name, bare)));
    }
    let named = filter.iter().any(|(target, _)| target.starts_with(SSH_LIBRARY));
    let filter = if named { filter } else { filter.with_target(SSH_LIBRARY, LevelFilter::OFF) };
    Ok(filter.with_target(TUNNEL_SPAN, LevelFilter::ERROR))
}

/// At `debug` and below russh prints whole messages, forwarded bytes and signatures among them: never, whatever
/// filter the user writes.
fn no_packet_dumps() -> FilterFn {
    fn allowed(event: &Metadata<'_>) -> bool {
        let library = event.target().split("::").next() == Some(SSH_LIBRARY);
        !library || *event.level() <= Level::INFO
    }
    filter_fn(allowed)
}

type Output<S> = Box<dyn Layer<S> + Send + Sync>;

fn output<S>(format: LogFormat) -> Result<(Output<S>, Flush), LogError>
where
    S: tracing::Subscriber + for<'a> tracing_subscriber::registry::LookupSpan<'a>,
{
    if format == LogFormat::Auto && stderr_is_the_journal() {
        match journal::entries() {
            Ok((entries, flush)) => return Ok((entries.boxed(), flush)),
            Err(error) => eprintln!("tunneld: cannot reach journald, logging text instead: {error}"),
        }
    }
    let (queue, flush) = queue::stderr().map_err(|error| LogError::Start(error.to_string()))?;
    let form = match format {
        LogFormat::Json => Form::Json,
        LogFormat::Text | LogFormat::Auto => Form::Text { colours: colours() },
    };
    Ok((Lines { queue, form }.boxed(), flush))
}

fn colours() -> bool {
    std::io::stderr().is_terminal() && std::env::var_os("NO_COLOR").is_none_or(|value| value.is_empty())
}

/// systemd names the journal's end of our standard error as device and inode (systemd.exec(5), JOURNAL_STREAM). A
/// child that was given another standard error inherits the variable, so the two are compared.
fn stderr_is_the_journal() -> bool {
    let Ok(named) = std::env::var("JOURNAL_STREAM") else { return false };
    fstat(std::io::stderr()).is_ok_and(|stat| named == format!("{}:{}", stat.st_dev, stat.st_ino))
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_level_word_is_about_our_crates() {
        let filter = filter("DEBUG").unwrap();
        assert!(filter.would_enable("supervisor::tunnel", &Level::DEBUG));
        assert!(filter.would_enable("mio", &Level::WARN) && !filter.would_enable("mio", &Level::INFO));
    }

    #[test]
    fn quiet_levels_hold_for_libraries_too() {
        for (level, quieter) in [("error", Level::WARN), ("off", Level::ERROR)] {
            let filter = filter(level).unwrap();
            assert!(!filter.would_enable("supervisor", &quieter) && !filter.would_enable("mio", &quieter), "{level}");
        }
    }

    #[test]
    fn ssh_library_is_silent_unless_named() {
        for level in ["error", "warn", "trace", "info,tunnel_engine=debug"] {
            assert!(!filter(level).unwrap().would_enable(SSH_LIBRARY, &Level::ERROR), "{level}");
        }
        let filter = filter("tunnel_engine=trace,russh=warn").unwrap();
        assert!(filter.would_enable(SSH_LIBRARY, &Level::WARN) && !filter.would_enable("russh", &Level::INFO));
    }

    #[test]
    fn nonsense_is_refused_with_its_text() {
        let error = filter("russh=very").unwrap_err();
        assert!(error.to_string().starts_with("`very` is not a log level: write "), "{error}");
    }
}
