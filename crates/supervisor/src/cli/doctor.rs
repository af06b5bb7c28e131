//! `doctor`: examines tunnels against their servers, one after another, and prints one line a check.

use std::fmt::Write as _;
use std::path::Path;

use super::args::GlobalArgs;
use super::block_on;
use super::problem::{Problem, pretty, print_answer, printable};
use super::render::ColourChoice;
use super::run::overrides;
use super::status::style;
use crate::config::{self, Desired, TunnelSpec};
use crate::control::{ClientError, ask};
use crate::doctor::{self, Check, CheckResult, DaemonView, DoctorReport, Examined};
use crate::exit;
use crate::protocol::{ErrorCode, Request, Response};
use crate::servers::governor::Governor;

/// Columns of the check's name.
const NAME_WIDTH: usize = 13;

pub(super) fn run(global: &GlobalArgs, names: &[String], json: bool) -> Result<u8, Problem> {
    let file = std::path::absolute(global.existing_config()?).map_err(Problem::Start)?;
    let desired = config::load(&file, &overrides(global)).map_err(Problem::Config)?;
    let chosen = choose(&desired, names)?;
    let style = style();
    let report = block_on(async {
        let (governor, mut hangs) = (Governor::default(), false);
        let mut tunnels = Vec::new();
        for spec in chosen {
            // Anew for each: the daemon goes on meanwhile.
            let known = known(&desired.global.control_socket, &mut hangs);
            let examined = doctor::examine(spec, &known, &governor).await;
            if !json {
                print_answer(&text(&examined, style), exit::OK)?;
            }
            tunnels.push(examined);
        }
        Ok(DoctorReport { tunnels })
    })?;
    let text = if json { pretty(&report)? } else { summary(&report) };
    print_answer(&text, if report.has_failed() { exit::NO } else { exit::OK })
}

/// The named tunnels, enabled or not; else all that are enabled.
fn choose<'a>(desired: &'a Desired, names: &[String]) -> Result<Vec<&'a TunnelSpec>, Problem> {
    if names.is_empty() {
        return Ok(desired.tunnels.iter().filter(|tunnel| tunnel.enabled).collect());
    }
    crate::supervise::named(&desired.tunnels, names)
        .map_err(|message| Problem::Refused { code: ErrorCode::NoSuchTunnel, message })
}

/// Nothing where no daemon answers, or one that we do not understand: then the config is all there is. One that `hangs`
/// is not asked again.
fn known(socket: &Path, hangs: &mut bool) -> DaemonView {
    if *hangs {
        return DaemonView::of(None);
    }
    match ask(socket, Request::Status { names: Vec::new() }) {
        Ok(Response::Status { status }) => DaemonView::of(Some(status)),
        Ok(Response::Error { code: ErrorCode::Denied, .. }) => DaemonView::refused(),
        Err(error) if error.is_denied() => DaemonView::refused(),
        Ok(_) => DaemonView::of(None),
        Err(error) => {
            *hangs = matches!(error, ClientError::Silent { .. });
            DaemonView::of(None)
        }
    }
}

fn text(examined: &Examined, style: ColourChoice) -> String {
    let mut text = format!("{}  {}\n", examined.name, plain(&examined.server));
    for check in &examined.checks {
        text.push_str(&line(check, style));
    }
    text.push('\n');
    text
}

fn line(check: &Check, style: ColourChoice) -> String {
    let mut line = String::new();
    let verdict = coloured(check.verdict, style);
    let name = check.check;
    let _ = writeln!(line, "  {verdict}  {name:NAME_WIDTH$}  {}: {}", plain(&check.subject), plain(&check.message));
    if let Some(action) = &check.action {
        let _ = writeln!(line, "        -> {}", plain(action));
    }
    line
}

/// What a server said must not drive the terminal, nor begin a line.
fn plain(text: &str) -> String {
    printable(text).replace(['\n', '\t'], " ")
}

fn coloured(verdict: CheckResult, style: ColourChoice) -> String {
    let code = match verdict {
        CheckResult::Pass => 32,
        CheckResult::Fail => 31,
        CheckResult::Skip => 33,
    };
    match style {
        ColourChoice::Colour => format!("\u{1b}[{code}m{}\u{1b}[0m", verdict.as_str()),
        ColourChoice::Plain => verdict.as_str().to_owned(),
    }
}

fn summary(report: &DoctorReport) -> String {
    let [pass, fail, skip] =
        [CheckResult::Pass, CheckResult::Fail, CheckResult::Skip].map(|verdict| report.count(verdict));
    let all = pass + fail + skip;
    format!("{all} checks: {pass} passed, {fail} failed, {skip} skipped\n")
}
