//! One login looked at step by step, for a person who asks why it does not work. The session is opened by the very code
//! that keeps tunnels up; a [`LoginRecorder`] that is handed in with the dialer notes what each step found.
//!
//! ```text
//! login ─► Session::open over NetDialer::recording ─► Recorder ◄─ dial, session, hostkey, auth
//!                                                        └► Vec<Noted>
//! ```
//! Nothing is written: an unknown host key is believed where the config says so, and not added to known_hosts.

mod scan;

use std::net::SocketAddr;
use std::time::Duration;

pub use scan::{Scan, host_keys};

use crate::clock;
use crate::dial::{NetDialer, connect_once};
use crate::failure::Failure;
pub use crate::login_record::{AlgorithmOffer, AuthAnswer, Common, LoginRecorder, LoginStep, Noted};
use crate::session::{IncomingChannels, Session};
use crate::spec::SessionSpec;

/// How long an address may take that the login did not need: less than the kernel takes to repeat a lost packet twice.
const OTHER_ADDRESS_TIMEOUT: Duration = Duration::from_secs(4);

/// A login with its recorded steps.
pub struct RecordedLogin {
    /// Everything that was noted on the way, in order; jump hosts first.
    pub steps: Vec<Noted>,
    /// The session, or the one reason for which there is none.
    pub result: Result<(Session, IncomingChannels), Failure>,
}

/// Opens one session to the server of `spec`, as a tunnel's start does, and notes what happens.
pub async fn login(spec: &SessionSpec) -> RecordedLogin {
    let recorder = LoginRecorder::active();
    let dialer = NetDialer::recording(recorder.clone());
    let result = Session::open(spec, &dialer).await;
    RecordedLogin { steps: recorder.steps(), result }
}

/// Connects once to an address that the login left alone because another one was faster, and hangs up without a word.
///
/// # Errors
/// In the system's words.
pub async fn try_address(spec: &SessionSpec, address: SocketAddr) -> Result<(), String> {
    match clock::timeout(OTHER_ADDRESS_TIMEOUT, connect_once(spec, address)).await {
        Ok(tried) => tried,
        Err(_) => Err(format!("did not answer within {} s", OTHER_ADDRESS_TIMEOUT.as_secs())),
    }
}
