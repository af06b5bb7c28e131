//! What of a tunnel takes time. Each job comes back with how it ended, and what it logs is under the tunnel's span.

use std::future::Future;

use tokio::task::{AbortHandle, Id, JoinError, JoinSet};
use tracing::Instrument as _;

use super::driver::JobEnd;

/// The jobs under way. Dropping it aborts them.
#[derive(Default)]
pub(super) struct Jobs(JoinSet<JobEnd>);

impl Jobs {
    pub(super) fn spawn(&mut self, job: impl Future<Output = JobEnd> + Send + 'static) -> AbortHandle {
        self.0.spawn(job.in_current_span())
    }

    /// As [`Jobs::spawn`], for a job that ends with its owner.
    pub(super) fn spawn_owned(&mut self, job: impl Future<Output = JobEnd> + Send + 'static) -> OwnedJob {
        OwnedJob(self.spawn(job))
    }

    /// The next that has ended; `None` when there is none.
    pub(super) async fn join_next(&mut self) -> Option<Result<(Id, JobEnd), JoinError>> {
        self.0.join_next_with_id().await
    }

    pub(super) fn is_empty(&self) -> bool {
        self.0.is_empty()
    }
}

/// Dropping it aborts the job.
pub(super) struct OwnedJob(AbortHandle);

impl Drop for OwnedJob {
    fn drop(&mut self) {
        self.0.abort();
    }
}
