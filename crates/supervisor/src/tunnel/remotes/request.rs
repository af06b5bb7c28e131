//! One question to the server: will it listen?

use tunnel_engine::forward::{RemoteTarget, Routes};
use tunnel_engine::session::{ForwardError, RemoteListen, Session};
use tunnel_engine::spec::Listen;

use super::super::refusal::with_port;
use super::super::takeover::{Release, Report};
use super::super::wind_down::cancel;

/// What is asked.
pub(super) struct Request {
    pub(super) session: Session,
    pub(super) routes: Routes,
    pub(super) listen: Listen,
    pub(super) target: RemoteTarget,
    /// To be cancelled first.
    pub(super) taken_back: Option<Listen>,
}

impl Request {
    /// Asks for the port of last time first, where the server chose it: people have written it down.
    pub(super) async fn run(
        self,
        allocated: Option<u16>,
        release: Option<Release>,
    ) -> (Option<Report>, Result<Option<u16>, ForwardError>) {
        if let Some(listen) = &self.taken_back {
            cancel(&self.session, std::slice::from_ref(listen)).await;
        }
        let report = match release {
            Some(release) => Some(release.run().await),
            None => None,
        };
        (report, self.granted(allocated).await)
    }

    async fn granted(&self, allocated: Option<u16>) -> Result<Option<u16>, ForwardError> {
        if let Some(port) = allocated {
            match self.ask(with_port(&self.listen, Some(port))).await {
                Err(ForwardError::Refused { .. }) => {}
                // A server says the port only when it chose it.
                Ok(_) => return Ok(Some(port)),
                Err(error @ (ForwardError::Timeout { .. } | ForwardError::SessionEnded)) => return Err(error),
            }
        }
        self.ask(self.listen.clone()).await
    }

    async fn ask(&self, listen: Listen) -> Result<Option<u16>, ForwardError> {
        let (routes, target, asked) = (self.routes.clone(), self.target.clone(), listen.clone());
        let granted = move |port| routes.add(RemoteListen::of(&with_port(&asked, port)), target);
        self.session.request_forward_then(&listen, granted).await
    }
}
