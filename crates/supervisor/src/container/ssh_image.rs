//! The variables of cagataygurturk/docker-ssh-tunnel: one local forward through a host of the mounted ssh_config.

use super::ImageCommand;
use super::names::{SSH_DEBUG, SSH_IMAGE, TUNNEL_HOST};
use super::variables::{Variables, in_forward};
use crate::autossh::argv::Dialect;
use crate::import::Invocation;

pub(super) fn command(variables: &mut Variables<'_>) -> ImageCommand {
    let mut words = variables.options(SSH_DEBUG);
    // Its README has no file of known hosts, and its script believes every key.
    words.extend(["-o", "StrictHostKeyChecking=no", "-N"].map(str::to_owned));
    variables.notes.push(format!("any host key is believed, as by {SSH_IMAGE}; a config can check it"));
    let port = variables.required("LOCAL_PORT", "the port to listen on");
    let host = variables.required("REMOTE_HOST", "where the tunnel leads, as the server knows it");
    let remote_port = variables.required("REMOTE_PORT", "the port where the tunnel leads");
    for (name, port) in [("LOCAL_PORT", &port), ("REMOTE_PORT", &remote_port)] {
        if !port.is_empty() {
            variables.check_port(name, port, 1);
        }
    }
    variables.check_word("REMOTE_HOST", &host);
    words.extend(["-L".to_owned(), format!("*:{port}:{}:{remote_port}", in_forward(&host))]);
    let server = variables.required(TUNNEL_HOST, "the server, or its Host in the mounted ssh_config");
    variables.check_word(TUNNEL_HOST, &server);
    words.push(server);
    let invocation = Invocation::of_words(Dialect::Ssh, words);
    ImageCommand { image: SSH_IMAGE, invocation, notes: std::mem::take(&mut variables.notes) }
}
