//! Real commands: what they are told, how often they run, and their end.

use std::path::{Path, PathBuf};
use std::time::Duration;

use super::*;

struct CommandLab {
    dir: tempfile::TempDir,
    on_change: OnChange,
}

impl CommandLab {
    fn new() -> Self {
        Self { dir: tempfile::tempdir().unwrap(), on_change: OnChange::default() }
    }

    fn path(&self, name: &str) -> PathBuf {
        self.dir.path().join(name)
    }

    fn push(&mut self, ready: bool, script: &str) {
        let change = ReadinessChange {
            tunnel: "db".to_owned(),
            ready,
            want: Want::Up,
            phase: if ready { Phase::Up } else { Phase::Backoff },
            kind: (!ready).then(|| Word::read("connect_refused")),
            message: "it said:\nno".to_owned(),
            hint: "ask again".to_owned(),
            server: "me@server:22".to_owned(),
            at: SystemTime::UNIX_EPOCH,
        };
        let script = script.replace("DIR", &self.dir.path().display().to_string());
        self.on_change.push(change, ShellCommand::line(&script), &CommandSlots::default());
    }
}

async fn until(what: &str, seen: impl Fn() -> bool) {
    let end = clock::now() + Duration::from_secs(20);
    while !seen() {
        assert!(clock::now() < end, "not seen: {what}");
        tokio::time::sleep_until((clock::now() + Duration::from_millis(10)).into()).await;
    }
}

fn lines(path: &Path) -> Vec<String> {
    std::fs::read_to_string(path).unwrap_or_default().lines().map(str::to_owned).collect()
}

#[test]
fn first_news_is_success_or_need_of_an_operator() {
    let mut told = LastTold::default();
    assert!(!told.is_news(false, false) && told.is_news(true, false) && told.is_news(false, true));
    told.push(true);
    assert!(told.is_news(false, false) && !told.is_news(true, false));
}

#[tokio::test]
async fn command_is_told_all_in_its_environment() {
    let mut lab = CommandLab::new();
    lab.push(false, "cat; env | grep ^TUNNELD_ | sort > DIR/env.tmp; mv DIR/env.tmp DIR/env");
    until("the environment", || lab.path("env").exists()).await;
    assert_eq!(
        lines(&lab.path("env")),
        [
            "TUNNELD_HINT=ask again",
            "TUNNELD_KIND=connect_refused",
            "TUNNELD_MESSAGE=it said: no",
            "TUNNELD_PHASE=backoff",
            "TUNNELD_READY=0",
            "TUNNELD_SERVER=me@server:22",
            "TUNNELD_SINCE=1970-01-01T00:00:00Z",
            "TUNNELD_TUNNEL=db",
            "TUNNELD_WANT=up",
        ]
    );
}

#[tokio::test]
async fn changes_while_a_command_runs_come_to_the_last_state() {
    let mut lab = CommandLab::new();
    let script = "echo $TUNNELD_READY >> DIR/told; until [ -e DIR/go ]; do sleep 0.05; done";
    lab.push(true, script);
    until("the first run", || lines(&lab.path("told")).len() == 1).await;
    for ready in [false, true, false, true, false] {
        lab.push(ready, script);
    }
    std::fs::write(lab.path("go"), "").unwrap();
    until("the second run", || lines(&lab.path("told")).len() == 2).await;
    assert_eq!(lines(&lab.path("told")), ["1", "0"]);
}

#[tokio::test]
async fn command_that_hangs_is_killed_with_its_children() {
    let lab = CommandLab::new();
    let script =
        format!("sleep 1000 & echo $! > {0}/child.tmp; mv {0}/child.tmp {0}/child; wait", lab.dir.path().display());
    let change = ReadinessChange {
        tunnel: "db".to_owned(),
        ready: true,
        want: Want::Up,
        phase: Phase::Up,
        kind: None,
        message: String::new(),
        hint: String::new(),
        server: String::new(),
        at: SystemTime::UNIX_EPOCH,
    };
    let line = ShellCommand::line(&script);
    let running = run::command(&line, &change);
    tokio::pin!(running);
    tokio::select! {
        _ = &mut running => panic!("it ended"),
        () = until("the child", || lab.path("child").exists()) => {}
    }
    let child = lines(&lab.path("child"))[0].clone();
    tokio::time::pause();
    let error = running.await.unwrap_err();
    assert!(matches!(error, run::CommandError::Late), "{error}");
    tokio::time::resume();
    let stat = PathBuf::from(format!("/proc/{child}/stat"));
    // Killed, and perhaps not reaped by the parent that adopted it.
    until("its end", || std::fs::read_to_string(&stat).map_or(true, |stat| stat.contains(") Z "))).await;
}

#[tokio::test]
async fn failure_names_the_exit_status_and_what_cannot_run() {
    let mut lab = CommandLab::new();
    lab.push(true, "echo told > DIR/told; exit 7");
    until("the run", || lab.path("told").exists()).await;
    let Some(running) = &lab.on_change.running else { panic!("it runs") };
    let Some((change, _)) = running.latest.borrow().clone() else { panic!("told") };
    let error = run::command(&ShellCommand::line("exit 7"), &change).await.unwrap_err();
    assert!(error.to_string().contains("exit status: 7"), "{error}");
    let missing = ShellCommand::list(vec!["/nonexistent".to_owned()]).unwrap();
    let error = run::command(&missing, &change).await.unwrap_err();
    assert!(error.to_string().starts_with("the command cannot be run: "), "{error}");
    let loud = ShellCommand::line("head -c 1000000 /dev/zero; head -c 1000000 /dev/zero >&2");
    run::command(&loud, &change).await.unwrap();
}

#[test]
fn runs_of_any_minute_are_bounded() {
    let (start, mut pace) = (clock::now(), Pace::default());
    for second in 0..MAX_RUNS as u64 {
        let now = start + Duration::from_secs(second);
        assert_eq!(pace.next(now), None);
        pace.began(now);
    }
    assert_eq!(pace.next(start + Duration::from_secs(30)), Some(start + MINUTE));
    assert_eq!(pace.next(start + MINUTE), None);
}
