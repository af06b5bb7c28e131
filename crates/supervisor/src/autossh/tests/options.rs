//! Options of ssh's that concern no tunnel, or name what is not there: told, and no reason to fail.

use crate::autossh::frontend::{Planned, StartPlan, plan};

fn planned(line: &str) -> Result<StartPlan, Vec<String>> {
    match plan(&shlex::split(line).unwrap(), &|_| None, || None) {
        Ok(Planned::Tunnel(plan)) => Ok(*plan),
        Ok(Planned::Version) => panic!("{line}: a version"),
        Err(refusal) => Err(refusal.errors),
    }
}

fn tunnel(options: &str) -> StartPlan {
    let line = format!("-M 0 -N -F none {options} -L 1:h:2 me@host");
    planned(&line).unwrap_or_else(|errors| panic!("{line}: {errors:?}"))
}

#[test]
fn options_that_concern_no_tunnel_are_named() {
    let notes = |options: &str| tunnel(options).notes.join("\n");
    assert_eq!(notes("-o BatchMode=yes -o 'LogLevel ERROR' -o PasswordAuthentication=no"), "");
    let told = notes("-o SendEnv=LANG -o forwardagent=yes -o BatchMode=yes -y");
    assert!(told.contains("without effect on a tunnel: ForwardAgent, SendEnv"), "{told}");
    assert!(told.contains("-y has no effect"), "{told}");
}

#[test]
fn unknown_option_that_is_to_be_ignored_is_no_error() {
    let notes = tunnel("-o IgnoreUnknown=New* -o NewThing=1").notes.join("\n");
    assert!(notes.contains("`NewThing` has no effect"), "{notes}");
    let errors = planned("-N -F none -o NewThing=1 -o IgnoreUnknown=New* -L 1:h:2 host").err().unwrap();
    assert!(errors[0].contains("`newthing` cannot be an option"), "{errors:?}");
}

#[test]
fn missing_identity_is_told_and_the_usual_ones_are_tried() {
    let plan = tunnel("-i /none/key");
    let told = "Warning: Identity file /none/key not accessible: No such file or directory.";
    assert_eq!(plan.ssh_messages.iter().map(|line| line.text.as_str()).collect::<Vec<_>>(), [told]);
    let paths = |plan: &StartPlan| {
        let identities = plan.spec.session.auth.identities.iter();
        identities.map(|identity| identity.path.display().to_string()).collect::<Vec<_>>()
    };
    let tried = paths(&plan);
    assert!(tried[0] == "/none/key" && tried.iter().any(|path| path.ends_with("/.ssh/id_ed25519")), "{tried:?}");
    assert_eq!(paths(&tunnel("-i /none/key -i /dev/null")), ["/none/key", "/dev/null"]);
}

#[test]
fn error_in_a_file_of_two_hosts_is_told_once() {
    let file = tempfile::NamedTempFile::new().unwrap();
    std::fs::write(file.path(), "Host h\nProxyJump j\nHost *\nBogus 1\n").unwrap();
    let errors = planned(&format!("-N -F {} -L 1:h:2 h", file.path().display())).err().unwrap();
    assert_eq!(errors.len(), 1, "{errors:?}");
}
