//! The connections there are: a bounded number, of which the one that is of least use makes room for the next. A thousand
//! idle connections cost as much as this many, and lock no scraper out.

use std::collections::HashMap;
use std::convert::Infallible;
use std::sync::{Arc, Mutex, PoisonError};
use std::time::{Duration, Instant};

use hyper::server::conn::http1;
use hyper::service::service_fn;
use hyper_util::rt::{TokioIo, TokioTimer};
use tokio::io::{AsyncRead, AsyncWrite};
use tokio::task::{AbortHandle, Id, JoinSet};
use tokio_io_timeout::TimeoutStream;
use tunnel_engine::clock;

use super::answer::AnswerContext;
use crate::os::limits::HTTP_CONNECTIONS;

/// From the moment a request may begin to the end of its header. An idle connection is closed after it too: longer than
/// the usual intervals of scrapes, so that a scraper keeps its connection.
const HEADER_TIMEOUT: Duration = Duration::from_secs(75);

/// Longest header, request line included.
const MAX_HEADER: usize = 16 * 1024;

/// Fields of a header.
const MAX_FIELDS: usize = 64;

/// How long a peer may take none of what is sent to it.
const WRITE_TIMEOUT: Duration = Duration::from_secs(10);

/// How old a connection may become: a page that is left open connects again by itself.
const MAX_AGE: Duration = Duration::from_secs(3600);

/// How long an answer may go on past [`MAX_AGE`].
const LAST_ANSWER: Duration = Duration::from_secs(10);

pub(super) struct HttpConnections {
    answering: Arc<AnswerContext>,
    tasks: JoinSet<()>,
    open: HashMap<Id, (UsageSince, AbortHandle)>,
}

impl HttpConnections {
    pub(super) fn new(answering: AnswerContext) -> Self {
        Self { answering: Arc::new(answering), tasks: JoinSet::new(), open: HashMap::new() }
    }

    /// Serves one more. At the limit, the least useful one is closed for it.
    pub(super) fn serve(&mut self, stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static) {
        if self.open.len() >= HTTP_CONNECTIONS {
            self.close_one();
        }
        let usage = UsageSince::new(clock::now());
        let task = self.tasks.spawn(converse(stream, self.answering.clone(), usage.clone()));
        self.open.insert(task.id(), (usage, task));
    }

    /// Waits until one has ended; never, while there is none.
    pub(super) async fn one_ended(&mut self) {
        match self.tasks.join_next_with_id().await {
            Some(Ok((id, ()))) => drop(self.open.remove(&id)),
            Some(Err(error)) => drop(self.open.remove(&error.id())),
            None => std::future::pending().await,
        }
    }

    fn close_one(&mut self) {
        let ranks = self.open.iter().map(|(id, (usage, _))| (usage.rank(), *id));
        if let Some((_, id)) = ranks.min_by_key(|(rank, _)| *rank)
            && let Some((_, task)) = self.open.remove(&id)
        {
            task.abort();
        }
    }
}

/// What a connection is used for, and since when.
#[derive(Clone)]
pub(super) struct UsageSince(Arc<Mutex<(ConnectionUse, Instant)>>);

/// The first is closed first.
#[derive(Debug, Clone, Copy, PartialEq, Eq, PartialOrd, Ord)]
enum ConnectionUse {
    /// It has asked for nothing yet.
    Silent,
    /// Its last question is answered.
    Idle,
    /// An answer is being made, or a stream is open.
    Busy,
}

impl UsageSince {
    fn new(now: Instant) -> Self {
        Self(Arc::new(Mutex::new((ConnectionUse::Silent, now))))
    }

    /// A question has come; it is answered when what this gives is dropped.
    pub(super) fn begin(&self) -> Busy {
        self.set(ConnectionUse::Busy);
        Busy(self.clone())
    }

    fn set(&self, what: ConnectionUse) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner) = (what, clock::now());
    }

    fn rank(&self) -> (ConnectionUse, Instant) {
        *self.0.lock().unwrap_or_else(PoisonError::into_inner)
    }
}

/// A question that is being answered.
pub(super) struct Busy(UsageSince);

impl Drop for Busy {
    fn drop(&mut self) {
        self.0.set(ConnectionUse::Idle);
    }
}

async fn converse(
    stream: impl AsyncRead + AsyncWrite + Unpin + Send + 'static,
    answering: Arc<AnswerContext>,
    usage: UsageSince,
) {
    let mut stream = Box::pin(TimeoutStream::new(stream));
    stream.as_mut().set_write_timeout_pinned(Some(WRITE_TIMEOUT));
    let answer = service_fn(move |request| {
        let (answering, busy) = (answering.clone(), usage.begin());
        async move { Ok::<_, Infallible>(answering.answer(request, busy).await) }
    });
    let connection = http1::Builder::new()
        .timer(TokioTimer::new())
        .header_read_timeout(HEADER_TIMEOUT)
        .max_buf_size(MAX_HEADER)
        .max_headers(MAX_FIELDS)
        // A peer that has sent its question and closed that direction still gets its answer.
        .half_close(true)
        .serve_connection(TokioIo::new(stream), answer);
    let mut connection = std::pin::pin!(connection);
    let ended = tokio::select! {
        ended = connection.as_mut() => Some(ended),
        () = tokio::time::sleep_until((clock::now() + MAX_AGE).into()) => None,
    };
    let ended = match ended {
        Some(ended) => ended,
        None => {
            connection.as_mut().graceful_shutdown();
            tokio::time::timeout(LAST_ANSWER, connection).await.unwrap_or(Ok(()))
        }
    };
    if let Err(error) = ended {
        tracing::trace!(%error, "a connection for metrics ended");
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn silent_then_idle_then_oldest_connections_make_room() {
        let now = clock::now();
        let earlier = now - Duration::from_secs(60);
        let mut ranks = [
            (ConnectionUse::Busy, earlier),
            (ConnectionUse::Idle, earlier),
            (ConnectionUse::Silent, now),
            (ConnectionUse::Silent, earlier),
        ];
        ranks.sort();
        assert_eq!(
            ranks,
            [
                (ConnectionUse::Silent, earlier),
                (ConnectionUse::Silent, now),
                (ConnectionUse::Idle, earlier),
                (ConnectionUse::Busy, earlier)
            ]
        );
    }
}
