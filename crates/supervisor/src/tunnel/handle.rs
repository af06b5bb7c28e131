//! How others hold a tunnel.

use std::sync::Arc;
use std::time::Duration;

use tokio::sync::mpsc::error::TrySendError;
use tokio::sync::{Notify, mpsc, oneshot, watch};
use tokio_util::task::AbortOnDropHandle;
use tunnel_engine::dial::Dialer;
use tunnel_engine::forward::{PathWatcher, SocketStore};
use tunnel_engine::task;

use super::core::Order;
use super::driver::TunnelDriver;
use super::observer::Observer;
use super::on_change::CommandSlots;
use super::report;
use super::start::OpenedLink;
use super::view::TunnelView;
use crate::config::TunnelSpec;
use crate::history::Recorder;
use crate::servers::governor::{Governor, QueueEntry};
use crate::servers::reachability::Reachability;

/// Messages that wait at once. The loop takes each within microseconds: a full queue means that it does not turn.
const MESSAGES: usize = 32;

/// What the loop of a tunnel is sent.
#[derive(Debug)]
pub(super) enum Message {
    Order(Order),
    /// Answer when this loop and the living session's own loop have turned. For the watchdog.
    Turn(oneshot::Sender<()>),
    /// Answer, to show that all orders before this one have been taken.
    Answer(oneshot::Sender<()>),
}

/// What a tunnel is given by its surroundings.
#[derive(Clone)]
pub struct Context {
    pub dialer: Arc<dyn Dialer>,
    /// Where listeners outlive this process.
    pub listeners: Arc<dyn SocketStore>,
    /// Tells of unix sockets that lost their files.
    pub paths: PathWatcher,
    pub governor: Governor,
    /// Where this tunnel stands among them.
    pub place: QueueEntry,
    /// Asks servers that are away whether they are back.
    pub reachability: Reachability,
    /// The connection that came of it, for this tunnel.
    pub(crate) ready_link: OpenedLink,
    /// Counts changes of this machine's network: a dial under way begins anew with each.
    pub network: watch::Receiver<u64>,
    /// How long flowing connections may go on after a stop.
    pub stop_timeout: Duration,
    /// Rung after each change of the view.
    pub changed: Arc<Notify>,
    /// Places for commands of `on_change`, over all tunnels.
    pub commands: CommandSlots,
    /// Told each change of phase and readiness.
    pub history: Recorder,
    pub seed: u64,
    /// Told everything that happens, for a log beside the daemon's.
    pub observer: Option<Observer>,
}

/// A running tunnel. Dropping it ends the task and cuts everything; [`Order::End`] ends it in good order.
pub struct Handle {
    messages: mpsc::Sender<Message>,
    view: watch::Receiver<TunnelView>,
    task: AbortOnDropHandle<()>,
}

pub fn spawn(spec: TunnelSpec, context: Context) -> Handle {
    let (messages, queue) = mpsc::channel(MESSAGES);
    let span = report::span(&spec.name);
    let (driver, view) = span.in_scope(|| TunnelDriver::new(spec, context, queue));
    Handle { messages, view, task: span.in_scope(|| task::owned(driver.run())) }
}

impl Handle {
    /// Hands an order over, without waiting.
    ///
    /// # Errors
    /// The tunnel takes no orders: its loop is stuck, or has ended.
    pub fn order(&self, order: Order) -> Result<(), TunnelUnresponsive> {
        self.messages.try_send(Message::Order(order)).map_err(|_| TunnelUnresponsive)
    }

    /// Answers when all orders before this have been taken. The reply of a tunnel that takes none is dropped.
    pub fn taken(&self, reply: oneshot::Sender<()>) {
        // An error: the order before this one has been refused, too, and that was logged.
        let _ = self.messages.try_send(Message::Answer(reply));
    }

    /// Whether the loop turns, and the session's own: the answer goes to `reply`.
    ///
    /// # Errors
    /// The tunnel takes no orders; its reply is given back.
    pub fn ask(&self, reply: oneshot::Sender<()>) -> Result<(), oneshot::Sender<()>> {
        match self.messages.try_send(Message::Turn(reply)) {
            Ok(()) => Ok(()),
            Err(TrySendError::Full(Message::Turn(reply))) => Err(reply),
            // It has ended, which is an answer.
            Err(_) => Ok(()),
        }
    }

    /// The present view: two counted references, so that its reader holds nothing back.
    pub fn view(&self) -> TunnelView {
        self.view.borrow().clone()
    }

    pub fn watch(&self) -> watch::Receiver<TunnelView> {
        self.view.clone()
    }

    /// The way for orders, for a task beside the supervisor.
    pub fn orders(&self) -> OrderSender {
        OrderSender(self.messages.clone())
    }

    /// Waits for the end of the task, after [`Order::End`].
    pub async fn ended(self) {
        if let Err(error) = self.task.await
            && error.is_panic()
        {
            tracing::error!(%error, "a tunnel's task panicked");
        }
    }
}

/// The way for orders to a tunnel. It does not keep the tunnel running.
pub struct OrderSender(mpsc::Sender<Message>);

impl OrderSender {
    /// As [`Handle::order`].
    ///
    /// # Errors
    /// The tunnel takes no orders: its loop is stuck, or has ended.
    pub fn order(&self, order: Order) -> Result<(), TunnelUnresponsive> {
        self.0.try_send(Message::Order(order)).map_err(|_| TunnelUnresponsive)
    }
}

#[derive(Debug, Clone, Copy, PartialEq, Eq, thiserror::Error)]
#[error("the tunnel does not take orders")]
pub struct TunnelUnresponsive;
