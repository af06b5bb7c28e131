//! The demonstration, as the first command of the README runs it.

use std::process::{Command, Stdio};

use support::daemon::binary;

#[test]
fn bytes_flow_before_and_after_the_break_without_config_home_or_network_names() {
    let mut command = Command::new(binary());
    let output = command.arg("demo").env_clear().stdin(Stdio::null()).output().expect("tunneld runs");
    let story = String::from_utf8_lossy(&output.stdout);
    assert_eq!(output.status.code(), Some(0), "{story}{}", String::from_utf8_lossy(&output.stderr));
    for line in ["the tunnel is ready:", "The link breaks", "phase backoff", "was carried", "before and after"] {
        assert!(story.contains(line), "{line}: {story}");
    }
}
