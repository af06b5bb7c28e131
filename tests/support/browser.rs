//! A headless Chromium, driven over its own protocol (CDP) on a pipe: no port, no driver program.

use std::io::{BufRead, BufReader, Write};
use std::os::fd::OwnedFd;
use std::path::Path;
use std::process::{Child, Command, Stdio};
use std::sync::mpsc::{Receiver, channel};
use std::thread;

use command_fds::{CommandFdExt, FdMapping};
use serde_json::{Value, json};
use tempfile::TempDir;

use crate::patience::PATIENCE;

/// Nothing of it talks to the network by itself, and its profile is empty.
const FLAGS: [&str; 12] = [
    "--headless",
    "--no-sandbox",
    "--disable-gpu",
    "--disable-dev-shm-usage",
    "--disable-quic",
    "--no-first-run",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
    "--hide-scrollbars",
    "--remote-debugging-pipe",
    "about:blank",
];

/// Ends with the value.
pub struct Browser {
    process: Child,
    commands: std::fs::File,
    messages: Receiver<Value>,
    session: String,
    last_id: u64,
    /// What the browser told by itself.
    pub events: Vec<Value>,
    _profile: TempDir,
}

impl Browser {
    /// Starts it with one empty page.
    pub fn start() -> Self {
        let profile = tempfile::tempdir().expect("a temporary folder");
        let (theirs_in, ours_out) = pipe();
        let (ours_in, theirs_out) = pipe();
        let mut command = Command::new("chromium");
        command.arg(format!("--user-data-dir={}", profile.path().display())).args(FLAGS);
        command.stdin(Stdio::null()).stdout(Stdio::null()).stderr(Stdio::null());
        let theirs =
            vec![FdMapping { parent_fd: theirs_in, child_fd: 3 }, FdMapping { parent_fd: theirs_out, child_fd: 4 }];
        command.fd_mappings(theirs).expect("each pipe has a number of its own");
        let process = command.spawn().expect("chromium, of Debian's package of that name: run tests/setup");
        drop(command);
        let (sender, messages) = channel();
        thread::spawn(move || {
            let mut reader = BufReader::new(std::fs::File::from(ours_in));
            let mut message = Vec::new();
            while reader.read_until(0, &mut message).is_ok_and(|read| read > 0) {
                message.pop();
                let Ok(value) = serde_json::from_slice(&message) else { return };
                if sender.send(value).is_err() {
                    return;
                }
                message.clear();
            }
        });
        let commands = std::fs::File::from(ours_out);
        let mut browser = Self {
            process,
            commands,
            messages,
            session: String::new(),
            last_id: 0,
            events: Vec::new(),
            _profile: profile,
        };
        let target = browser.call("Target.createTarget", json!({ "url": "about:blank" }));
        let attached =
            browser.call("Target.attachToTarget", json!({ "targetId": target["targetId"], "flatten": true }));
        browser.session = attached["sessionId"].as_str().expect("a session").to_owned();
        for domain in ["Page", "Runtime", "Log", "Network"] {
            browser.call(&format!("{domain}.enable"), json!({}));
        }
        browser
    }

    /// Sends a command and waits for what it gives.
    #[track_caller]
    pub fn call(&mut self, method: &str, parameters: Value) -> Value {
        self.last_id += 1;
        let mut message = json!({ "id": self.last_id, "method": method, "params": parameters });
        if !self.session.is_empty() {
            message["sessionId"] = self.session.as_str().into();
        }
        let mut text = message.to_string().into_bytes();
        text.push(0);
        self.commands.write_all(&text).expect("the browser takes commands");
        loop {
            let message = self.messages.recv_timeout(PATIENCE);
            let mut message = message.unwrap_or_else(|error| panic!("{method}: {error}"));
            if message["id"] == self.last_id {
                assert!(message["error"].is_null(), "{method}: {message}");
                return message["result"].take();
            }
            self.events.push(message);
        }
    }

    /// Goes to a page, and waits until all of it is there.
    #[track_caller]
    pub fn open(&mut self, url: &str) {
        let gone = self.call("Page.navigate", json!({ "url": url }));
        assert!(gone["errorText"].is_null(), "{url}: {gone}");
        self.wait_for("document.readyState === 'complete'");
    }

    /// The value of an expression of the page.
    #[track_caller]
    pub fn evaluate(&mut self, expression: &str) -> Value {
        let mut result = self
            .call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true, "awaitPromise": true }));
        assert!(result["exceptionDetails"].is_null(), "{expression}: {result}");
        result["result"]["value"].take()
    }

    /// Waits until an expression of the page is true.
    #[track_caller]
    pub fn wait_for(&mut self, expression: &str) {
        let found = crate::patience::within(PATIENCE, || {
            let result = self.call("Runtime.evaluate", json!({ "expression": expression, "returnByValue": true }));
            (result["result"]["value"] == true).then_some(())
        });
        if found.is_none() {
            let page = self.evaluate("document.body.innerText");
            panic!("not in {PATIENCE:?}: {expression}\n{page}");
        }
    }

    /// The width of the window, and whether its user prefers dark pages.
    pub fn appear(&mut self, width: u32, height: u32, dark: bool) {
        let scheme = if dark { "dark" } else { "light" };
        self.call(
            "Emulation.setDeviceMetricsOverride",
            json!({ "width": width, "height": height, "deviceScaleFactor": 2, "mobile": width < 600 }),
        );
        self.call(
            "Emulation.setEmulatedMedia",
            json!({ "features": [{ "name": "prefers-color-scheme", "value": scheme }] }),
        );
    }

    /// Messages that a developer would see as errors: exceptions, the console, the log, violations of a policy.
    pub fn complaints(&mut self) -> Vec<String> {
        // What was told up to now is in the pipe before the answer to this.
        self.evaluate("1");
        let is_complaint = |event: &&Value| match event["method"].as_str().unwrap_or_default() {
            "Runtime.exceptionThrown" => true,
            "Runtime.consoleAPICalled" => event["params"]["type"] == "error",
            "Log.entryAdded" => event["params"]["entry"]["level"] == "error",
            _ => false,
        };
        self.events.iter().filter(is_complaint).map(ToString::to_string).collect()
    }

    /// Addresses that the page asked for.
    pub fn requests(&self) -> Vec<String> {
        let sent = self.events.iter().filter(|event| event["method"] == "Network.requestWillBeSent");
        sent.filter_map(|event| event["params"]["request"]["url"].as_str().map(str::to_owned)).collect()
    }

    /// A picture of the page, as PNG in base64; written to this folder where there is one.
    pub fn picture(&mut self, folder: Option<&Path>, name: &str) -> usize {
        let shot = self.call("Page.captureScreenshot", json!({ "format": "png" }));
        let data = shot["data"].as_str().expect("a picture");
        if let Some(folder) = folder {
            let file = folder.join(format!("{name}.png.base64"));
            std::fs::write(file, data).expect("a file");
        }
        data.len()
    }
}

impl Drop for Browser {
    fn drop(&mut self) {
        let _ = self.process.kill();
        let _ = self.process.wait();
    }
}

fn pipe() -> (OwnedFd, OwnedFd) {
    nix::unistd::pipe().expect("a pipe")
}
